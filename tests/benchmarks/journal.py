"""What a journaled answer costs: `python tests/benchmarks/journal.py [RECORDS …]` prints one table.

µs are of CPU time, rates and seconds of wall time. Each step runs in a process of its own, and its memory is what it
grew by: anonymous memory (`anon`, what it holds, at its peak where that is said) and mapped file pages (`mapped`, which
the kernel can take back). With `--short`, answers are of some 50 bytes instead of 0.9 kB: the index and its memory are
the same, and ten million fit on a small disk.
"""

import asyncio
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

sys.path.insert(0, str(Path(__file__).parents[2]))

from cluster.journal import JournalReader, JournalWriter, call_key, compact, index_segments, segments
from cluster.journal.compaction_rule import Rule

ROOT = Path(__file__).parents[2]
WORDS = [
    f"{word}{end}" for word in ("harbour", "teacher", "Größe", '"quote"', "line\n") for end in ("", "s", ", ", ".")
]
SHORT = "--short"
REMOTE_S = 8
IN_FLIGHT = 64


def request(number):
    return {"model": "m", "messages": [{"role": "user", "content": f"question {number}"}], "temperature": 0.7}


def answers():
    """A hundred answers of some 0.9 kB, or short ones."""
    rng = random.Random(0)
    if SHORT in sys.argv:
        return [{"text": f"answer {number}"} for number in range(100)]
    usage = {"prompt_tokens": 812, "completion_tokens": 140}
    texts = [" ".join(rng.choices(WORDS, k=105)) for _ in range(100)]
    return [{"text": text, "model": "gpt-5-mini", "finish_reason": "stop", "usage": usage} for text in texts]


def per_second(count, started):
    return count / (time.perf_counter() - started)


def write(folder, count, writer_id="benchmark", start=0, **options):
    some = answers()
    started = time.process_time()
    for number in range(min(count, 100_000)):
        json.dumps(some[number % 100])
    dumps = (time.process_time() - started) / min(count, 100_000) * 1e6
    writer = JournalWriter(folder, writer_id, **options)
    took = cpu = 0.0

    async def append():
        nonlocal took, cpu
        for begin in range(start, start + count, 100_000):
            keys = [call_key(request(number), "") for number in range(begin, min(begin + 100_000, start + count))]
            wall, before = time.perf_counter(), time.process_time()
            for number, key in enumerate(keys):
                await writer.append(key, f"document {number}", some[number % 100])
            took, cpu = took + time.perf_counter() - wall, cpu + time.process_time() - before
        await writer.close()

    asyncio.run(append())
    each = cpu / count * 1e6
    return {"json.dumps µs": dumps, "append µs": each, "append ÷ json.dumps": each / dumps, "appends/s": count / took}


def write_unsynced(folder, count):
    count = min(count, 10**6)
    return {"appends/s, no fsync": write(folder / "unsynced", count, fsync_every_s=None)["appends/s"]}


def index(folder, count):
    with peak() as anon:
        started = time.perf_counter()
        summary = index_segments(folder)
        rate = per_second(count, started)
    on_disk = sum(path.stat().st_size for path in (folder / "index").iterdir())
    started = time.perf_counter()
    index_segments(folder)
    again = (time.perf_counter() - started) * 1e3
    figures = {"bytes/record": summary.bytes / count, "index bytes/record": on_disk / count, "indexed/s": rate}
    return figures | {"indexing, peak anon MB": anon[0], "index again ms": again}


def look_up(folder, count):
    sample = random.Random(1).sample(range(count), min(count, 100_000))
    held = [call_key(request(number), "") for number in sample]
    other = [call_key(request(number), "other") for number in sample]
    anon, mapped, started = memory("RssAnon"), memory("RssFile"), time.perf_counter()
    reader = JournalReader(folder)
    opened = (time.perf_counter() - started) * 1e3
    rates = []

    async def ask(keys, found):
        started = time.perf_counter()
        for key in keys:
            assert (await reader.get(key) is not None) is found
        rates.append(per_second(len(keys), started))

    asyncio.run(ask(held, True))
    asyncio.run(ask(other, False))
    grown = {"reader anon MB": memory("RssAnon") - anon, "reader mapped MB": memory("RssFile") - mapped}
    return {"open ms": opened, "hits/s": rates[0], "misses/s": rates[1], **grown}


