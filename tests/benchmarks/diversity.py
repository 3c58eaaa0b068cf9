"""What the diversity figures of a run cost: CPU seconds of each step on one thread, and the memory at its peak.

    python tests/benchmarks/diversity.py [PERSONAS …]      default: 10000 100000

The personas are sentences of the tests' model server at three depths; their vectors (384 components, in groups of
fifty) lie in a log as the dedup service writes it, so that nothing is embedded. Each number of personas is measured in
a process of its own, whose memory is told before and at its peak; what is mapped from the disk counts as in memory.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SIZE, GROUP, BATCH, PART = 384, 50, 1000, 10_000
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}


def fill(folder: Path, count: int) -> dict[str, Any]:
    """A run's personas and the log of their vectors."""
    import numpy as np
    from model_server import Draw, persona

    from actors.index.log import IndexLog
    from actors.index.rows import rows_of
    from actors.logic import tables
    from actors.logic.persona import Persona, persona_id
    from cluster.parts import write_part

    log, rng, parts = IndexLog(folder / "dedup", "m", SIZE), np.random.default_rng(0), []
    for start in range(0, count, PART):
        stop = min(start + PART, count)
        texts = [persona(Draw(at.to_bytes(8, "big"))) for at in range(start, stop)]
        ids = [persona_id(str(at), None, text) for at, text in zip(range(start, stop), texts, strict=True)]
        rows = [
            Persona(one, "d", None, at % 3, text, "read", "m", "p", 0.0)
            for at, (one, text) in enumerate(zip(ids, texts, strict=True))
        ]
        parts.append(f"{start:09}")
        write_part(folder / "personas", parts[-1], tables.personas(rows))
        for low in range(0, len(ids), BATCH):
            mine = ids[low : low + BATCH]
            centres = np.repeat(rng.standard_normal((len(mine) // GROUP + 1, SIZE)), GROUP, axis=0)[: len(mine)]
            vectors = centres + rng.standard_normal(centres.shape)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            forms = [hashlib.blake2b(one.encode(), digest_size=16).digest() for one in mine]
            log.append(rows_of([bytes.fromhex(one) for one in mine], forms, vectors.astype(np.float16)))
    log.close()
    return {"parts": parts}


def measure(folder: Path, parts: list[str]) -> dict[str, Any]:
    import numpy as np

    from actors.logic.diversity.cells import CellsReached
    from actors.logic.diversity.figures import Samples
    from actors.logic.diversity.neighbours import Nearest
    from actors.logic.diversity.texts import text_figures
    from actors.logic.diversity.vectors import leading, vector_figures
    from pipelines.diversity import locate, measured, read_personas, read_vectors

    before = status("VmRSS")
    took: dict[str, float] = {}
    found, took["all"] = cpu(lambda: measured(folder, parts, 0))
    peak = status("VmHWM")
    samples = Samples(0)
    _, took["samples"] = cpu(lambda: [samples.see(*row) for row in read_personas(folder / "personas", parts)])
    where, took["their vectors"] = cpu(lambda: locate(folder / "dedup", samples))
    _, sample = samples.groups()[-1]
    mine = np.array([where.at[one.persona_id] for one in sample])
    rows = where.vectors(mine)
    queries = min(found["run"]["nearest"]["queries"], len(rows))
    nearest, cells, at = Nearest(rows[:queries], where.positions[mine[:queries]]), CellsReached(), 0
    took["nearest neighbours"] = took["cells"] = 0.0
    for some in read_vectors(folder / "dedup"):
        took["nearest neighbours"] += cpu(lambda at=at, some=some: nearest.see(at, some))[1]
        took["cells"] += cpu(lambda some=some: cells.see(some))[1]
        at += len(some)
    _, took["Vendi, clusters"] = cpu(lambda: vector_figures(rows, leading(rows)))
    _, took["texts"] = cpu(lambda: text_figures(one.text for one in sample))
    return {"took": took, "before": before, "peak": peak, "queries": queries}


def cpu(work: Callable[[], Any]) -> tuple[Any, float]:
    began = time.process_time()
    found = work()
    return found, time.process_time() - began


def status(name: str) -> float:
    """MB of this process."""
    return int(re.search(rf"{name}:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


def step(name: str, folder: str, argument: object) -> dict[str, Any]:
    command = [sys.executable, __file__, "--step", name, folder, json.dumps(argument)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, env=os.environ | ONE_THREAD).stdout)


def main() -> None:
    if sys.argv[1:2] == ["--step"]:
        name, folder, argument = sys.argv[2:5]
        print(json.dumps({"fill": fill, "measure": measure}[name](Path(folder), json.loads(argument))))
        return
    for count in [int(argument) for argument in sys.argv[1:]] or [10_000, 100_000]:
        with tempfile.TemporaryDirectory() as folder:
            found = step("measure", folder, step("fill", folder, count)["parts"])
        took = found["took"]
        print(f"{count:,} personas: {took.pop('all'):.1f} CPU s in all, {found['peak']:,.0f} MB at the peak", end="")
        print(f" ({found['before']:,.0f} before)")
        print("  of one group: " + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in took.items()), end="")
        print(f" ({found['queries']:,} queries)", flush=True)


if __name__ == "__main__":
    main()
