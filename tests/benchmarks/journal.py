"""What a journaled answer costs: `python tests/benchmarks/journal.py [RECORDS …]` prints one table.

µs are of CPU time, rates of wall time. Each step runs in a process of its own, and its memory is what it grew by:
anonymous memory (`anon`, what it holds) and mapped file pages (`mapped`, which the kernel can take back).
"""

import json
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from cluster.journal import JournalReader, JournalWriter, call_key, index_segments

WORDS = [
    f"{word}{end}" for word in ("harbour", "teacher", "Größe", '"quote"', "line\n") for end in ("", "s", ", ", ".")
]


def request(number):
    return {"model": "m", "messages": [{"role": "user", "content": f"question {number}"}], "temperature": 0.7}


def answers():
    """A hundred answers of some 0.9 kB."""
    rng = random.Random(0)
    usage = {"prompt_tokens": 812, "completion_tokens": 140}
    texts = [" ".join(rng.choices(WORDS, k=105)) for _ in range(100)]
    return [{"text": text, "model": "gpt-5-mini", "finish_reason": "stop", "usage": usage} for text in texts]


def per_second(count, started):
    return count / (time.perf_counter() - started)


def write(folder, count, **options):
    some, keys = answers(), [call_key(request(number), "") for number in range(count)]
    started = time.process_time()
    for number in range(count):
        json.dumps(some[number % 100])
    dumps = (time.process_time() - started) / count * 1e6
    writer = JournalWriter(folder, "benchmark", **options)
    started, cpu = time.perf_counter(), time.process_time()
    for number, key in enumerate(keys):
        writer.append(key, f"document {number}", some[number % 100])
    appends, append = per_second(count, started), (time.process_time() - cpu) / count * 1e6
    writer.close()
    return {"json.dumps µs": dumps, "append µs": append, "append ÷ json.dumps": append / dumps, "appends/s": appends}


def write_unsynced(folder, count):
    return {"appends/s, no fsync": write(folder / "unsynced", count, fsync_every_s=None)["appends/s"]}


def index(folder, count):
    before, started = memory("VmHWM"), time.perf_counter()
    summary = index_segments(folder)
    rate, peak = per_second(count, started), memory("VmHWM") - before
    on_disk = sum(path.stat().st_size for path in (folder / "index").iterdir())
    started = time.perf_counter()
    index_segments(folder)
    again = (time.perf_counter() - started) * 1e3
    figures = {"bytes/record": summary.bytes / count, "index bytes/record": on_disk / count, "indexed/s": rate}
    return figures | {"peak of indexing MB": peak, "index again ms": again}


def look_up(folder, count):
    sample = random.Random(1).sample(range(count), min(count, 100_000))
    held = [call_key(request(number), "") for number in sample]
    other = [call_key(request(number), "other") for number in sample]
    anon, mapped, started = memory("RssAnon"), memory("RssFile"), time.perf_counter()
    reader = JournalReader(folder)
    opened = (time.perf_counter() - started) * 1e3
    rates = []
    for keys, found in ((held, True), (other, False)):
        started = time.perf_counter()
        assert all((reader.get(key) is not None) is found for key in keys)
        rates.append(per_second(len(keys), started))
    grown = {"reader anon MB": memory("RssAnon") - anon, "reader mapped MB": memory("RssFile") - mapped}
    return {"open ms": opened, "hits/s": rates[0], "misses/s": rates[1], **grown}


def start(folder, count):
    return {"bare process RSS MB": memory("VmRSS")}


def memory(kind):
    return int(re.search(rf"{kind}:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


STEPS = {step.__name__: step for step in (start, write, write_unsynced, index, look_up)}


def measure(count):
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        for step in STEPS:
            command = [sys.executable, __file__, "--step", step, folder, str(count)]
            figures |= json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return figures


def main():
    if sys.argv[1:2] == ["--step"]:
        step, folder, count = sys.argv[2:]
        print(json.dumps(STEPS[step](Path(folder), int(count))))
        return
    counts = [int(argument) for argument in sys.argv[1:]] or [10**5, 10**6]
    columns = [measure(count) for count in counts]
    print(f"{'records':>24}", *(f"{count:>12,}" for count in counts))
    for name in columns[0]:
        print(f"{name:>24}", *(f"{column[name]:>12,.{0 if column[name] >= 100 else 1}f}" for column in columns))


if __name__ == "__main__":
    main()