def catch_up(folder, count):
    """A reader that was open from the start takes in all that was written since."""
    (folder / "late").mkdir()
    reader = JournalReader(folder / "late")
    for path in segments(folder):
        os.link(path, folder / "late" / path.name)
    with peak() as anon:
        started = time.perf_counter()
        assert reader.catch_up() == count
        rate = per_second(count, started)
    return {"caught up/s": rate, "catching up, peak anon MB": anon[0]}


def compaction(folder, count):
    """Segments of which a third were paid twice become one."""
    write(folder, count // 2, "again")
    index_segments(folder)
    before = sum(path.stat().st_size for path in segments(folder))
    with peak() as anon:
        started = time.perf_counter()
        summary = compact(folder, Rule(small_bytes=1 << 40, many=1))
        took = time.perf_counter() - started
    assert summary.duplicates == 0 and summary.records == count
    rates = {"compacted records/s": 1.5 * count / took, "compacted MB/s": before / 1e6 / took}
    return rates | {"compacting, peak anon MB": anon[0]}


def remote(folder, count):
    """64 callers that each append one answer after the other to an S3 on this machine, in segments of a second."""
    os.environ |= {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "POPULACE_CACHE": str(folder)}
    from cluster.journal import open_writer
    from cluster.object_path import path_of

    with subprocess.Popen([sys.executable, ROOT / "tests" / "object_store.py"], stdout=subprocess.PIPE) as server:
        os.environ["AWS_ENDPOINT_URL"] = address = f"http://127.0.0.1:{int(server.stdout.readline())}"
        with urlopen(Request(f"{address}/bucket", method="PUT")):
            pass
        taken = []

        async def caller(writer, some, until):
            while (started := time.perf_counter()) < until:
                number = len(taken)
                taken.append(0.0)
                await writer.append(call_key(request(number), ""), "", some[number % 100])
                taken[number] = time.perf_counter() - started

        async def main():
            writer = open_writer(path_of("s3://bucket/journal"), "w")
            until = time.perf_counter() + REMOTE_S
            await asyncio.gather(*(caller(writer, answers(), until) for _ in range(IN_FLIGHT)))
            await writer.close()

        asyncio.run(main())
        server.terminate()
    taken.sort()
    return {"remote append ms, median": taken[len(taken) // 2] * 1e3, "remote append ms, most": taken[-1] * 1e3}


def start(folder, count):
    return {"bare process RSS MB": memory("VmRSS")}


def memory(kind):
    return int(re.search(rf"{kind}:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


@contextmanager
def peak():
    """A list whose only entry is, afterwards, by how much anonymous memory had grown at most, in MB."""
    before, found, done = memory("RssAnon"), [0.0], threading.Event()

    def look():
        while not done.wait(0.02):
            found[0] = max(found[0], memory("RssAnon") - before)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        done.set()
        thread.join()


STEPS = {one.__name__: one for one in (start, write, write_unsynced, index, look_up, catch_up, compaction, remote)}


def measure(count, options):
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        for step in STEPS:
            command = [sys.executable, __file__, "--step", step, folder, str(count), *options]
            figures |= json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return figures


def main():
    if sys.argv[1:2] == ["--step"]:
        step, folder, count = sys.argv[2:5]
        print(json.dumps(STEPS[step](Path(folder), int(count))))
        return
    options = [argument for argument in sys.argv[1:] if argument == SHORT]
    counts = [int(argument) for argument in sys.argv[1:] if argument.isdigit()] or [10**5, 10**6]
    columns = [measure(count, options) for count in counts]
    print(f"{'records':>26}", *(f"{count:>12,}" for count in counts))
    for name in columns[0]:
        print(f"{name:>26}", *(f"{column[name]:>12,.{0 if column[name] >= 100 else 1}f}" for column in columns))


if __name__ == "__main__":
    main()
