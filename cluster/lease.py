"""A lock in an object store, which has none: an object that its holder replaces every few seconds.

It is made, and taken over, by conditional puts, of which exactly one succeeds. Who holds it no longer replaces it is
known by watching it, so that no two clocks have to agree; of a process of this machine, by looking for it.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from cluster.errors import Halt
from cluster.object_path import ObjectPath
from cluster.object_store import told

logger = logging.getLogger(__name__)

BEAT_S = 10.0
STALE_S = 60.0  # without a beat; then others may take it
_OLD_S = 20 * 60.0  # of one so old nobody need be watched: S3 talks to no clock that is off by more than 15 minutes


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock: the content of its file or object. `beat` counts while it is held."""

    pid: int
    host: str
    since: float
    command: str
    beat: int = 0

    def __str__(self) -> str:
        return f"process {self.pid} on host {self.host} since {_moment(self.since, time.time())} ({self.command})"


def me(command: str) -> Holder:
    return Holder(os.getpid(), socket.gethostname(), time.time(), command)


@dataclass(frozen=True, slots=True)
class _Content:
    """What the object says. `beat` makes every one differ from the last; `machine` tells where the pid is valid."""

    holder: Holder
    token: str
    machine: str
    beat: int = 0

    def bytes(self) -> bytes:
        return json.dumps(asdict(self)).encode()


class Lease:
    """Held by one process at a time. `on_loss` is called, with a reason, by the thread that finds that another has it,
    or that nobody could be told for too long that it is held; by then nothing may be written any more."""

    def __init__(
        self,
        path: ObjectPath,
        command: str = "populace",
        on_loss: Callable[[str], None] | None = None,
        stale_s: float = STALE_S,
        beat_s: float = BEAT_S,
    ) -> None:
        self._path, self._on_loss, self._stale_s, self._beat_s = path, on_loss, stale_s, beat_s
        self._mine = _Content(me(command), secrets.token_hex(8), _machine())
        self._e_tag = ""
        self._seen: tuple[str, float] = ("", 0.0)
        self._stop, self._thread = threading.Event(), threading.Thread()
        self.holder: Holder | None = None
        self.is_alive = False

    def take(self) -> bool:
        """Whether it is held from now on. May be called again: who is seen for `stale_s` without a beat has lost it.
        Where it is not, `holder` tells who has it, and `is_alive` that this one was seen to live."""
        if not self._e_tag:
            self._e_tag = self._put("create") or self._take_over()
            if self._e_tag:
                self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)
                self._thread.start()
        return bool(self._e_tag)

    def release(self) -> None:
        self._stop.set()
        if self._thread.ident:
            self._thread.join()
        with suppress(Halt, FileNotFoundError):
            if self._e_tag and self._path.head()["e_tag"] == self._e_tag:
                self._path.unlink()
        self._e_tag, self._stop = "", threading.Event()

    def _take_over(self) -> str:
        found = read(self._path)
        if found is None:
            return ""
        e_tag, content, age = found
        self.holder = content.holder if content else None
        here = lives(content) if content else None
        changed = e_tag != self._seen[0]
        self.is_alive = bool(here) or (changed and bool(self._seen[0]))
        if changed:
            self._seen = e_tag, _now()
        if here is False or age > _OLD_S or _now() - self._seen[1] >= self._stale_s:
            return self._put({"e_tag": e_tag})
        return ""

    def _put(self, mode: Any) -> str:
        """The tag of what was put; "" where another was there first."""
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        self._mine = replace(self._mine, beat=self._mine.beat + 1)
        try:
            with told(str(self._path)):
                put = self._path.store(self._beat_s).put(self._path.key, self._mine.bytes(), mode=mode)
                return str(put["e_tag"])
        except (AlreadyExistsError, PreconditionError):
            found = read(self._path)  # it may be ours: put, and put again when no answer came
            return found[0] if found and found[1] == self._mine else ""

    def _beat(self) -> None:
        told_at = _now()
        while not self._stop.wait(self._beat_s):
            try:
                self._e_tag = self._put({"e_tag": self._e_tag})
            except (Halt, FileNotFoundError) as error:
                if _now() - told_at < self._stale_s - 2 * self._beat_s:
                    logger.warning("%s", error)
                    continue
                self._e_tag, reason = "", f"the store could not be told for {self._stale_s:g} s that it is in use"
            else:
                reason = "another process has taken it over"
            if self._e_tag:
                told_at = _now()
                continue
            logger.error("%s: %s; this process stops", self._path, reason)
            if self._on_loss:
                self._on_loss(reason)
            return


def read(path: ObjectPath) -> tuple[str, _Content | None, float] | None:
    """The tag of a lock, its content where it can be read, and its age by the store's clock and ours."""
    try:
        with told(str(path)):
            found = path.store().get(path.key)
            e_tag, content = str(found.meta["e_tag"]), found.bytes().to_bytes()
            age = time.time() - found.meta["last_modified"].timestamp()
    except FileNotFoundError:
        return None
    try:
        said = json.loads(content)
        return e_tag, _Content(**said | {"holder": Holder(**said["holder"])}), age
    except (ValueError, TypeError, KeyError):
        return e_tag, None, age


def is_leased(path: ObjectPath) -> bool:
    """Whether the lock's holder seems to live, by the store's clock and ours; changes nothing."""
    found = read(path)
    if found is None:
        return False
    here = lives(found[1]) if found[1] else None
    return here if here is not None else found[2] < STALE_S


def lives(content: _Content) -> bool | None:
    """Whether the holder is a living process; None where it belongs to another machine, or nobody can tell."""
    if not content.machine or content.machine != _machine():
        return None
    try:
        os.kill(content.holder.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _machine() -> str:
    """Where a pid names a process: this boot of this kernel, and this container; "" where it does not say."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _now() -> float:
    """Seconds that go on while the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _moment(then: float, now: float) -> str:
    """The local time of day, with the date unless it is today's."""
    moment, today = time.localtime(then), time.localtime(now)
    return time.strftime("%H:%M" if moment[:3] == today[:3] else "%Y-%m-%d %H:%M", moment)
