"""What model calls cost through the caller actors of a run: programs sent by a `CallerPool` in another actor.

    python tests/benchmarks/caller_actors.py [--rounds 3 --seconds 4 --in-flight 256]

prints three Markdown tables. The first two, for a server latency of 0 and of 200 ms: calls per CPU-second through one
caller, beside a bare aiohttp session, `openai.AsyncOpenAI` and Ray Data's `HttpRequestProcessor`; all take turns, and
ratios are medians of the ratios of each round. The CPU is that of the process that talks to the server; for a caller
the second figure counts the actor that sends it programs too. The third: 1,000 calls in flight over two callers, at
rising latencies, against the ideal of in-flight ÷ latency; where the cores are used up, CPU is the bound.

A program makes four calls, as a dialogue of two exchanges does. The server is nginx where it is installed
(`fast_server.py`), and its own ceiling is printed first.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path

import calls
import psutil
import ray
from asking import KEY, messages
from fast_server import FastServer, ceiling, cpu_s, fast_server
from fleet import Spent, fleet

_RAY_DATA_ROWS, _RAY_DATA_BATCH = 12_800, 16  # it answers a batch one row after the other: larger ones come too late


def endpoint_of(server: FastServer, in_flight: int) -> dict[str, object]:
    return {"base_url": server.base_url, "model": "m", "max_concurrency": in_flight}


def through_caller(server: FastServer, options: argparse.Namespace) -> tuple[float, float, float]:
    """(calls per CPU-second of the caller, of caller and sender, calls per second)."""
    endpoint = endpoint_of(server, options.in_flight)
    with tempfile.TemporaryDirectory() as folder, fleet(Path(folder), endpoint, 1) as sender:
        spent: Spent = ray.get(sender.keep.remote(server, options.in_flight, options.seconds / 2, options.seconds))
    both = spent.callers_cpu_s + spent.sender_cpu_s
    return spent.answers / spent.callers_cpu_s, spent.answers / both, spent.answers / spent.seconds


def in_process(way: str, url: str, in_flight: int, seconds: float) -> tuple[float, float]:
    """(calls per CPU-second, calls per second) of one of the ways of `calls.py`, in this process."""
    with asyncio.Runner(loop_factory=calls.new_event_loop) as runner:
        return runner.run(calls.measure(calls.WAYS[way], url, itertools.count(), in_flight, seconds))


def by_ray_data(url: str, seconds: float) -> tuple[float, float]:
    """(calls per CPU-second of the actor that sends them, calls per second) of `HttpRequestProcessor` as it comes."""
    from ray.data.llm import HttpRequestProcessorConfig, build_processor

    ray.data.DataContext.get_current().enable_progress_bars = False
    config = HttpRequestProcessorConfig(
        url=f"{url}/chat/completions",
        headers={"Authorization": f"Bearer {KEY}"},
        concurrency=1,
        batch_size=_RAY_DATA_BATCH,
    )
    processor = build_processor(
        config,
        preprocess=lambda row: {"payload": {"model": "m", "messages": messages(int(row["id"])), "max_tokens": 200}},
        postprocess=lambda row: {"text": row["http_response"]["choices"][0]["message"]["content"]},
    )
    batches = iter(
        processor(ray.data.range(_RAY_DATA_ROWS, override_num_blocks=_RAY_DATA_ROWS // _RAY_DATA_BATCH)).iter_batches(
            batch_size=None
        )
    )
    next(batches)  # up and warm
    answered, began = 0, time.perf_counter()
    [actor] = [one for one in _ray_workers() if "HttpRequest" in " ".join(one.cmdline())]
    used = cpu_s(actor.pid)
    for batch in batches:
        answered += len(batch["text"])
        if time.perf_counter() > began + seconds:
            break
    wall, used = time.perf_counter() - began, cpu_s(actor.pid) - used
    batches.close()
    return answered / used, answered / wall


def _ray_workers() -> Iterator[psutil.Process]:
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if "ray::" in " ".join(process.cmdline()):
                yield process


def cost_table(server: FastServer, latency: float, options: argparse.Namespace) -> None:
    """Calls per CPU-second of each way."""
    rows: dict[str, list[tuple[float, ...]]] = {}
    with ProcessPoolExecutor(1, get_context("spawn")) as apart:
        for _ in range(options.rounds):
            for way in ("bare", "openai"):
                measured = apart.submit(in_process, way, server.base_url, options.in_flight, options.seconds)
                rows.setdefault(way, []).append(measured.result())
            alone, both, per_second = through_caller(server, options)
            rows.setdefault("caller actor", []).append((alone, per_second))
            rows.setdefault("caller actor and its sender", []).append((both, per_second))
    with suppress(ImportError):
        rows["Ray Data's HttpRequestProcessor"] = [by_ray_data(server.base_url, options.seconds)] * options.rounds
    print(f"\n{options.in_flight} in flight, server latency {latency * 1000:g} ms\n")
    print("|way|calls per CPU-second|calls per second|× bare|× openai|\n|---|---|---|---|---|")
    for way, pairs in rows.items():
        per_cpu, per_second = (statistics.median(column) for column in zip(*pairs, strict=True))
        against = [_ratio(pairs, rows[other]) for other in ("bare", "openai")]
        print(f"|{way}|{per_cpu:,.0f}|{per_second:,.0f}|", *(f"{one:.2f}|" for one in against), sep="", flush=True)


def _ratio(one: list[tuple[float, ...]], other: list[tuple[float, ...]]) -> float:
    return statistics.median(a[0] / b[0] for a, b in zip(one, other, strict=True))


def fleet_row(server: FastServer, latency: float, options: argparse.Namespace) -> None:
    """1,000 in flight over two callers, which have twice as many programs to choose from."""
    ideal, used = options.fleet / latency, server.cpu_s()
    endpoint = endpoint_of(server, options.fleet)
    with tempfile.TemporaryDirectory() as folder, fleet(Path(folder), endpoint, 2) as sender:
        warm_s = 4 + 12 * latency  # the lanes begin low, and double with each round of answers
        began = time.perf_counter()
        spent: Spent = ray.get(sender.keep.remote(server, 2 * options.fleet, warm_s, options.seconds + 8 * latency))
        all_s = time.perf_counter() - began
    share = [spent.callers_cpu_s / spent.seconds, spent.sender_cpu_s / spent.seconds, (server.cpu_s() - used) / all_s]
    reached = spent.answers / spent.seconds
    cells = [f"{latency * 1000:g} ms", f"{ideal:,.0f}", f"{reached:,.0f}", f"{reached / ideal:.1%}"]
    print("|", "|".join(cells + [f"{one:.0%}" for one in share]), "|", sep="", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement, once it is warm")
    parser.add_argument("--in-flight", type=int, default=256)
    parser.add_argument("--latency", type=float, nargs="*", default=[0.0, 0.2])
    parser.add_argument("--fleet", type=int, default=1000, help="calls in flight over two callers")
    parser.add_argument("--fleet-latency", type=float, nargs="*", default=[0.2, 0.5, 1.0, 2.0])
    options = parser.parse_args()
    load = f"{os.getloadavg()[0]:.1f}"
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init("local", num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    with fast_server(0.0) as server:
        per_cpu, per_second = asyncio.run(ceiling(server, 64, options.seconds))
        print(f"the server is {server.name}: {per_cpu:,.0f} calls per CPU-second, {per_second:,.0f} reached per second")
    for latency in options.latency:
        with fast_server(latency) as server:
            cost_table(server, latency, options)
    if options.fleet_latency:
        print(f"\n{options.fleet:,} in flight over two callers\n")
        print("|latency|ideal calls/s|reached|of the ideal|CPU of both callers|of the sender|of the server|")
        print("|---|---|---|---|---|---|---|")
    for latency in options.fleet_latency:
        with fast_server(latency) as server:
            fleet_row(server, latency, options)
    print(f"\n{options.rounds} rounds of {options.seconds:g} s each; {os.cpu_count()} cores, load {load} → ", end="")
    print(f"{os.getloadavg()[0]:.1f}; ray {ray.__version__}, Python {sys.version.split()[0]}")


if __name__ == "__main__":
    main()
