"""The dedup service under many senders: what survives, what is wrongly refused, and what it costs.

    python tests/benchmarks/dedup.py [--texts 100000 --shards 1 4 --senders 16 --batch 64 --kill --vectors FILE]

Persona texts with planted near-duplicates (a third of them: a word changed, an order turned, a phrase added), half of
the copies sent right next to their originals, by concurrent senders to shards that run as actors. The texts are
embedded once by the packaged all-MiniLM-L6-v2 (`--vectors` keeps the vectors for the next time); the shards then get
these vectors from an actor that looks them up, so that the figures are those of the service. One row of a Markdown
table for each number of shards, checked by brute force over all that was kept:

    surviving pairs      of kept ones at a cosine ≥ the threshold; there must be none
    wrongly refused      whose nearest kept one is below it; none
    lost groups          originals and copies of which none was kept, nor one that is near to them; none

CPU-seconds are of the shards. Exits with 1 where one of these is not zero.

With `--kill` there are three rows for each: one sender whose batches of 1,024 come one after the other and to one shard
at a time, so that what is to be kept follows from the order: undisturbed, and while one shard after another is killed
with -9; and the many senders with such kills. Exits with 1, too, where the first two kept different texts.
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
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import numpy as np
import psutil
import ray

sys.path.insert(0, str(Path(__file__).parents[2]))

from actors.dedup_service import DedupClient, DedupService, home_of
from actors.encoder import DEFAULT_MODEL, Encoding
from actors.local_encoder import LocalEncoder
from actors.logic.near_duplicates import Candidate, Thresholds, Verdict
from cluster.named import Named, start

THRESHOLD = 0.9
IN_ORDER = 1024
COLUMNS = ["shards", "stream", "kills", "kept", "surviving pairs", "wrongly refused", "lost groups", "seconds"]
COLUMNS += ["CPU of the shards", "of embedding", "load"]
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


async def send(
    shards: list[Named], asked: list[Candidate], senders: int, size: int, kill: bool
) -> tuple[list[Verdict], int]:
    """Batches, dealt in turn to the senders, so that neighbours meet in different calls at the same time."""
    client, batches = DedupClient(shards), [asked[at : at + size] for at in range(0, len(asked), size)]

    async def sender(number: int) -> list[Verdict]:
        return [verdict for batch in batches[number::senders] for verdict in await client.admit(batch)]

    async with killed(shards, kill) as kills:
        parts = await asyncio.gather(*map(sender, range(senders)))
    return [verdict for part in parts for verdict in part], len(kills)


async def send_in_order(shards: list[Named], asked: list[Candidate], kill: bool) -> tuple[list[Verdict], int]:
    """One batch after the other, and of each batch what one shard decides after what another does."""
    client, verdicts = DedupClient(shards), []
    async with killed(shards, kill) as kills:
        for at in range(0, len(asked), IN_ORDER):
            parts: dict[int, list[Candidate]] = {}
            for one in asked[at : at + IN_ORDER]:
                parts.setdefault(home_of(one.text, len(shards)), []).append(one)
            for home in sorted(parts):
                verdicts += await client.admit(parts[home])
    return verdicts, len(kills)


@asynccontextmanager
async def killed(shards: list[Named], kill: bool) -> AsyncIterator[list[int]]:
    """Meanwhile one shard after another is killed, if at all, two seconds after it is back; the process ids."""
    kills: list[int] = []
    killer = asyncio.create_task(killing(shards, kills)) if kill else None
    try:
        yield kills
    finally:
        if killer:
            killer.cancel()


async def killing(shards: list[Named], kills: list[int]) -> None:
    draw = random.Random(0)
    while True:
        with suppress(ray.exceptions.RayActorError, ProcessLookupError):
            shard = draw.choice(shards).handle()
            await shard.size.remote()  # it is back, and its index open
            pid = await shard.pid.remote()
            await asyncio.sleep(2)
            os.kill(pid, signal.SIGKILL)
            kills.append(pid)


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


@contextmanager
def serving(count: int, made: list[str], vectors: Path, folder: Path) -> Iterator[list[Named]]:
    """So many shards, which keep their logs in `folder`."""
    namespace = uuid.uuid4().hex
    embedder, names = Named("embedder", namespace), [Named(f"dedup-{at}", namespace) for at in range(count)]
    handles = [start(LookUp, embedder, made, str(vectors), num_cpus=0)]
    for at, name in enumerate(names):
        arguments = (Thresholds(THRESHOLD), [embedder], str(folder / str(at)), DEFAULT_MODEL, at, names)
        handles.append(start(DedupService, name, *arguments, **LASTING))
    ray.get([handle.size.remote() for handle in handles[1:]])
    yield names
    for handle in handles:
        ray.kill(handle)


def embedded(made: list[str], path: Path) -> float:
    """Writes the vectors where they are not yet there; the CPU-seconds that it took."""
    noted = path.with_suffix(".seconds")
    if not noted.exists():
        began = time.process_time()
        vectors = LocalEncoder(Encoding()).encode(made)
        noted.write_text(str(time.process_time() - began))
        np.save(path, vectors)
    return float(noted.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--shards", type=int, nargs="*", default=[1, 4])
    parser.add_argument("--senders", type=int, default=16)
    parser.add_argument("--batch", type=int, default=64, help="candidates of one call")
    parser.add_argument("--kill", action="store_true")
    parser.add_argument("--vectors", type=Path, help="where the vectors are, or will be (.npy)")
    options = parser.parse_args()
    draw = random.Random(0)
    made, groups = texts(options.texts, draw)
    asked = [Candidate(f"{row:024x}", made[row]) for row in order(groups, draw)]
    with tempfile.TemporaryDirectory() as place:
        path = options.vectors or Path(place, "vectors.npy")
        embedding_s, vectors = embedded(made, path), np.load(path)
        ray.init("local", num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        senders = f"{options.senders} senders of {options.batch} at a time"
        print(f"{len(made):,} texts, {senders}; embedding them took {embedding_s:,.0f} CPU-seconds\n")
        print("|" + "|".join(COLUMNS) + "|\n" + "|---" * len(COLUMNS) + "|")
        bad = 0
        for count in options.shards:
            undisturbed: set[str] = set()
            streams = ["in order", "in order killed", "many killed"] if options.kill else ["many"]
            for number, stream in enumerate(streams):
                with serving(count, made, path, Path(place, f"{count}-{number}")) as names:
                    pids = ray.get([name.handle().pid.remote() for name in names])
                    before, began, kill = sum(map(cpu_s, pids)), time.perf_counter(), "killed" in stream
                    if "many" in stream:
                        sent = send(names, asked, options.senders, options.batch, kill)
                    else:
                        sent = send_in_order(names, asked, kill)
                    verdicts, kills = asyncio.run(sent)
                    seconds = time.perf_counter() - began
                    used = 0.0 if kill else sum(map(cpu_s, pids)) - before
                kept, *faults = judged(verdicts, vectors, groups)
                bad += sum(faults)
                told = ["–", "–"] if kill else [f"{used:,.0f} s", f"{used / embedding_s:.1%}"]
                cells = [
                    count,
                    stream,
                    kills,
                    f"{kept:,}",
                    *faults,
                    f"{seconds:,.0f}",
                    *told,
                    f"{os.getloadavg()[0]:.1f}",
                ]
                print("|", "|".join(map(str, cells)), "|", sep="", flush=True)
                chosen = {one.persona_id for one in verdicts if one.admitted}
                if stream == "in order":
                    undisturbed = chosen
                elif stream == "in order killed":
                    differing = len(chosen ^ undisturbed)
                    bad += differing
                    print(f"\n{count} shards, in order: kept sets differ in {differing} texts\n", flush=True)
    sys.exit(bool(bad))


def cpu_s(pid: int) -> float:
    used = psutil.Process(pid).cpu_times()
    return used.user + used.system


if __name__ == "__main__":
    main()
