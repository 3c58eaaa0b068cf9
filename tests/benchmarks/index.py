"""What each tier of the dedup index costs, and what it finds.

    python tests/benchmarks/index.py [PERSONAS …]      default: 100000; 1000000 takes some ten minutes and 3 GB

Prints one Markdown table for each number of personas. The vectors are unit vectors of 384 components in groups of fifty
(cosine .5 with the centre of its group); a query lies at a cosine of .80 to .98 from one of them, in the direction of
another. The truth is exact, by brute force.

- decisions: `Shard.admit` in batches of 1,024, half of them queries, half new vectors, logged and added;
- near, new: look-ups by `PersonaIndex.nearest` in batches of 1,024, of the queries, and of vectors with nobody near;
- recall: of queries whose nearest is at .9 or more, the share for which one as near (within .001) was found;
- RAM: anonymous memory that a restarted process grew by, a persona; disk: the log and the snapshot;
- restart: from the snapshot where the tier has one; build: of the tier from the log.

Rates and seconds are of CPU time, each tier in processes of its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
SIZE, GROUP, CHUNK, BATCH, BATCHES = 384, 50, 50_000, 1024, 4
MANY, COSINE = 10**10, 0.9
TIERS = {"flat": (MANY, ()), "sq8": (1, ("sq8",)), "pq4": (1, ("pq4",))}


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def chunk(number: int, count: int) -> np.ndarray:
    """`count` unit vectors in groups of fifty, which lie side by side in no order."""
    rng = np.random.default_rng(number)
    centres = np.repeat(unit(rng.standard_normal((count // GROUP + 1, SIZE), np.float32)), GROUP, axis=0)[:count]
    noise = unit(rng.standard_normal((count, SIZE), np.float32))
    return rng.permutation(unit(0.5 * centres + np.sqrt(0.75) * noise))


def queries(vectors: np.ndarray, seed: int, count: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    near, other = vectors[rng.integers(len(vectors), size=(2, count))]
    sideways = unit(other - np.einsum("nd,nd->n", other, near)[:, None] * near + 1e-6)
    cosines = rng.uniform(0.80, 0.98, (count, 1))
    return unit(cosines * near + np.sqrt(1 - cosines**2) * sideways)


def fill(folder: Path, count: int) -> dict[str, float]:
    """A log of so many, and beside it queries with the cosine of their nearest."""
    from actors.index import PersonaIndex, Tiers

    index, rng = PersonaIndex(SIZE, folder / "log", "m", Tiers(flat_rows=MANY)), np.random.default_rng(0)
    asked = queries(chunk(0, min(count, CHUNK)), 1, 2048)
    truth = np.full(len(asked), -1.0, np.float32)
    for start in range(0, count, CHUNK):
        vectors = chunk(start // CHUNK, min(CHUNK, count - start))
        for at in range(0, len(vectors), 5000):
            part = vectors[at : at + 5000]
            index.keep([rng.bytes(12) for _ in part], [rng.bytes(16) for _ in part], part)
        stored = vectors.astype(np.float16).astype(np.float32)
        np.maximum(truth, (asked @ stored.T).max(axis=1), out=truth)
    np.savez(folder / "asked.npz", asked=asked, truth=truth)
    return {}


def build(folder: Path, tier: str) -> dict[str, float]:
    began = time.process_time()
    open_index(folder, tier).close()
    return {"build s": time.process_time() - began}


def measure(folder: Path, tier: str) -> dict[str, float]:
    import faiss  # noqa: F401  (its own memory is not the index's)

    from actors.logic.near_duplicates import Candidate, Thresholds
    from actors.shard import Shard

    asked = np.load(folder / "asked.npz")
    before, began = anonymous(), time.process_time()
    index = open_index(folder, tier)
    restart = time.process_time() - began
    grown, count, seen = anonymous() - before, len(index), asked["asked"]
    disk = sum(path.stat().st_size for path in (folder / "log").iterdir())
    scores = np.concatenate([index.nearest(seen[at : at + BATCH])[0] for at in range(0, len(seen), BATCH)])
    near = asked["truth"] >= COSINE
    recall = float(np.mean(scores[near] >= asked["truth"][near] - 1e-3))
    rates = {
        name: len(some)
        / cpu(lambda some=some: [index.nearest(some[at : at + BATCH]) for at in range(0, len(some), BATCH)])
        for name, some in (("near/s", seen), ("new/s", chunk(10**7, len(seen))))
    }
    old, vectors, batches = chunk(0, min(count, CHUNK)), {}, []
    for number in range(BATCHES):
        some = np.concatenate([queries(old, 100 + number, BATCH // 2), chunk(10**6 + number, BATCH // 2)])
        texts = [f"person {at} of batch {number}" for at in range(BATCH)]
        vectors |= dict(zip(texts, some, strict=True))
        batches.append([Candidate(os.urandom(12).hex(), text) for text in texts])

    async def encode(texts):
        return np.stack([vectors[text] for text in texts])

    async def decide_all() -> None:
        shard = Shard(0, Thresholds(COSINE), index, encode, {}, ThreadPoolExecutor(1))
        for batch in batches:
            await shard.admit(batch)

    decided = cpu(lambda: asyncio.run(decide_all()))
    return {
        "decisions/s": BATCH * BATCHES / decided,
        **rates,
        "recall": recall,
        "RAM B": grown / count,
        "disk B": disk / count,
        "restart s": restart,
    }


def open_index(folder: Path, tier: str):
    from actors.index import PersonaIndex, Tiers
    from actors.index.tiers import Kind

    flat_rows, kinds = TIERS[tier]
    tiers = Tiers(flat_rows=flat_rows, kinds=tuple(map(Kind, kinds)), cosine=COSINE)
    index = PersonaIndex(SIZE, folder / "log", "m", tiers)
    assert index.rung.kind == tier, index.rung
    return index


def cpu(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def anonymous() -> int:
    return 1024 * int(re.search(r"RssAnon:\s+(\d+)", Path("/proc/self/status").read_text())[1])


def step(name: str, folder: Path, argument: object) -> dict[str, float]:
    command = [sys.executable, __file__, "--step", name, str(folder), str(argument)]
    surroundings = os.environ | {"PYTHONPATH": str(ROOT)}
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, env=surroundings).stdout)


def table(count: int) -> None:
    figures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        filled = Path(folder, "filled")
        step("fill", filled, count)
        for tier in TIERS:
            own = Path(folder, tier)
            shutil.copytree(filled, own, copy_function=os.link)
            figures[tier] = step("build", own, tier) | step("measure", own, tier)
            shutil.rmtree(own)
    names = [*list(figures["flat"])[1:], "build s"]
    print(f"| {count:,} personas | " + " | ".join(names) + " |")
    print("|---" + "|---:" * len(names) + "|")
    for tier, found in figures.items():
        print(f"| {tier} | " + " | ".join(f"{found[name]:,.{0 if found[name] >= 20 else 3}f}" for name in names) + " |")


def main() -> None:
    if sys.argv[1:2] == ["--step"]:
        name, folder, argument = sys.argv[2:5]
        Path(folder).mkdir(parents=True, exist_ok=True)
        steps = {"fill": lambda: fill(Path(folder), int(argument)), "build": lambda: build(Path(folder), argument)}
        print(json.dumps(steps.get(name, lambda: measure(Path(folder), argument))()))
        return
    for count in [int(argument) for argument in sys.argv[1:]] or [100_000]:
        table(count)


if __name__ == "__main__":
    main()
