"""What a model call costs the caller: `python tests/benchmarks/calls.py [--seconds 3 --rounds 5 --in-flight 256]`.

Prints a Markdown table of calls per CPU-second of this process, the medians of rounds in which all ways take turns:

    bare        one aiohttp session, the same POSTs, json.loads, the text taken out; the yardstick
    transport   OpenAITransport alone
    stack       JournaledChat over PaidChat over OpenAITransport: lanes, and a journal on the disk, as in a caller
    caller      the same, with the garbage collector set as it is in the process of a caller
    openai      openai.AsyncOpenAI as it comes

The server is the tests' own, in a process of its own, whose CPU time does not count. All ways run on uvloop where it
is installed, as Ray's actors do.
"""

import argparse
import asyncio
import gc
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import openai
from asking import KEY, endpoint, messages, request

from cluster.collector import collect_seldom
from cluster.journal import JournalReader, JournalWriter
from cluster.journaled_chat import JournaledChat
from cluster.lanes import Lanes
from cluster.meter import Tally
from cluster.paid_chat import PaidChat
from cluster.transport import OpenAITransport

try:
    from uvloop import new_event_loop
except ImportError:
    from asyncio import new_event_loop

SERVER = Path(__file__).parents[1] / "model_server.py"


@asynccontextmanager
async def bare(url, in_flight):
    headers = {"Authorization": f"Bearer {KEY}"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def call(number):
            body = {"model": "m", "messages": messages(number), "temperature": 0.9, "max_tokens": 200, "seed": number}
            async with session.post(f"{url}/chat/completions", json=body, headers=headers) as response:
                return json.loads(await response.read())["choices"][0]["message"]["content"]

        yield call


@asynccontextmanager
async def transport(url, in_flight):
    way = OpenAITransport(60)
    [lane] = Lanes([endpoint(url, in_flight)])

    async def call(number):
        return (await way.send(lane, request(number))).text

    yield call
    await way.close()


@asynccontextmanager
async def stack(url, in_flight):
    with tempfile.TemporaryDirectory() as folder:
        tally = Tally(None)
        paid = PaidChat(Lanes([endpoint(url, in_flight)]), OpenAITransport(60), tally)
        chat = JournaledChat(paid, JournalReader(Path(folder)), JournalWriter(Path(folder), "benchmark"), tally)

        async def call(number):
            return (await chat.answer(request(number))).text

        yield call
        await chat.close()


@asynccontextmanager
async def caller(url, in_flight):
    before = gc.get_threshold()
    async with stack(url, in_flight) as call:
        collect_seldom()
        yield call
    gc.set_threshold(*before)
    gc.unfreeze()


@asynccontextmanager
async def by_openai(url, in_flight):
    async with openai.AsyncOpenAI(base_url=url, api_key=KEY, max_retries=0, timeout=60) as client:

        async def call(number):
            answer = await client.chat.completions.create(
                model="m", messages=messages(number), temperature=0.9, max_tokens=200, seed=number
            )
            return answer.choices[0].message.content

        yield call


WAYS = {"bare": bare, "transport": transport, "stack": stack, "caller": caller, "openai": by_openai}


async def measure(way, url, numbers, in_flight, seconds):
    """Calls per CPU-second and per second of `in_flight` loops that call one after the other, once they are warm."""
    count = 0
    async with way(url, in_flight) as call:

        async def loop(until):
            nonlocal count
            while time.perf_counter() < until:
                assert await call(next(numbers))
                count += 1

        async def all_loops(seconds):
            until = time.perf_counter() + seconds
            await asyncio.gather(*(loop(until) for _ in range(in_flight)))

        await all_loops(seconds / 5)
        count, cpu, wall = 0, time.process_time(), time.perf_counter()
        await all_loops(seconds)
        return count / (time.process_time() - cpu), count / (time.perf_counter() - wall)


def start_server(latency):
    command = [sys.executable, str(SERVER), "--port", "0", "--latency", str(latency)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    return process, json.loads(process.stdout.readline())["base_url"]


def rounds(latency, options):
    """(calls per CPU-second, calls per second) of each way, one pair per round."""
    server, url = start_server(latency)
    numbers = itertools.count()
    found = {name: [] for name in options.ways}
    try:
        for number in range(options.rounds):
            for name in options.ways if number % 2 == 0 else reversed(options.ways):
                gc.collect()
                with asyncio.Runner(loop_factory=new_event_loop) as runner:
                    one = measure(WAYS[name], url, numbers, options.in_flight, options.seconds)
                    found[name].append(runner.run(one))
    finally:
        server.terminate()
        server.wait()
    return found


def table(latency, found, in_flight):
    """Ratios are medians of the ratios of each round."""

    def times(name, other):
        return statistics.median(one[0] / two[0] for one, two in zip(found[name], found[other], strict=True))

    print(f"\n{in_flight} in flight, server latency {latency * 1000:g} ms\n")
    against = [name for name in ("bare", "openai") if name in found]
    print("|way|calls per CPU-second|calls per second|", *(f"× {name}|" for name in against), sep="")
    print("|---|---|---|", "---|" * len(against), sep="")
    for name, pairs in found.items():
        per_cpu, per_second = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratios = "".join(f"{times(name, other):.2f}|" for other in against)
        print(f"|{name}|{per_cpu:,.0f}|{per_second:,.0f}|{ratios}")


def main():
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--in-flight", type=int, default=256)
    parser.add_argument("--latency", type=float, nargs="*", default=[0.0, 0.2])
    parser.add_argument("--ways", nargs="*", choices=WAYS, default=list(WAYS))
    options = parser.parse_args()
    loads = f"{os.getloadavg()[0]:.1f}"
    for latency in options.latency:
        table(latency, rounds(latency, options), options.in_flight)
    loads += f" → {os.getloadavg()[0]:.1f}"
    body = len(json.dumps(messages(0)))
    print(f"\n{options.rounds} rounds of {options.seconds:g} s each, requests of {body} bytes of messages;", end=" ")
    print(f"{os.cpu_count()} cores, load {loads}; {new_event_loop.__module__}, aiohttp {aiohttp.__version__},", end=" ")
    print(f"openai {openai.__version__}, Python {sys.version.split()[0]}")


if __name__ == "__main__":
    main()
