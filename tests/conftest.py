"""What tests start: model servers (`model_server`), populace itself (`run_populace`, `start_populace`), and the Ray
that most runs join (`shared_ray`).

Everything runs as a child process and is ended by its pid at the end of the test (that Ray: of the session), with all
that it started in turn.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from jobs import QUIET, actor_processes
from model_server_process import ModelServerProcess
from ray_process import RayProcess

ROOT = Path(__file__).resolve().parent.parent
_MARK = "POPULACE_STARTED_BY_TEST"


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


S3_PORT = _free_port()  # known before it is served, for the Ray that outlives the tests
AWS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_EC2_METADATA_DISABLED": "true"}
AWS |= {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{S3_PORT}"}
_ACTORS = ("Meter", "KeyBroker", "LLMCaller", "PersonaPool", "MapWorker", "DedupService", "ModelServer")
_ACTORS += ("Embedder", "EndpointEmbedder", "BioWriter")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where two processes share the suite (`-n 2`), one has all that runs on Ray and so starts the shared one once."""
    for item in items:
        if item.path.parent.name in ("end_to_end", "on_ray"):
            item.add_marker(pytest.mark.xdist_group("ray"))


@pytest.fixture
def model_server(tmp_path: Path) -> Iterator[Callable[..., ModelServerProcess]]:
    """`model_server(latency=0.05, keys=["k1"], share={"429": 0.1})` starts a server of its own and returns it."""
    started: list[ModelServerProcess] = []

    def start(port: int = 0, **options: Any) -> ModelServerProcess:
        started.append(ModelServerProcess(tmp_path / f"model-server-{len(started)}.stderr", port, **options))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@dataclass(frozen=True, slots=True)
class Finished:
    """How a command of populace ended, and what it said."""

    returncode: int
    stdout: str
    stderr: str
    seconds: float


class PopulaceProcess(subprocess.Popen[bytes]):
    """`python -m pipelines …` from the repository root, in a session of its own; its outputs go to files."""

    def __init__(self, arguments: tuple[str, ...], folder: Path, env: dict[str, str]) -> None:
        folder.mkdir(parents=True)
        self._outputs = folder / "stdout", folder / "stderr"
        with self._outputs[0].open("wb") as stdout, self._outputs[1].open("wb") as stderr:
            super().__init__(
                [sys.executable, "-m", "pipelines", *arguments],
                cwd=ROOT,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )

    def said(self) -> tuple[str, str]:
        """What it has written to stdout and stderr so far."""
        out, err = (path.read_text(encoding="utf-8", errors="replace") for path in self._outputs)
        return out, err


class Starter:
    """Starts populace, and ends everything that descends from it, also what a killed driver left behind."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._mark, self._started = folder, uuid.uuid4().hex, list[PopulaceProcess]()

    def start(self, *arguments: object, env: dict[str, str] | None = None) -> PopulaceProcess:
        surroundings = os.environ | QUIET | {_MARK: self._mark} | (env or {})
        folder = self._folder / f"populace-{self._mark[:8]}-{len(self._started)}"
        self._started.append(PopulaceProcess(tuple(map(str, arguments)), folder, surroundings))
        return self._started[-1]

    def run(self, *arguments: object, timeout: float = 240, env: dict[str, str] | None = None) -> Finished:
        """Waits for the end. Raises TimeoutError, with what it said last, after `timeout` seconds."""
        begun = time.monotonic()
        process = self.start(*arguments, env=env)
        try:
            returncode = process.wait(timeout)
        except subprocess.TimeoutExpired:
            out, err = process.said()
            self.end()
            command = " ".join(map(str, arguments))
            raise TimeoutError(f"populace {command}: over {timeout:g} s\n{out[-3000:]}\n{err[-3000:]}") from None
        return Finished(returncode, *process.said(), time.monotonic() - begun)

    def end(self) -> None:
        """Ends whatever is still there: asked first, killed after five seconds."""
        for end in (psutil.Process.terminate, psutil.Process.kill, psutil.Process.kill):
            if not (alive := self._alive()):
                break
            for process in alive:
                with suppress(psutil.NoSuchProcess):
                    end(process)
            psutil.wait_procs(alive, timeout=5)
        for process in self._started:
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)

    def _alive(self) -> list[psutil.Process]:
        """Our children and their descendants. Orphans are known by their session or by our mark in their environment:
        Ray's agents overwrite the environment, and outlive a killed driver."""
        found: dict[int, psutil.Process] = {}
        for started in self._started:
            with suppress(psutil.NoSuchProcess):
                if started.poll() is None:
                    root = psutil.Process(started.pid)
                    found |= {one.pid: one for one in [root, *root.children(recursive=True)]}
        for process in psutil.process_iter():
            with suppress(psutil.Error, ProcessLookupError, PermissionError):
                if process.pid not in found and self._is_ours(process):
                    found[process.pid] = process
        return [one for one in found.values() if _is_running(one)]

    def _is_ours(self, process: psutil.Process) -> bool:
        sessions = {started.pid for started in self._started}
        return os.getsid(process.pid) in sessions or process.environ().get(_MARK) == self._mark


