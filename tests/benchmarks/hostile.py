"""A soak of the callers in front of an endpoint that is out to hurt them.

    python tests/benchmarks/hostile.py [--callers 1 4 16 --items 1200]

The tests' server answers with storms of 429 and Retry-After, 500s, resets, slow drips, truncated JSON and HTML bodies;
half of its keys die one by one; each key has requests and tokens per minute, which the server does not enforce but
counts. For each number of caller actors one row of a Markdown table, from the server's own account:

    items                done, failed under a name, and lost (neither; there must be none)
    early                requests to a key before the time that its 429 named; `--grace` seconds after the 429 are for
                         those that were on the wire, and for the callers to tell one another
    requests, tokens     the most of one key in any 60 seconds, of its limit; tokens as answers were paid

Exits with 1 where something was lost, early, or over a limit.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import ray
from fleet import fleet

sys.path.insert(0, str(Path(__file__).parents[1] / "end_to_end"))

from model_server_process import ModelServerProcess

from cluster.program import Done, Failed, Outcome

KEYS = [f"sk-hostile-{number}" for number in range(6)]
DYING = {KEYS[3]: "60:401", KEYS[4]: "120:403", KEYS[5]: "180:insufficient_quota"}
SHARE = {
    "500": 0.06,
    "429": 0.02,
    "reset": 0.03,
    "drip": 0.03,
    "truncated": 0.03,
    "html_502": 0.03,
    "html_200": 0.02,
    "slow": 0.01,
}
RPM, TPM = 600, 120_000
WINDOW_S = 60.0
CALLS, IN_FLIGHT = 2, 128


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of the items, and what the server saw."""

    outcomes: list[Outcome]
    seconds: float
    throttled: int
    early: int
    most_requests: float
    most_tokens: float

    @property
    def failed(self) -> Counter[str]:
        return Counter(str(one.kind) for one in self.outcomes if isinstance(one, Failed))

    @property
    def lost(self) -> int:
        return sum(not isinstance(one, Done | Failed) for one in self.outcomes) + self.failed["bug"]

    @property
    def kept(self) -> bool:
        return not self.lost and not self.early and self.most_requests <= RPM and self.most_tokens <= TPM


def soak(callers: int, options: argparse.Namespace) -> Verdict:
    """One fleet before a server of its own."""
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        server = ModelServerProcess(folder / "stderr", keys=KEYS, dying=DYING, share=SHARE, latency=0.1)
        server.set(grace_s=options.grace, drip_s=1.0, slow_s=2.0, window_s=WINDOW_S)
        (folder / "keys.txt").write_text("\n".join(KEYS))
        endpoint = {"base_url": server.base_url, "model": "m", "keys": [f"file:{folder}/keys.txt"]}
        endpoint |= {"requests_per_minute": RPM, "tokens_per_minute": TPM, "max_concurrency": 64}
        try:
            with fleet(folder, endpoint, callers, CALLS) as sender:
                began = time.monotonic()
                outcomes = sender.send.remote(options.items, IN_FLIGHT)
                while not ray.wait([outcomes], timeout=draw.uniform(2, 6))[0]:
                    server.set(storm={draw.choice(["429", *(f"429@{key}" for key in KEYS)]): draw.uniform(0.5, 3)})
                seconds = time.monotonic() - began
                return judged(ray.get(outcomes), seconds, server)
        finally:
            server.stop()


def judged(outcomes: list[Outcome], seconds: float, server: ModelServerProcess) -> Verdict:
    """From the server's log and ledgers."""
    log, stats = server.log(), server.stats()
    assert not stats["log_dropped"]
    by_key = [[row for row in log if row["key"] == key] for key in KEYS]
    requests = [densest((row["time"], 1) for row in rows) for rows in by_key]
    tokens = [
        densest((row["time"], row["prompt_tokens"] + row["completion_tokens"]) for row in rows if row["status"] == 200)
        for rows in by_key
    ]
    early = sum(ledger["early"] for ledger in stats["keys"].values())
    return Verdict(outcomes, seconds, stats["statuses"].get("429", 0), early, max(requests), max(tokens))


def densest(weights: Iterable[tuple[float, float]]) -> float:
    """The greatest sum of weights within any WINDOW_S, of pairs of time and weight."""
    most = held = 0.0
    pairs = sorted(weights)
    first = 0
    for at, weight in pairs:
        held += weight
        while pairs[first][0] <= at - WINDOW_S:
            held -= pairs[first][1]
            first += 1
        most = max(most, held)
    return most


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--callers", type=int, nargs="*", default=[1, 4, 16])
    parser.add_argument("--items", type=int, default=1200, help=f"programs of {CALLS} calls each")
    parser.add_argument("--grace", type=float, default=0.5, help="seconds after a 429 that are not counted as early")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init("local", num_cpus=8, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    kept = True
    print(f"{len(KEYS)} keys of which {len(DYING)} die, {RPM:,} requests and {TPM:,} tokens a minute each,", end=" ")
    print(f"{options.items:,} items of {CALLS} calls, {options.grace:g} s of grace\n")
    print("|callers|done|failed|lost|seconds|429s|early|requests in 60 s|tokens in 60 s|load|\n|---" + "|---" * 9 + "|")
    for callers in options.callers:
        found = soak(callers, options)
        done = sum(isinstance(one, Done) for one in found.outcomes)
        failed = ", ".join(f"{count} {kind}" for kind, count in found.failed.items()) or "0"
        cells = [callers, f"{done:,}", failed, found.lost, f"{found.seconds:.0f}", f"{found.throttled:,}", found.early]
        cells += [f"{found.most_requests:,.0f} of {RPM:,}", f"{found.most_tokens:,.0f} of {TPM:,}"]
        print("|", "|".join(map(str, [*cells, f"{os.getloadavg()[0]:.1f}"])), "|", sep="", flush=True)
        kept = kept and found.kept
    sys.exit(not kept)


if __name__ == "__main__":
    main()
