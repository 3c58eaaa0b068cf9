"""A run on a head and three workers with addresses of their own, of which one dies, one is cut off for a while, and
another one joins.

    python tests/benchmarks/cluster_faults.py [--documents 2000] [--conversations 500] [--cut-s 20]

At a third of the calls every process of one worker is killed and a fourth worker joins; at two thirds another worker's
link is cut. Prints a Markdown table: what happened when, what was in flight, what was paid for twice by the account of
the tests' model server, and whether the ids are those of a run that nothing disturbed. Exits with 1 where an id is
missing or too many, or where more was paid twice than a dead node's callers may have in flight. Needs root and network
namespaces; without, it says so and does nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "end_to_end"))

from jobs import KEY, conversation_ids, persona_ids, rows, write_config, write_corpus
from model_server_process import ModelServerProcess
from ray_namespaces import HOST, Nodes, lacking

ROOT = Path(__file__).resolve().parents[2]
CALLERS, EACH = 3, 16
WORKER = '--resources={"llm": 3}'  # a caller takes two, a pool one
PATIENCE_S = 1500.0


def forward(port: int) -> int:
    """A port at the namespaces' side of the host that leads to `port` of its own loopback."""
    bound: list[int] = []
    ready = threading.Event()

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while content := await reader.read(65_536):
                writer.write(content)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pipe(reader, back), pipe(there, writer))

    async def main() -> None:
        server = await asyncio.start_server(join, HOST, 0)
        bound.append(server.sockets[0].getsockname()[1])
        ready.set()
        await server.serve_forever()

    threading.Thread(target=lambda: asyncio.run(main()), daemon=True).start()
    ready.wait(30)
    return bound[0]


class Story:
    """What happened, as rows of a table."""

    def __init__(self, server: ModelServerProcess) -> None:
        self._server, self._begun = server, time.monotonic()
        print("| s | calls | in flight | paid twice | what happened |\n|---:|---:|---:|---:|---|", flush=True)

    def tell(self, what: str) -> int:
        """Returns how many calls were in flight."""
        stats, seconds = self._server.stats(), time.monotonic() - self._begun
        cells = (f"{seconds:.0f}", stats["requests"], stats["in_flight"], stats["repaid"], what)
        print("|", "|".join(map(str, cells)), "|", sep="", flush=True)
        return int(stats["in_flight"])


def config_of(folder: Path, base_url: str, options: argparse.Namespace) -> Path:
    endpoint = {"base_url": base_url, "model": "m", "keys": ["env:POPULACE_TEST_KEY"]}
    place = {"resources": {"llm": 1}}
    return write_config(
        folder,
        base_url,
        write_corpus(folder, options.documents),
        llm={"endpoints": [endpoint | {"max_concurrency": CALLERS * EACH}]},
        conversations={"count": options.conversations, "max_turns": 1},
        cluster={
            "callers": {"min": CALLERS, "max": CALLERS},
            "pools": 2,
            "placement": {"callers": {"resources": {"llm": 2}}, "pools": place},
        },
    )


def run(command: list[str], environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as out:
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=out)


def disturbed(folder: Path, server: ModelServerProcess, options: argparse.Namespace) -> tuple[int, int]:
    """Run with the faults; returns the exit code, and how many calls a dead node had in flight at most."""
    calls = options.documents + 2 * options.conversations
    with Nodes(folder, {"POPULACE_TEST_KEY": KEY, "RAY_worker_niceness": "0"}) as nodes:
        config = config_of(folder, f"http://{HOST}:{forward(server.port)}/v1", options)
        nodes.start(0, "--num-cpus=4")
        for number in (1, 2, 3):
            nodes.start(number, "--num-cpus=2", WORKER)
        story = Story(server)
        command = [sys.executable, "-m", "pipelines", "run", str(config), "--set", f"cluster.address={nodes.address}"]
        driver = run(nodes.command(0, *command), nodes.environment, folder / "log")

        def reaches(share: float) -> Callable[[], bool]:
            return lambda: server.stats()["requests"] >= share * calls

        wait(reaches(1 / 3), driver)
        callers = nodes.count(1, "LLMCaller")
        story.tell(f"worker 1 dies with {callers} callers and {nodes.count(1, 'PersonaPool')} pools")
        nodes.kill(1)
        nodes.start(4, "--num-cpus=2", WORKER)
        story.tell("worker 4 has joined")
        wait(reaches(2 / 3), driver)
        story.tell(f"the link of worker 2 is cut, with {nodes.count(2, 'LLMCaller')} callers")
        nodes.link(2, "down")
        time.sleep(options.cut_s)
        nodes.link(2, "up")
        story.tell("it is there again")
        wait(lambda: driver.poll() is not None, driver)
        story.tell(f"the run ends with {driver.returncode}")
        return driver.returncode, callers * EACH


def wait(condition: Callable[[], bool], driver: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition() and driver.poll() is None:
        if time.monotonic() > deadline:
            driver.terminate()
            raise TimeoutError(f"nothing happened for {PATIENCE_S:g} s")
        time.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--documents", type=int, default=2000)
    parser.add_argument("--conversations", type=int, default=500)
    parser.add_argument("--cut-s", type=float, default=20.0)
    options = parser.parse_args()
    if why := lacking():
        print(f"skipped: {why}")
        return
    folder = Path(tempfile.mkdtemp(prefix="cluster-faults-", dir="/var/tmp"))
    server = ModelServerProcess(folder / "stderr", keys=[KEY], latency=0.5)
    try:
        code, most = disturbed(folder, server, options)
        repaid, found = server.stats()["repaid"], folder / "run"
        calm = [sys.executable, "-m", "pipelines", "run", str(folder / "config.yaml")]
        calm += ["--set", f"run_dir={folder / 'calm'}", "--set", f"llm.endpoints.0.base_url={server.base_url}"]
        calm += ["--set", "cluster.placement={}"]
        quiet = run(calm, os.environ | {"POPULACE_TEST_KEY": KEY, "RAY_USAGE_STATS_ENABLED": "0"}, folder / "calm.log")
        wait(lambda: quiet.poll() is not None, quiet)
        same = (persona_ids(found), conversation_ids(found)) == (
            persona_ids(folder / "calm"),
            conversation_ids(folder / "calm"),
        )
        lost = len(rows(found, "failures"))
        print(
            f"\nids as undisturbed: {'yes' if same else 'NO'}; failures: {lost}; paid twice: {repaid} of at most {most}"
        )
        if code or not same:
            print((folder / "log").read_text()[-3000:])
        sys.exit(bool(code or not same or lost or repaid > most))
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
