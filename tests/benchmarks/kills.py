"""A soak of killing: callers, the key broker and the driver of a real `populace run`, at random moments, with -9.

    python tests/benchmarks/kills.py [--rounds 50 --seed 0]

Runs the same config into one folder after another until so many processes were killed; a killed driver is started again
on its folder. Prints a Markdown table, a row per folder, by the account of the tests' model server: what was killed,
how many requests were in flight at those moments, how many answers were paid for twice, and whether the ids of
personas and conversations are those of a run that nothing disturbed. Exits with 1 where more was paid twice than was in
flight, where an id is missing or too many, or where an item failed.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "end_to_end"))

from jobs import KEY, actor_processes, conversation_ids, persona_ids, rows, write_config, write_corpus
from model_server_process import ModelServerProcess

ROOT = Path(__file__).resolve().parents[2]
ENV = {"POPULACE_TEST_KEY": KEY, "RAY_USAGE_STATS_ENABLED": "0"}
KINDS = {"caller": "LLMCaller", "broker": "KeyBroker", "driver": ""}
BETWEEN = (30, 300)  # requests from one kill to the next
PATIENCE_S = 600.0


@dataclass(slots=True)
class Soak:
    """One folder: what was killed in it, and with how much in flight."""

    folder: Path
    killed: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0


class Job:
    """`populace run` on the folder of a soak, started again whenever it was killed."""

    def __init__(self, config: Path, folder: Path) -> None:
        self._command = [sys.executable, "-m", "pipelines", "run", str(config), "--set", f"run_dir={folder}"]
        self._log = folder.parent / f"{folder.name}.log"
        self.driver = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(self._command, cwd=ROOT, env=os.environ | ENV, stdout=log, stderr=log)

    def resume(self) -> None:
        self.driver.wait()
        self.driver = self._start()

    def has_ended(self) -> bool:
        """Whether it is done; RuntimeError where it ended otherwise."""
        code = self.driver.poll()
        if code:
            raise RuntimeError(f"populace run ended with {code}:\n{self._log.read_text()[-3000:]}")
        return code == 0

    def end(self) -> None:
        """Kill what is left of it."""
        if self.driver.poll() is None:
            below = psutil.Process(self.driver.pid).children(recursive=True)
            for process in [psutil.Process(self.driver.pid), *below]:
                process.kill()
            self.driver.wait()


def soak(job: Job, one: Soak, server: ModelServerProcess, rounds: int, draw: random.Random) -> None:
    """Kill until the run is done, or `rounds` times; then let it finish."""
    target = draw.randint(*BETWEEN)
    deadline = time.monotonic() + PATIENCE_S
    while not job.has_ended():
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing happened for {PATIENCE_S:g} s")
        if one.killed.total() < rounds and server.stats()["requests"] >= target:
            kill(job, one, server, draw.choice(list(KINDS)), draw)
            target = server.stats()["requests"] + draw.randint(*BETWEEN)
            deadline = time.monotonic() + PATIENCE_S
        time.sleep(draw.uniform(0.01, 0.1))


def kill(job: Job, one: Soak, server: ModelServerProcess, kind: str, draw: random.Random) -> None:
    """End a process of this kind, where there is one at the moment, and count what was in flight around it: the callers
    of a killed driver live on for a moment, and go on."""
    victims = actor_processes(job.driver.pid, KINDS[kind]) if KINDS[kind] else [psutil.Process(job.driver.pid)]
    if not victims:
        return
    victim = draw.choice(victims)
    dying = actor_processes(job.driver.pid, KINDS["caller"]) if kind == "driver" else [victim]
    in_flight = server.stats()["in_flight"]
    victim.kill()
    while any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in dying):
        in_flight = max(in_flight, server.stats()["in_flight"])
    one.in_flight += max(in_flight, server.stats()["in_flight"])
    one.killed[kind] += 1
    if kind == "driver":
        job.resume()


def told(one: Soak, stats: Mapping[str, int], ids: tuple[list[str], list[str]]) -> bool:
    """Print the row of a folder; whether all was kept."""
    same = (persona_ids(one.folder), conversation_ids(one.folder)) == ids
    failed = len(rows(one.folder, "failures"))
    kept = same and not failed and stats["repaid"] <= one.in_flight
    killed = ", ".join(f"{count} × {kind}" for kind, count in sorted(one.killed.items())) or "nothing"
    cells = [killed, one.in_flight, stats["repaid"], stats["requests"], "yes" if same else "NO", failed]
    print("|", "|".join(map(str, [*cells, f"{os.getloadavg()[0]:.1f}"])), "|", sep="", flush=True)
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--documents", type=int, default=60)
    parser.add_argument("--conversations", type=int, default=400)
    options = parser.parse_args()
    draw, left, kept = random.Random(options.seed), options.rounds, True
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        server = ModelServerProcess(folder / "stderr", keys=[KEY], latency=0.2)
        endpoint = {"base_url": server.base_url, "model": "m", "keys": ["env:POPULACE_TEST_KEY"], "max_concurrency": 32}
        endpoint |= {"requests_per_minute": 60_000, "price": {"input": 1.0, "output": 2.0}}
        config = write_config(
            folder,
            server.base_url,
            write_corpus(folder, options.documents),
            llm={"endpoints": [endpoint], "budget_usd": 1000.0},
            conversations={"count": options.conversations},
            cluster={"callers": {"min": 2}},
        )
        print("|killed|in flight then|paid twice|requests|same ids|failed|load|\n|---|---|---|---|---|---|---|")
        try:
            ids = None
            for number in itertools.count():
                if left <= 0 and ids is not None:
                    break
                one = Soak(folder / f"run-{number}")
                job = Job(config, one.folder)
                try:
                    soak(job, one, server, 0 if ids is None else left, draw)
                finally:
                    job.end()
                ids = ids or (persona_ids(one.folder), conversation_ids(one.folder))
                kept = told(one, server.stats(), ids) and kept
                left -= one.killed.total()
                server.reset()
        finally:
            server.stop()
    sys.exit(not kept)


if __name__ == "__main__":
    main()
