"""A Ray that outlives the runs that join it, as a cluster does: `ray start` on this machine, in a child process."""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

_RAY = str(Path(sys.executable).with_name("ray"))
_ANY_PORT = (
    "port",
    "node-manager-port",
    "object-manager-port",
    "min-worker-port",
    "max-worker-port",
    "dashboard-agent-listen-port",
    "dashboard-agent-grpc-port",
    "runtime-env-agent-port",
)


CPUS = 4
_STARTS = 3
OBJECT_STORE_BYTES = 80 << 20


class _Node:
    """`ray start --block` in a child process, with a folder of its own; ends with the thread that started it. On a
    machine that is very busy Ray gives up on itself after half a minute, and is started again."""

    def __init__(
        self, command: list[str], surroundings: Mapping[str, str], folder: Path, is_up: Callable[[], object]
    ) -> None:
        self.folder, self._out = folder, folder / "out"
        for _ in range(_STARTS):
            self._begin(command, surroundings)
            if self._comes_up(is_up):
                return
            said = self._out.read_text()[-2000:]
            self._end()
            shutil.rmtree(folder)
            folder.mkdir()
        self.stop()
        raise RuntimeError(f"Ray did not start: {said}")

    def _begin(self, command: list[str], surroundings: Mapping[str, str]) -> None:
        with self._out.open("wb") as out:
            self._process = subprocess.Popen(
                command,
                env=os.environ | surroundings,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        self.pid = self._process.pid

    def _comes_up(self, is_up: Callable[[], object], timeout_s: float = 120) -> bool:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and self._process.poll() is None:
            if is_up():
                return True
            time.sleep(0.05)
        return False

    def stop(self) -> None:
        """End it and all that it started."""
        self._end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self) -> None:
        with suppress(psutil.NoSuchProcess):
            processes = [psutil.Process(self.pid), *psutil.Process(self.pid).children(recursive=True)]
            self._process.terminate()
            _, alive = psutil.wait_procs(processes, timeout=10)
            for process in alive:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        self._process.wait(10)


class RayProcess(_Node):
    """A head node at `address`; `pid` is what all its processes descend from, `folder` is where they log.

    With `takes_jobs` it has a dashboard at `dashboard`, and lets in whoever has its token: `token` is the environment
    of such a one. The folder's name is short, as Ray's sockets must be, and the ports are whatever is free.
    """

    def __init__(self, surroundings: Mapping[str, str], cpus: int = CPUS, takes_jobs: bool = False) -> None:
        folder = Path(tempfile.mkdtemp(prefix="ray-of-tests-", dir="/tmp"))
        self.token = _token(folder) if takes_jobs else {"RAY_AUTH_MODE": "disabled"}
        self._surroundings = {**surroundings, **self.token}
        dashboard = free_port() if takes_jobs else 0
        self.dashboard = f"http://127.0.0.1:{dashboard}"
        command = [_RAY, "start", "--head", "--block", f"--include-dashboard={str(takes_jobs).lower()}"]
        command += [f"--temp-dir={folder}", f"--num-cpus={cpus}", f"--object-store-memory={OBJECT_STORE_BYTES}"]
        command += [f"--{name}=0" for name in _ANY_PORT] + [f"--dashboard-port={dashboard}"]
        told = folder / "ray_current_cluster"
        super().__init__(command, self._surroundings, folder, lambda: told.exists() and told.read_text())
        self.address = told.read_text()

    def stop(self) -> None:
        super().stop()
        self.folder.with_name(f"{self.folder.name}.token").unlink(missing_ok=True)

    def join(self, *options: str, cpus: int = 2, hides: Path | None = None) -> RayWorker:
        """Another node on this machine; a folder that it `hides` is empty there, as on another machine."""
        return RayWorker(self.address, self._surroundings, options, cpus, hides)


class RayWorker(_Node):
    """A node beside a head's."""

    def __init__(
        self, address: str, surroundings: Mapping[str, str], options: Sequence[str], cpus: int, hides: Path | None
    ) -> None:
        folder = Path(tempfile.mkdtemp(prefix="ray-of-tests-", dir="/tmp"))
        command = [_RAY, "start", "--block", f"--address={address}", f"--num-cpus={cpus}", *options]
        command += [f"--object-store-memory={OBJECT_STORE_BYTES}"]
        command += [f"--{name}=0" for name in _ANY_PORT if name != "port"]
        if hides is not None:
            command = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs tmpfs "$0" && exec "$@"', str(hides), *command]
        out = folder / "out"
        super().__init__(command, surroundings, folder, lambda: "Ray runtime started" in out.read_text())


def _token(folder: Path) -> dict[str, str]:
    """The surroundings of those who have the token of this Ray, which is made here."""
    place = folder.with_name(f"{folder.name}.token")
    place.touch(0o600)
    place.write_text(secrets.token_hex(32))
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(place)}


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _die_with_parent() -> None:
    if sys.platform == "linux":
        prctl_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(prctl_set_pdeathsig, signal.SIGTERM)