def _is_running(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


@pytest.fixture
def _starter(tmp_path: Path) -> Iterator[Starter]:
    starter = Starter(tmp_path)
    yield starter
    starter.end()


@pytest.fixture
def run_populace(_starter: Starter) -> Callable[..., Finished]:
    """`run_populace("run", config, "--set", "seed=1", timeout=120)` → `Finished`."""
    return _starter.run


@pytest.fixture
def start_populace(_starter: Starter) -> Callable[..., PopulaceProcess]:
    """`start_populace("run", config)` → the running process (a Popen), to be killed, waited for, or left to us."""
    return _starter.start


@pytest.fixture(scope="session")
def ray_of_the_session() -> Iterator[RayProcess]:
    """For tests that join it in their own process; runs take `shared_ray`."""
    ray = RayProcess(QUIET | AWS)
    yield ray
    ray.stop()


@pytest.fixture
def shared_ray(ray_of_the_session: RayProcess, _starter: Starter) -> Iterator[RayProcess]:
    """One Ray for all tests that join it, by `--set cluster.address=…`; no run may leave an actor behind in it."""
    yield ray_of_the_session
    _starter.end()
    deadline = time.monotonic() + 20
    while left := actor_processes(ray_of_the_session.pid, *_ACTORS):
        assert time.monotonic() < deadline, f"left behind: {[one.cmdline() for one in left]}"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def wide_ray() -> Iterator[RayProcess]:
    """A Ray with room for actors of a larger cluster, for the runs of one module."""
    ray = RayProcess(QUIET, cpus=16)
    yield ray
    ray.stop()


@pytest.fixture(scope="module")
def _server_of_the_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServerProcess]:
    server = ModelServerProcess(tmp_path_factory.mktemp("model-server") / "stderr")
    yield server
    server.stop()


@pytest.fixture
def shared_server(_server_of_the_module: ModelServerProcess) -> Iterator[Callable[..., ModelServerProcess]]:
    """`shared_server(latency=0.05)`: as `model_server`, but one process for a module, as new for each test."""
    server = _server_of_the_module
    before = server.options()

    def start(**options: Any) -> ModelServerProcess:
        server.set(**options)
        return server

    server.reset()
    yield start
    server.set(**before)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte, where this machine lets us mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("a full disk needs the right to mount a tmpfs (run as root)")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


class ObjectStoreProcess:
    """A running `tests/object_store.py`, with one bucket; who has this `environment` finds it under s3://bucket."""

    def __init__(self, stderr: Path) -> None:
        command = [sys.executable, str(ROOT / "tests" / "object_store.py"), str(S3_PORT)]
        with stderr.open("wb") as errors:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors)
        said = self._process.stdout.readline()
        if not said:
            raise RuntimeError(f"the object store did not start: {stderr.read_text()[-2000:]}")
        self.port, self.environment = int(said), AWS
        self._ask("PUT", "/bucket")

    def answer(self, **said: Any) -> None:
        """`answer(every=7)` has every seventh request answered so, `answer(status=403, code="AccessDenied",
        methods=["PUT"])` all of these; `answer()` none."""
        self._ask("POST", "/-/faults", json.dumps(said))

    def fail(self, count: int, *methods: str) -> None:
        """The next `count` requests of these methods are answered by a 503."""
        self.answer(count=count, methods=methods)

    def requests(self, method: str) -> int:
        return json.loads(self._ask("GET", "/-/requests")).get(method, 0)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)
        self._process.stdout.close()

    def _ask(self, method: str, path: str, body: str | None = None) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body)
            return connection.getresponse().read().decode()
        finally:
            connection.close()


@pytest.fixture(scope="session")
def _object_store_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStoreProcess]:
    store = ObjectStoreProcess(tmp_path_factory.mktemp("object-store") / "stderr")
    yield store
    store.stop()


@pytest.fixture
def object_store(
    _object_store_of_the_session: ObjectStoreProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ObjectStoreProcess]:
    """An S3 with one bucket, in a process of its own, without faults at first; copies of objects are kept under the
    test's folder."""
    for name, value in AWS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("POPULACE_CACHE", str(tmp_path / "cache"))
    _object_store_of_the_session.answer()
    yield _object_store_of_the_session
    _object_store_of_the_session.answer()
