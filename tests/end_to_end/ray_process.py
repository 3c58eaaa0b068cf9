"""A Ray that outlives the runs that join it, as a cluster does: `ray start` on this machine, in a child process."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

_ANY_PORT = (
    "port",
    "dashboard-port",
    "node-manager-port",
    "object-manager-port",
    "min-worker-port",
    "max-worker-port",
    "dashboard-agent-listen-port",
    "dashboard-agent-grpc-port",
    "runtime-env-agent-port",
)


CPUS = 4
OBJECT_STORE_BYTES = 80 << 20


class RayProcess:
    """A head node without a dashboard, at `address`; `pid` is what all its processes descend from, `folder` is where
    they log.

    The folder's name is short, as Ray's sockets must be, and the ports are whatever is free. Ends with the thread that
    started it, or when it is stopped.
    """

    def __init__(self, surroundings: Mapping[str, str], cpus: int = CPUS) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ray-of-tests-", dir="/tmp"))
        command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block"]
        command += ["--include-dashboard=false", f"--temp-dir={self.folder}"]
        command += [f"--num-cpus={cpus}", f"--object-store-memory={OBJECT_STORE_BYTES}"]
        command += [f"--{name}=0" for name in _ANY_PORT]
        with self._out.open("wb") as out:
            self._process = subprocess.Popen(
                command,
                env=os.environ | surroundings | {"RAY_AUTH_MODE": "disabled"},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        self.pid = self._process.pid
        try:
            self.address = self._told_address(timeout_s=120)
        except BaseException:
            self.stop()
            raise

    @property
    def _out(self) -> Path:
        return self.folder / "out"

    def _told_address(self, timeout_s: float) -> str:
        told, deadline = self.folder / "ray_current_cluster", time.monotonic() + timeout_s
        while time.monotonic() < deadline and self._process.poll() is None:
            if told.exists() and (address := told.read_text()):
                return address
            time.sleep(0.05)
        raise RuntimeError(f"Ray did not start: {self._out.read_text()[-2000:]}")

    def stop(self) -> None:
        """End it and all that it started."""
        with suppress(psutil.NoSuchProcess):
            processes = [psutil.Process(self.pid), *psutil.Process(self.pid).children(recursive=True)]
            self._process.terminate()
            _, alive = psutil.wait_procs(processes, timeout=10)
            for process in alive:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        self._process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)


def _die_with_parent() -> None:
    if sys.platform == "linux":
        prctl_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(prctl_set_pdeathsig, signal.SIGTERM)
