"""What the audit of a run costs: CPU seconds of each step on one thread, and the memory at its peak.

    python tests/benchmarks/audit.py [PERSONAS …]      default: 10000 100000

The personas are sentences of the tests' model server with an age, a gender, a place and a job planted in one of two
(nurses are women nine times in ten, others five times), so that every pair of attributes is compared; it is said
whether the planted tie was found. Vectors (384 components) lie in a log as the dedup service writes it: nothing but the
prototypes would be embedded. Each number of personas is measured in a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from diversity import ONE_THREAD, cpu, status

SIZE, BATCH, PART = 384, 1000, 10_000


def fill(folder: Path, count: int) -> None:
    """A run's personas and the log of their vectors."""
    import numpy as np
    from model_server import Draw, persona
    from planted import planted

    from actors.index.log import IndexLog
    from actors.index.rows import rows_of
    from actors.logic import tables
    from actors.logic.near_duplicates import form_key
    from actors.logic.persona import Persona, persona_id
    from cluster.parts import write_part

    log, rng = IndexLog(folder / "dedup", "m", SIZE), np.random.default_rng(0)
    told = (text for _, text in planted(count, women_nurses=0.9))
    for start in range(0, count, PART):
        texts = [
            f"{next(told)} {persona(Draw(at.to_bytes(8, 'big')))}" if at % 2 else persona(Draw(at.to_bytes(8, "big")))
            for at in range(start, min(start + PART, count))
        ]
        people = [Persona(persona_id("d", None, one), "d", None, 0, one, "read", "m", "p", 0.0) for one in texts]
        write_part(folder / "personas", f"{start:09}", tables.personas(people))
        for low in range(0, len(people), BATCH):
            mine = people[low : low + BATCH]
            vectors = rng.standard_normal((len(mine), SIZE))
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            ids = [bytes.fromhex(one.persona_id) for one in mine]
            log.append(rows_of(ids, [form_key(one.text) for one in mine], vectors.astype(np.float16)))
    log.close()


def measure(folder: Path, count: int) -> dict[str, Any]:
    import numpy as np

    from actors.logic.audit.figures import pair_figures, stereotypes
    from actors.logic.audit.reading import label
    from actors.logic.audit.tally import Tally
    from cluster.manifest import Manifest
    from pipelines.audit import audited
    from pipelines.diversity import read_personas

    manifest = Manifest(folder / "manifest.json", "r", {})
    for start in range(0, count, PART):
        manifest.personas.parts[f"{start:09}"] = {"personas": min(PART, count - start)}

    def encode(texts: list[str]) -> Any:
        return np.eye(len(texts), SIZE, dtype=np.float32)

    before, took = status("VmRSS"), dict[str, float]()
    found, took["all"] = cpu(lambda: audited(folder, manifest, 0, (), encode))
    peak, parts = status("VmHWM"), list(manifest.personas.parts)
    texts = [text for _, _, text in read_personas(folder / "personas", parts)]
    _, took["reading descriptions"] = cpu(lambda: [label(text) for text in texts])
    tally = Tally()
    for at, text in enumerate(texts):
        tally.see(at, str(at), text)
    pairs, took["associations"] = cpu(lambda: pair_figures(tally, 0))
    _, took["stereotypes"] = cpu(lambda: stereotypes(tally, pairs))
    ties = [(one["group"], one["does"]) for one in found["stereotypes"]]
    size = len(json.dumps(found))
    return {"took": took, "before": before, "peak": peak, "found": ("woman", "nurse") in ties, "bytes": size}


def step(name: str, folder: str, count: int) -> Any:
    command = [sys.executable, __file__, "--step", name, folder, str(count)]
    tests = Path(__file__).resolve().parents[1]
    path = f"{ONE_THREAD['PYTHONPATH']}:{tests / 'actors'}:{tests / 'benchmarks'}"
    environment = os.environ | ONE_THREAD | {"PYTHONPATH": path}
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment).stdout)


def main() -> None:
    if sys.argv[1:2] == ["--step"]:
        name, folder, count = sys.argv[2:5]
        print(json.dumps({"fill": fill, "measure": measure}[name](Path(folder), int(count))))
        return
    for count in [int(argument) for argument in sys.argv[1:]] or [10_000, 100_000]:
        with tempfile.TemporaryDirectory() as folder:
            step("fill", folder, count)
            began = time.monotonic()
            found = step("measure", folder, count)
        took = found["took"]
        print(f"{count:,} personas: {took.pop('all'):.1f} CPU s in all, {found['peak']:,.0f} MB at the peak", end="")
        print(f" ({found['before']:,.0f} before), {time.monotonic() - began:.0f} s with all steps twice")
        print("  of it: " + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in took.items()), end="")
        print(f"; {found['bytes']:,} bytes; planted tie {'found' if found['found'] else 'MISSED'}", flush=True)


if __name__ == "__main__":
    main()
