"""The dedup service under many senders: what survives, what is wrongly refused, and what it costs.

    python tests/benchmarks/dedup.py [--texts 100000 --shards 1 4 --senders 16 --batch 64 --kill]

Persona texts with planted near-duplicates (a third of them: a word changed, an order turned, a phrase added), half of
the copies sent right next to their originals, by concurrent senders to shards that run as actors. The texts are
embedded once by the packaged all-MiniLM-L6-v2; the shards then get these vectors from an actor that looks them up, so
that the figures are those of the service. With `--kill` a shard is killed with -9 every second. One row of a Markdown
table for each number of shards, checked by brute force over all that was kept:

    surviving pairs      of kept ones at a cosine ≥ the threshold; there must be none
    wrongly refused      whose nearest kept one is below it; none
    lost groups          originals and copies of which none was kept, nor one that is near to them; none

CPU-seconds are of the shards. Exits with 1 where one of these is not zero.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
import time
import uuid
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import ray

sys.path.insert(0, str(Path(__file__).parents[2]))

from actors.dedup_service import DedupClient, DedupService
from actors.encoder import DEFAULT_MODEL, Encoding
from actors.local_encoder import LocalEncoder
from actors.logic.near_duplicates import Candidate, Thresholds, Verdict
from cluster.named import Named, start

THRESHOLD = 0.9
LASTING = {"max_restarts": -1, "max_task_retries": -1, "num_cpus": 0}
WHO = [
    "nurse",
    "farmer",
    "pilot",
    "baker",
    "judge",
    "welder",
    "potter",
    "sailor",
    "tailor",
    "teacher",
    "midwife",
    "locksmith",
    "beekeeper",
    "cellist",
]
WHAT = [
    "keeps a diary of every storm",
    "is learning to dance at sixty",
    "restores old radios",
    "teaches chess to children",
    "has never seen the sea",
    "raises carrier pigeons",
    "fights the closing of the library",
    "writes letters to the editor",
    "collects maps of towns that are gone",
    "cooks for forty every Sunday",
    "repairs bicycles for refugees",
    "studies the bats under the bridge",
    "lost a brother in the mine",
    "dreams of a shop of their own",
]
WHERE = [
    "a border town in the hills",
    "the harbour of a cold island",
    "the eleventh floor of a tower block",
    "a village of nine houses",
    "the old quarter of Lisbon",
    "a mining town in Chile",
    "the outskirts of Lagos",
    "a market street in Osaka",
    "a farm at the end of the line",
    "a ship that carries grain",
    "a convent turned hotel",
    "the suburbs of Toronto",
    "a night hospital",
]
WHY = [
    "tax law",
    "the price of water",
    "medieval song",
    "the safety of lifts",
    "early computers",
    "a vaccine for cattle",
    "graveyard shifts",
    "the grammar of Welsh",
    "steel bridges",
    "orphaned foxes",
    "unpaid wages",
    "the taste of bread",
    "satellite pictures",
    "fair elections",
    "hand-made paper",
    "the care of the old",
    "football for girls",
    "fermented tea",
    "wind turbines",
    "lost luggage",
]


def texts(count: int, draw: random.Random) -> tuple[list[str], list[int]]:
    """(texts, the group of each): the first of a group is its original."""
    originals = count - count // 3
    found: dict[str, None] = {}
    while len(found) < originals:
        parts = map(draw.choice, (WHO, WHERE, WHAT, WHY))
        found["A {}-year-old {} in {} who {} and cares about {}.".format(draw.randint(18, 90), *parts)] = None
    made, groups = list(found), list(range(originals))
    for _ in range(count - originals):
        group = draw.randrange(originals)
        made.append(changed(made[group], draw))
        groups.append(group)
    return made, groups


def changed(text: str, draw: random.Random) -> str:
    return draw.choice(
        [
            text.upper(),
            text.replace("cares about", "cares a lot about"),
            text.replace("who ", "who quietly ", 1),
            f"Meet {text[0].lower()}{text[1:]}",
            text.replace(" in ", " from ", 1),
        ]
    )


class LookUp:
    """An embedder that has all vectors already."""

    def __init__(self, made: list[str], path: str) -> None:
        self._rows, self._vectors = {text: row for row, text in enumerate(made)}, np.load(path)

    def encode(self, asked: list[str]) -> np.ndarray:
        return self._vectors[[self._rows[text] for text in asked]]

    def dimension(self) -> int:
        return int(self._vectors.shape[1])


def order(groups: list[int], draw: random.Random) -> list[int]:
    """Rows at random, half of the copies right after their originals."""
    copies: dict[int, list[int]] = {}
    apart = []
    for row, group in enumerate(groups):
        if row == group or draw.random() < 0.5:
            apart.append(row)
        else:
            copies.setdefault(group, []).append(row)
    draw.shuffle(apart)
    return [one for row in apart for one in (row, *(copies.get(row, []) if groups[row] == row else []))]


async def send(shards: list[Named], asked: list[Candidate], senders: int, size: int, kill: bool) -> list[Verdict]:
    """Batches, dealt in turn to the senders, so that neighbours meet in different calls at the same time."""
    client, batches = DedupClient(shards), [asked[at : at + size] for at in range(0, len(asked), size)]

    async def sender(number: int) -> list[Verdict]:
        return [verdict for batch in batches[number::senders] for verdict in await client.admit(batch)]

    killer = asyncio.create_task(killing(shards)) if kill else None
    parts = await asyncio.gather(*map(sender, range(senders)))
    if killer:
        killer.cancel()
    return [verdict for part in parts for verdict in part]


async def killing(shards: list[Named]) -> None:
    draw = random.Random(0)
    while True:
        await asyncio.sleep(1)
        with suppress(ray.exceptions.RayActorError, ProcessLookupError):
            os.kill(await draw.choice(shards).handle().pid.remote(), signal.SIGKILL)


def judged(verdicts: list[Verdict], vectors: np.ndarray, groups: list[int]) -> tuple[int, int, int, int]:
    """(kept, surviving pairs, wrongly refused, lost groups), by brute force."""
    stored = vectors.astype(np.float16).astype(np.float32)
    kept = np.array(sorted(int(one.persona_id, 16) for one in verdicts if one.admitted))
    refused = np.array(sorted(int(one.persona_id, 16) for one in verdicts if not one.admitted))
    pairs = sum(
        int((stored[kept[at : at + 1000]] @ stored[kept].T >= THRESHOLD).sum()) - len(kept[at : at + 1000])
        for at in range(0, len(kept), 1000)
    )
    nearest = np.concatenate(
        [(stored[refused[at : at + 1000]] @ stored[kept].T).max(axis=1) for at in range(0, len(refused), 1000)]
    )
    wrong = refused[nearest < THRESHOLD - 1e-3]
    alive = {groups[row] for row in kept} | {groups[row] for row in set(refused.tolist()) - set(wrong.tolist())}
    return len(kept), pairs // 2, len(wrong), len(set(groups) - alive)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--shards", type=int, nargs="*", default=[1, 4])
    parser.add_argument("--senders", type=int, default=16)
    parser.add_argument("--batch", type=int, default=64, help="candidates of one call")
    parser.add_argument("--kill", action="store_true")
    options = parser.parse_args()
    draw = random.Random(0)
    made, groups = texts(options.texts, draw)
    began = time.process_time()
    vectors = LocalEncoder(Encoding()).encode(made)
    embedding_s = time.process_time() - began
    asked = [Candidate(f"{row:024x}", made[row]) for row in order(groups, draw)]
    ray.init("local", num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    senders = f"{options.senders} senders of {options.batch} at a time"
    print(f"{len(made):,} texts, {senders}; embedding them took {embedding_s:,.0f} CPU-seconds\n")
    print("|shards|kept|surviving pairs|wrongly refused|lost groups|seconds|CPU of the shards|of embedding|load|")
    print("|---|---|---|---|---|---|---|---|---|")
    bad = 0
    with tempfile.TemporaryDirectory() as place:
        np.save(f"{place}/vectors.npy", vectors)
        for count in options.shards:
            namespace = uuid.uuid4().hex
            embedder, names = Named("embedder", namespace), [Named(f"dedup-{at}", namespace) for at in range(count)]
            handles = [start(LookUp, embedder, made, f"{place}/vectors.npy", num_cpus=0)]
            for at, name in enumerate(names):
                arguments = (Thresholds(THRESHOLD), [embedder], f"{place}/{count}/{at}", DEFAULT_MODEL, at, names)
                handles.append(start(DedupService, name, *arguments, **LASTING))
            pids = ray.get([handle.pid.remote() for handle in handles[1:]])
            ray.get([handle.size.remote() for handle in handles[1:]])
            before, began = sum(map(cpu_s, pids)), time.perf_counter()
            verdicts = asyncio.run(send(names, asked, options.senders, options.batch, options.kill))
            seconds = time.perf_counter() - began
            used = "–" if options.kill else f"{sum(map(cpu_s, pids)) - before:,.0f} s"
            share = "–" if options.kill else f"{(sum(map(cpu_s, pids)) - before) / embedding_s:.1%}"
            kept, *faults = judged(verdicts, vectors, groups)
            bad += sum(faults)
            cells = [count, f"{kept:,}", *faults, f"{seconds:,.0f}", used, share, f"{os.getloadavg()[0]:.1f}"]
            print("|", "|".join(map(str, cells)), "|", sep="", flush=True)
            for handle in handles:
                ray.kill(handle)
    sys.exit(bool(bad))


def cpu_s(pid: int) -> float:
    used = psutil.Process(pid).cpu_times()
    return used.user + used.system


if __name__ == "__main__":
    main()
