"""Ray nodes with addresses of their own on one machine: each in a network namespace, with a `/tmp` and `/dev/shm` of
its own, so that nothing is shared but the rest of the file system, as on machines that mount the same folder."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

NET = "10.77.0"
HOST = f"{NET}.1"
_BRIDGE = "popbr0"
_STORE_BYTES = 80 << 20
_STARTS = 5
_PRIVATE = 'mount -t tmpfs -o size=1g tmpfs /dev/shm && mount -t tmpfs -o size=2g tmpfs /tmp && exec "$@"'


def lacking() -> str:
    """Why there can be no namespaces here; empty where there can."""
    if os.geteuid():
        return "network namespaces need root"
    for command in (
        ["ip", "link", "add", "popprobe", "type", "veth", "peer", "name", "popprobe2"],
        ["unshare", "-nm", "true"],
    ):
        try:
            if subprocess.run(command, capture_output=True, check=False).returncode:
                return f"`{' '.join(command)}` is not permitted here"
        except FileNotFoundError:
            return f"{command[0]} is missing: Debian's iproute2 and util-linux bring it"
    _run("ip", "link", "del", "popprobe")
    return ""


def _run(*command: str, check: bool = True) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=check).stdout


class Nodes:
    """A head, number 0, and workers by number; `shared` is a folder that all of them see. Use as a context manager."""

    def __init__(self, shared: Path, environment: dict[str, str]) -> None:
        self._shared, self._pids = shared, dict[int, int]()
        (shared / "token").touch(0o600)
        (shared / "token").write_text(secrets.token_hex(32))
        token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(shared / "token")}
        self._environment = os.environ | environment | token | {"RAY_USAGE_STATS_ENABLED": "0"}
        self.address = f"{NET}.10:6379"

    def __enter__(self) -> Nodes:
        _run("ip", "link", "add", _BRIDGE, "type", "bridge")
        _run("ip", "addr", "add", f"{HOST}/24", "dev", _BRIDGE)
        _run("ip", "link", "set", _BRIDGE, "up")
        return self

    def __exit__(self, *_: object) -> None:
        for space in [line.split()[0] for line in _run("ip", "netns", "list").splitlines()]:
            if space.startswith("pop"):
                self.kill(int(space.removeprefix("pop")))
                _run("ip", "netns", "del", space, check=False)
        for one in _run("ip", "-o", "link", "show", "type", "veth").splitlines():
            if (name := one.split(": ")[1].partition("@")[0]).startswith("popv"):
                _run("ip", "link", "del", name, check=False)
        _run("ip", "link", "del", _BRIDGE, check=False)

    def start(self, number: int, *options: str) -> None:
        """Returns when the node has joined; the head first."""
        space, link, ip = f"pop{number}", f"popv{number}", f"{NET}.{10 + number}"
        _run("ip", "netns", "add", space)
        _run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", space)
        _run("ip", "link", "set", link, "master", _BRIDGE, "up")
        for command in (["link", "set", "lo", "up"], ["addr", "add", f"{ip}/24", "dev", "eth0"]):
            _run("ip", "-n", space, *command)
        _run("ip", "-n", space, "link", "set", "eth0", "up")
        _run("ip", "-n", space, "route", "add", "default", "via", HOST)
        place = ["--head", "--port=6379", "--include-dashboard=false"] if not number else [f"--address={self.address}"]
        ray = [str(Path(sys.executable).with_name("ray")), "start", "--block", f"--node-ip-address={ip}", *place]
        ray += [f"--object-store-memory={_STORE_BYTES}", *options]
        command = ["ip", "netns", "exec", space, "unshare", "-m", "sh", "-c", _PRIVATE, "sh", *ray]
        log = self._shared / f"node-{number}.log"
        for _ in range(_STARTS):
            if self._comes_up(number, command, log):
                return
        raise RuntimeError(log.read_text()[-2000:])

    def _comes_up(self, number: int, command: list[str], log: Path) -> bool:
        """False where Ray gave up on itself, as it does after half a minute on a machine that is very busy."""
        with log.open("wb") as out:
            process = subprocess.Popen(command, env=self._environment, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        self._pids[number] = process.pid
        while "Ray runtime started" not in log.read_text():
            if process.poll() is not None:
                self.kill(number)
                return False
            time.sleep(0.2)
        return True

    def command(self, number: int, *command: str) -> list[str]:
        """The command, to be run on that node."""
        return ["nsenter", "-t", str(self._pids[number]), "-n", "-m", f"--wd={Path.cwd()}", *command]

    @property
    def environment(self) -> dict[str, str]:
        return dict(self._environment)

    def kill(self, number: int) -> None:
        """All processes of a node at once, as when its power fails."""
        for _ in range(20):
            pids = _run("ip", "netns", "pids", f"pop{number}", check=False).split()
            if not pids:
                break
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            time.sleep(0.1)
        self._pids.pop(number, None)

    def link(self, number: int, state: str) -> None:
        """`down` cuts a node off, `up` joins it again."""
        _run("ip", "link", "set", f"popv{number}", state)

    def count(self, number: int, kind: str) -> int:
        """Processes of actors of this class on a node."""
        found = 0
        for pid in _run("ip", "netns", "pids", f"pop{number}", check=False).split():
            with suppress(OSError):
                found += f"ray::{kind}" in Path(f"/proc/{pid}/cmdline").read_text()
        return found
