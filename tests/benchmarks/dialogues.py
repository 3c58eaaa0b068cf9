"""What dialogues cost beside the calls that they are made of: `python tests/benchmarks/dialogues.py [--rounds 3]`.

Prints a Markdown table of a caller's CPU per call, model time aside: of whole dialogues (three exchanges about a
document; with a judge, tools, look-ups), and of programs that make as many plain calls of the same sizes through the
same caller. Both take turns; ratios are medians of the ratios of each round, and the last column counts the CPU of the
actor that sends the programs too.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
from pathlib import Path

import ray
from asking import endpoint
from fast_server import FastServer, model_server
from fleet import Make, Spent, fleet
from talks import KINDS, Plains, Talks, Weighing

from cluster.lanes import Lanes
from cluster.meter import Tally
from cluster.paid_chat import PaidChat
from cluster.transport import OpenAITransport

_WEIGHED = 20  # dialogues of each kind


async def sizes(talks: Talks, url: str) -> list[tuple[int, ...]]:
    """The bytes that each call of some dialogues sends."""
    chat = PaidChat(Lanes([endpoint(url, 1)]), OpenAITransport(60), Tally(None))
    found = []
    for number in range(_WEIGHED):
        weighing = Weighing(chat)
        await talks(number).run(weighing)
        found.append(tuple(weighing.sizes))
    await chat.close()
    return found


def costs(spent: Spent) -> tuple[float, float]:
    """CPU milliseconds per call: of the caller, and of caller and sender."""
    own = spent.callers_cpu_s / spent.answers * 1000
    return own, own + spent.sender_cpu_s / spent.answers * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement, once it is warm")
    parser.add_argument("--in-flight", type=int, default=128)
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=list(KINDS))
    options = parser.parse_args()
    load = f"{os.getloadavg()[0]:.1f}"
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    print("|dialogues|calls of each|bytes of a call|CPU ms per call|plain|× plain|and the sender|")
    print("|---|---|---|---|---|---|---|")
    with model_server(0.0) as server:
        for kind in options.kinds:
            row(kind, server, options)
    print(f"\n{options.rounds} rounds of {options.seconds:g} s each, {options.in_flight} in flight;", end=" ")
    print(f"{os.cpu_count()} cores, load {load} → {os.getloadavg()[0]:.1f};", end=" ")
    print(f"ray {ray.__version__}, Python {sys.version.split()[0]}")


def row(kind: str, server: FastServer, options: argparse.Namespace) -> None:
    weighed = asyncio.run(sizes(KINDS[kind], server.base_url))
    ways: list[Make] = [KINDS[kind], Plains(weighed)]
    target = {"base_url": server.base_url, "model": "m", "max_concurrency": options.in_flight}
    found: list[list[tuple[float, float]]] = [[], []]
    with tempfile.TemporaryDirectory() as folder, fleet(Path(folder), target, 1) as sender:
        for number in range(options.rounds):
            for way in (0, 1) if number % 2 == 0 else (1, 0):
                kept = sender.keep.remote(server, options.in_flight, options.seconds / 2, options.seconds, ways[way])
                found[way].append(costs(ray.get(kept)))
    calls = [size for one in weighed for size in one]
    talk, plain = (statistics.median(own for own, _ in way) for way in found)
    ratios = [statistics.median(a[at] / b[at] for a, b in zip(*found, strict=True)) for at in (0, 1)]
    cells = [kind, f"{len(calls) / _WEIGHED:.1f}", f"{statistics.mean(calls):,.0f}", f"{talk:.2f}", f"{plain:.2f}"]
    print("|", "|".join(cells + [f"{one:.2f}" for one in ratios]), "|", sep="", flush=True)


if __name__ == "__main__":
    main()
