"""Peak memory of every process of a run about a few documents, for few and for many rows.

    python tests/benchmarks/flat_memory.py [ROWS …]      default: 1000 10000

Prints the peak resident sizes (VmHWM, as the kernel kept them) in MB, the largest of each kind of process, and the
last column over the first. The model is the tests' server, without latency, in a process of its own.

A unit has 100 dialogues in a small run and at most 500 in one of 32,000 rows or more, so that writers and callers grow
up to there.
"""

from __future__ import annotations

import sys
from pathlib import Path

import psutil
from fast_server import model_server
from memory import measure, table

TOPICS = ("bees", "tides", "clocks", "bread", "roads", "wool", "glass", "rivers", "stars", "seeds")


def peak_rss(process: psutil.Process) -> float:
    """MB, the most that the process ever had."""
    told = Path(f"/proc/{process.pid}/status").read_text()
    return int(told.partition("VmHWM:")[2].split()[0]) / 1024


def texts() -> list[str]:
    return [f"What is known of {one} in this place is told here, and of {two}." for one in TOPICS for two in TOPICS[:2]]


def main() -> None:
    counts = [int(one) for one in sys.argv[1:]] or [1000, 10_000]
    plain = {"personas": {"dedup": {"scope": "none"}, "depth": 0}}
    with model_server(0) as server:
        peaks = [
            measure(count, server.base_url, texts(), peak_rss, **plain, conversations={"count": count, "max_turns": 1})
            for count in counts
        ]
    grown = {kind: size / peaks[0][kind] for kind, size in peaks[-1].items() if kind in peaks[0]}
    table([f"{count:,} rows" for count in counts], peaks)
    print(f"the last over the first, at most: {max(grown.values()):.2f}, of {max(grown, key=grown.__getitem__)}")


if __name__ == "__main__":
    main()
