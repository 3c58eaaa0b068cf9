"""What keeps near-duplicates out, and at what cost: the dedup service beside semhash and MinHash on the same texts.

    python tests/benchmarks/near_duplicates.py [--texts 20000 --rounds 3 --command]

The texts are those of dedup.py: a third are copies in which a word changed, an order turned or a phrase was added, half
of them right after their originals. They are of one pattern and share many words, which is hard on MinHash. All are
embedded once by the packaged all-MiniLM-L6-v2, rounded to half precision;
these vectors are given to every way that uses vectors, and are the truth. Each way goes through the texts in one order,
in a process of its own on one thread (usearch starts its own), in rounds in which all take turns. Other tools are
installed into an environment of their own, in versions that dedup_peers.py pins.

    populace         `Shard.admit` over a `PersonaIndex`, 1,024 texts at a time, each logged on disk before its verdict
    populace by 64   the same, 64 texts at a time
    semhash          .9, with its default index (usearch), made of all texts at once, in memory
    semhash, exact   the same by its exact index
    datasketch, rensa   MinHash of lower-case words, 128 permutations, in LSH at a Jaccard similarity of .9 (as for
                     Persona Hub) and .7, in memory
    populace dedup   `--command`: the whole command, once, Ray and the embedding of every batch ahead included

By cosines, where `near` is ≥ .9:

    precision        of the refused texts, the share that is near a kept one (within .001)
    recall           of the texts that an exact pass in this order refuses, since one kept before is near, the share
                     that is refused
    surviving pairs  of kept texts that are near each other
    lost groups      originals with their copies of which nothing is kept, nor anything near to one of them

As planted, whatever the cosines:

    copies left      kept texts beyond the first of their group
    people gone      groups of which nothing is kept, though something near may be

CPU-seconds are of the whole process, after imports. `with embedding` adds those of embedding, measured once, for as
many texts as the way has embedded. `×` is the median over the rounds of the rate relative to populace.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).parents[2]))

from dedup import THRESHOLD, LookUp, cpu_s, judged, order, texts
from dedup_peers import PINS, WAYS, read, serve
from embedding import QUIET
from truth import exact_greedy, planted, recall

from actors.encoder import DEFAULT_MODEL, Encoding
from actors.local_encoder import LocalEncoder
from actors.logic.near_duplicates import Candidate, Reason, Thresholds, Verdict

ROOT = Path(__file__).resolve().parents[2]
OURS, COMMAND = "populace", "populace dedup"
ONE_THREAD = QUIET | {"OPENBLAS_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
BATCHES = {OURS: 1024, f"{OURS} by 64": 64}
LOOK_S = 0.3


@dataclass(slots=True)
class Figures:
    """Of one way: CPU-seconds of each round without and with embedding, and the rows kept by the last."""

    alone: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)


class Counting(LookUp):
    """An embedder that counts what it is asked for."""

    asked = 0

    def encode(self, asked: list[str]) -> np.ndarray:
        self.asked += len(asked)
        return super().encode(asked)


def ours(told: list[str], vectors: str, folder: Path, batch: int) -> tuple[list[int], int]:
    embedder = Counting(told, vectors)
    with tempfile.TemporaryDirectory(dir=folder) as log:
        verdicts = asyncio.run(admitted(told, embedder, Path(log), batch))
    return [row for row, one in enumerate(verdicts) if one.admitted], embedder.asked


async def admitted(told: list[str], embedder: Counting, log: Path, batch: int) -> list[Verdict]:
    from actors.index import PersonaIndex
    from actors.shard import Shard

    async def encode(asked):
        return embedder.encode(list(asked))

    verdicts, index = [], PersonaIndex(embedder.dimension(), log, DEFAULT_MODEL)
    with ThreadPoolExecutor(1) as thread:
        shard = Shard(0, Thresholds(THRESHOLD), index, encode, {}, thread)
        for at in range(0, len(told), batch):
            part = enumerate(told[at : at + batch], at)
            verdicts += await shard.admit([Candidate(f"{row:024x}", text) for row, text in part])
    index.settle()
    index.close()
    return verdicts


def environment(folder: Path) -> Path:
    """The Python of an environment with the other tools, which is made where it is not there yet."""
    pins, python = folder / "pins.json", folder / "bin" / "python"
    with suppress(OSError, ValueError):
        if json.loads(pins.read_text()) == PINS:
            return python
    venv.create(folder, clear=True, with_pip=True)
    subprocess.run([python, "-m", "pip", "install", "-qq", "--only-binary", ":all:", *PINS], check=True)
    pins.write_text(json.dumps(PINS))
    return python


def start(way: str, folder: Path, peers: Path) -> subprocess.Popen[str]:
    here, surroundings = Path(__file__), os.environ | ONE_THREAD
    command = [sys.executable, here, "--serve"] if way in BATCHES else [peers, here.with_name("dedup_peers.py")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    return subprocess.Popen([*command, way, folder], **pipes, text=True, env=surroundings)


def serve_ours(way: str, folder: Path) -> None:
    """As dedup_peers.py serves the other ways."""
    from actors import index, shard  # noqa: F401  (imports are not counted)

    told, _ = read(folder)
    serve(partial(ours, told, f"{folder}/vectors.npy", folder, BATCHES[way]), folder / f"kept-{way}.npy")


def rounds(ways: list[str], folder: Path, peers: Path, number: int, embedding_s: float) -> dict[str, Figures]:
    """`embedding_s` is of one text."""
    processes = {way: start(way, folder, peers) for way in ways}
    found = {way: Figures() for way in ways}
    for at in range(number):
        for way in ways if at % 2 == 0 else reversed(ways):
            processes[way].stdin.write("\n")
            processes[way].stdin.flush()
            seconds, embedded = processes[way].stdout.readline().split()
            found[way].alone.append(float(seconds))
            found[way].whole.append(float(seconds) + int(embedded) * embedding_s)
            found[way].kept = np.load(folder / f"kept-{way}.npy").tolist()
    for process in processes.values():
        process.communicate()
    return found


def command(told: list[str], folder: Path) -> Figures:
    """`populace dedup` on a file of the texts; its CPU-seconds are of all processes under it, each as last seen."""
    source, target, seen = folder / "in.jsonl", folder / "out.jsonl", {}
    source.write_text("".join(json.dumps({"row": row, "text": text}) + "\n" for row, text in enumerate(told)))
    arguments = [sys.executable, "-m", "pipelines", "dedup", source, target, "--threshold", str(THRESHOLD)]
    with subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            with suppress(psutil.NoSuchProcess):
                for one in [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]:
                    with suppress(psutil.NoSuchProcess):
                        seen[one] = cpu_s(one.pid)
            time.sleep(LOOK_S)
    kept = [json.loads(line)["row"] for line in target.read_text().splitlines()]
    return Figures(whole=[sum(seen.values())], kept=kept)


def quality(kept: list[int], vectors: np.ndarray, groups: list[int], reference: np.ndarray) -> list[str]:
    admitted = set(kept)
    reasons = (None if row in admitted else Reason.EMBEDDING for row in range(len(groups)))
    count, pairs, wrong, lost = judged([Verdict(f"{row:x}", why) for row, why in enumerate(reasons)], vectors, groups)
    left, gone = planted(kept, groups)
    shares = [1 - wrong / (len(groups) - count), recall(kept, reference)]
    return [f"{count:,}", *(f"{one:.4f}" for one in shares), *(f"{one:,}" for one in (pairs, lost, left, gone))]


def rate(count: int, seconds: list[float], ours: list[float]) -> list[str]:
    """Texts per CPU-second, and how many times as many as ours."""
    if not seconds:
        return ["–", "–"]
    if len(seconds) < len(ours):
        ours = [statistics.median(ours)]
    times = statistics.median(other / one for one, other in zip(seconds, ours, strict=True))
    return [f"{count / statistics.median(seconds):,.0f}", f"{times:.2f}"]


def table(found: dict[str, Figures], vectors: np.ndarray, groups: list[int]) -> None:
    reference = exact_greedy(vectors, THRESHOLD)
    print("|way|kept|precision|recall|surviving pairs|lost groups|copies left|people gone", end="")
    print("|texts per CPU-second without embedding|×|with embedding|×|")
    print("|---" * 12, "|", sep="")
    exact = quality(np.flatnonzero(reference).tolist(), vectors, groups, reference)
    print("|", "|".join(["exact pass", *exact, *"––––"]), "|", sep="")
    for way, figures in found.items():
        alone = rate(len(groups), figures.alone, found[OURS].alone)
        whole = rate(len(groups), figures.whole, found[OURS].whole)
        cells = [way, *quality(figures.kept, vectors, groups, reference), *alone, *whole]
        print("|", "|".join(cells), "|", sep="", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--texts", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ways", nargs="*", choices=list(WAYS), default=list(WAYS), help="beside populace")
    parser.add_argument("--command", action="store_true")
    parser.add_argument("--peers", type=Path, default=ROOT / "build" / "peers", help="their environment")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve_ours(options.serve[0], Path(options.serve[1]))
        return
    peers, draw, load = environment(options.peers), random.Random(0), os.getloadavg()[0]
    made, made_groups = texts(options.texts, draw)
    rows = order(made_groups, draw)
    told, groups = [made[row] for row in rows], [made_groups[row] for row in rows]
    began = time.process_time()
    vectors = LocalEncoder(Encoding()).encode(told).astype(np.float16).astype(np.float32)
    embedding_s = (time.process_time() - began) / len(told)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "texts.jsonl").write_text("".join(f"{json.dumps(text)}\n" for text in told))
        np.save(folder / "vectors.npy", vectors)
        found = rounds([*BATCHES, *options.ways], folder, peers, options.rounds, embedding_s)
        if options.command:
            found[COMMAND] = command(told, folder)
    print(f"{len(told):,} texts, {options.rounds} rounds; {1 / embedding_s:,.0f} embedded per CPU-second;", end=" ")
    print(f"load {load:.1f} → {os.getloadavg()[0]:.1f}")
    here = [f"{name} {version(name)}" for name in ("faiss-cpu", "numpy", "sentence-transformers", "torch")]
    print(f"populace on {', '.join(here)}; the others: {', '.join(PINS)}\n")
    table(found, vectors, groups)


if __name__ == "__main__":
    main()
