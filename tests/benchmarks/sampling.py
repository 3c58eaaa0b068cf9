"""Picks per CPU-second: which document, which persona, over 10⁶ personas of 10⁵ documents; and what a pick costs in
pools of growing size.

    python tests/benchmarks/sampling.py

A pick is all of it: the document's dues, its generator, the draw, and the dialogue that comes of it. `dues` are the
passes over the documents that a lap begins with. Densities are looked up in a map on the disk, as a run does.
"""

from __future__ import annotations

import hashlib
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from actors.densities import densities  # noqa: E402
from actors.logic.dues import dues, lot  # noqa: E402
from actors.logic.persona import Persona  # noqa: E402
from actors.logic.plan import LapDues, Pool, SceneRule, scenes, units  # noqa: E402
from actors.logic.sampling import Sampling, draw  # noqa: E402
from cluster.digest_map import DigestMap  # noqa: E402
from cluster.digest_runs import DIGEST  # noqa: E402

DOCUMENTS, PERSONAS, PART = 100_000, 10, 1000
TARGETS = (500_000, 1_000_000, 3_000_000)  # half of the pool, all of it, three times it
SEED = 7


def pools(part: int) -> list[Pool]:
    """The documents of a part: five personas of the seed layer each, and five below."""
    return [
        Pool(name, "", [persona(name, at) for at in range(PERSONAS)])
        for name in (f"document {number}" for number in range(part * PART, (part + 1) * PART))
    ]


def persona(document: str, at: int) -> Persona:
    one = hashlib.sha256(f"{document}-{at}".encode()).hexdigest()[:24]
    return Persona(one, document, None, at // 5, f"person {at} of {document}", "read", "m", "s", 0.0)


def write_densities(folder: Path) -> None:
    draw = np.random.default_rng(0)
    found = DigestMap(folder / "density")
    for part in range(0, DOCUMENTS // PART, 10):
        ids = "".join(one.persona_id for at in range(part, part + 10) for pool in pools(at) for one in pool.personas)
        keys = np.frombuffer(bytes.fromhex(ids), "S12").astype(DIGEST)
        found.add(keys, draw.integers(1000, 10**9, len(keys)).astype(np.uint64), str(part))


def lots() -> Iterator[np.ndarray]:
    for first in range(0, DOCUMENTS, PART):
        yield np.array([lot(SEED, f"document {number}") for number in range(first, first + PART)], np.uint64)


def measure(sampling: Sampling, target: int, folder: Path) -> tuple[float, float]:
    """CPU-seconds of the lap's dues, and of all its picks."""
    rule = SceneRule(sampling, SEED)
    owed: list = []

    def settle() -> None:
        pieces = list(lots())
        through = dues(target, DOCUMENTS, lambda: pieces)
        before = dues(0, DOCUMENTS, lambda: pieces)
        shares = [(str(at), through.of_all(piece) - before.of_all(piece)) for at, piece in enumerate(pieces)]
        owed.extend(units(shares, LapDues(0, before, through), 10**6))

    began, picked = cpu(settle), 0
    spent = 0.0
    for unit in owed:
        some, made = pools(int(unit.part)), []

        def pick(unit=unit, some=some, made=made) -> None:
            if sampling is Sampling.COVERAGE:
                found = iter(densities([folder], [one.persona_id for pool in some for one in pool.personas]))
                some = [replace(pool, densities=[next(found) for _ in pool.personas]) for pool in some]
            made.extend(scenes(unit, some, rule))

        spent += cpu(pick)
        picked += len(made)
    assert picked == target, picked
    return began, spent


def one_pick(size: int) -> tuple[float, float]:
    """Microseconds: of the pass over a pool of this size, and of each of the picks from it."""
    depths = [min(3, at * 4 // size) for at in range(size)]

    def some(count: int) -> float:
        wanted = range(5 * size, 5 * size + count)
        return min(
            cpu(lambda: draw(depths, 10 * size, Sampling.DEPTH_WEIGHTED, random.Random(1), 0, (), wanted))
            for _ in range(5)
        )

    few, many = some(1), some(20_001)
    return 1e6 * few, 1e6 * (many - few) / 20_000


def cpu(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    print(f"| {DOCUMENTS * PERSONAS:,} personas, {DOCUMENTS:,} documents | rows | dues, CPU-s | picks per CPU-s |")
    print("|---|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        write_densities(Path(folder))
        for sampling in Sampling:
            for target in TARGETS:
                settled, spent = measure(sampling, target, Path(folder))
                print(f"| {sampling} | {target:,} | {settled:.2f} | {target / (settled + spent):,.0f} |", flush=True)
    print("\n| personas in one pool | one pass, µs a persona | a pick, µs |\n|---:|---:|---:|")
    for size in (1_000, 10_000, 100_000, 1_000_000):
        whole, each = one_pick(size)
        print(f"| {size:,} | {whole / size:.2f} | {each:.2f} |", flush=True)


if __name__ == "__main__":
    main()
