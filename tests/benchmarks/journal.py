"""What a journaled answer costs: `python tests/benchmarks/journal.py [RECORDS …]` prints one table.

Each step runs in a process of its own, so that its memory is its own: anonymous memory (`RssAnon`, what it holds) and
mapped file pages (`RssFile`, which the kernel can take back).
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
    started = time.perf_counter()
    for number in range(count):
        json.dumps(some[number % 100])
    dumps = per_second(count, started)
    writer = JournalWriter(folder, "benchmark", **options)
    started = time.perf_counter()
    for number, key in enumerate(keys):
        writer.append(key, f"document {number}", some[number % 100])
    appends = per_second(count, started)
    writer.close()
    return {"json.dumps µs": 1e6 / dumps, "append µs": 1e6 / appends, "appends/s": appends}


def write_unsynced(folder, count):
    return {"append µs, no fsync": write(folder / "unsynced", count, fsync_every_s=None)["append µs"]}


def index(folder, count):
    started = time.perf_counter()
    summary = index_segments(folder)
    rate = per_second(count, started)
    on_disk = sum(path.stat().st_size for path in (folder / "index").iterdir())
    started = time.perf_counter()
    index_segments(folder)
    again = time.perf_counter() - started
    figures = {"bytes/record": summary.bytes / count, "indexed/s": rate, "index bytes/record": on_disk / count}
    return figures | {"index again ms": again * 1e3, **memory("index")}


def look_up(folder, count):
    started = time.perf_counter()
    reader = JournalReader(folder)
    opened = (time.perf_counter() - started) * 1e3
    sample = random.Random(1).sample(range(count), min(count, 100_000))
    held = [call_key(request(number), "") for number in sample]
    other = [call_key(request(number), "other") for number in sample]
    rates = []
    for keys, found in ((held, True), (other, False)):
        started = time.perf_counter()
        assert all((reader.get(key) is not None) is found for key in keys)
        rates.append(per_second(len(keys), started))
    return {"open ms": opened, "hits/s": rates[0], "misses/s": rates[1], **memory("reader")}


def start(folder, count):
    return memory("bare")


def memory(whose):
    status = Path("/proc/self/status").read_text()
    kinds = ("RssAnon", "RssFile")
    return {f"{whose} {kind} MB": int(re.search(rf"{kind}:\s+(\d+)", status)[1]) / 1024 for kind in kinds}


STEPS = {step.__name__: step for step in (start, write, write_unsynced, index, look_up)}


def measure(count):
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        for step in STEPS:
            command = [sys.executable, __file__, "--step", step, folder, str(count)]
            figures |= json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return figures | {"append ÷ json.dumps": figures["append µs"] / figures["json.dumps µs"]}


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
