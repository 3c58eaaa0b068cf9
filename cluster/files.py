"""How a file or an object is written whole or not at all, and how one process at a time owns a run folder.

Turns a full, read-only or failing disk into a `Halt` of one line. Knows no format and no run: what is written, and
where, is the caller's.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import secrets
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from cluster.errors import Halt, UserError
from cluster.lease import Holder, Lease, is_leased, me
from cluster.object_path import ObjectPath

logger = logging.getLogger(__name__)

_WAY_OUT = {
    errno.ENOSPC: "free some and run again",
    errno.EDQUOT: "free some or raise the quota, and run again",
    errno.EROFS: "make it writable and run again",
    errno.EACCES: "make it writable and run again",
    errno.EIO: "check the disk and run again",
    errno.EFBIG: "raise the file size limit (ulimit -f) and run again",
}
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


@contextmanager
def halt_on_disk_error(what: str | Path) -> Iterator[None]:
    """Raises `Halt("WHAT: reason; way out")` for an OSError that only the user can mend; lets every other pass."""
    try:
        yield
    except OSError as error:
        number = error.errno or 0
        if number not in _WAY_OUT:
            raise
        raise Halt(f"{what}: {os.strerror(number)}; {_WAY_OUT[number]}") from error


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A free path beside `path` to write to; renamed to `path` on success, synced first, and removed on an error.

    Folders above are made. A process killed in between leaves `.NAME.*.tmp` behind, never half a `path`. For an object
    the path is of this machine, and put on success.
    """
    if isinstance(path, ObjectPath):
        with halt_on_disk_error(path), tempfile.TemporaryDirectory(prefix=f"populace-{os.getpid()}-") as folder:
            yield Path(folder) / path.name
            path.put_file(Path(folder) / path.name)
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    with halt_on_disk_error(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            sync(temporary)
            temporary.replace(path)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        sync(path.parent)


def write_atomically(path: Path, content: bytes | str) -> None:
    """`path` holds the old content or all of the new one (a str as UTF-8), whatever is killed or loses power when."""
    content = content.encode() if isinstance(content, str) else content
    if isinstance(path, ObjectPath):
        path.write_bytes(content)
        return
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def give_place(file: Path, path: Path) -> None:
    """A whole file of this machine becomes `path`: renamed, synced first, or put."""
    if isinstance(path, ObjectPath):
        path.put_file(file)
        file.unlink()
        return
    sync(file)
    file.replace(path)


def sync(path: Path) -> None:
    """Waits until a file's bytes, or a folder's entries, would outlive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems do not sync folders
            raise
    finally:
        os.close(descriptor)


class Lock:
    """A file that one process at a time holds, and lets go when it ends in whatever way. Where the file system has no
    locks, everybody holds it."""

    def __init__(self, path: Path) -> None:
        self._path, self._descriptor = path, -1

    def take(self) -> bool:
        """Whether it is held from now on. May be called again."""
        if self._descriptor >= 0:
            return True
        with halt_on_disk_error(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                os.close(descriptor)
                raise
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def lock_at(path: Path) -> Lock | Lease:
    """The lock at a path, of the kind that the place has."""
    return Lease(path) if isinstance(path, ObjectPath) else Lock(path)


class RunLock:
    """`with RunLock(run_dir, "populace run"):` the folder, made if need be, is this process's alone.

    The lock is the kernel's (flock), so it goes with its process however that ends. A second taker, in this process
    or another, gets a UserError that names the holder. Where the file system has no locks the run goes on with a
    warning, for its folder may be the only place that the user has.

    Some network file systems keep locks to each machine. So the holder also counts in its signature, every `beat_s`
    seconds, and who finds the signature of another host waits to see whether somebody still counts there.
    """

    def __init__(
        self,
        run_dir: Path,
        command: str = "populace",
        flock: Callable[[int, int], None] = fcntl.flock,
        beat_s: float = 5.0,
    ) -> None:
        self._run_dir, self._command, self._flock = run_dir, command, flock
        self._descriptor, self._beat_s, self._over = -1, beat_s, threading.Event()
        self._beats: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._descriptor = self._open()
        try:
            self._take()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._beats:
            self._beats.join()
        with suppress(OSError):
            os.ftruncate(self._descriptor, 0)
        self._close()

    def _open(self) -> int:
        with halt_on_disk_error(self._run_dir / ".lock"):
            try:
                self._run_dir.mkdir(parents=True, exist_ok=True)
                return os.open(self._run_dir / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            except (PermissionError, NotADirectoryError, FileExistsError) as error:
                reason = os.strerror(error.errno or 0)
                raise UserError(f"{self._run_dir} cannot be used as a run folder: {reason}") from error

    def _take(self) -> None:
        try:
            self._flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{self._run_dir} is in use by {self._holder()}; wait for it or stop it") from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            reason = os.strerror(error.errno)
            logger.warning(
                "%s: its file system has no file locks (%s), so nothing keeps a second run out: start only one",
                self._run_dir,
                reason,
            )
        self._wait_for_another_host()
        mine = me(self._command)
        with halt_on_disk_error(self._run_dir / ".lock"):
            self._sign(mine)
        self._over.clear()
        self._beats = threading.Thread(target=self._beat, args=(mine,), name="run lock", daemon=True)
        self._beats.start()

    def _wait_for_another_host(self) -> None:
        before = self._signature()
        if before is None or before.host == socket.gethostname():
            return
        logger.warning("%s was held on host %s; looking whether it still is", self._run_dir, before.host)
        time.sleep(2.5 * self._beat_s)
        if (now := self._signature()) and now != before:
            raise UserError(f"{self._run_dir} is in use by {self._holder()}; wait for it or stop it")

    def _beat(self, mine: Holder) -> None:
        while not self._over.wait(self._beat_s):
            mine = replace(mine, beat=mine.beat + 1)
            with suppress(OSError):  # a full disk stops the run elsewhere
                self._sign(mine)

    def _sign(self, mine: Holder) -> None:
        signature = json.dumps(asdict(mine)).encode()
        os.pwrite(self._descriptor, signature, 0)
        os.ftruncate(self._descriptor, len(signature))

    def _signature(self) -> Holder | None:
        with suppress(ValueError, TypeError):
            return Holder(**json.loads(os.pread(self._descriptor, 65_536, 0)))
        return None

    def _holder(self) -> str:
        if (holder := self._signature()) is None:  # it took the lock a moment ago and has not signed yet
            return "another process"
        return str(holder)

    def _close(self) -> None:
        os.close(self._descriptor)
        self._descriptor = -1


class RunLease:
    """`RunLock` in an object store. Who cannot be seen to live is watched for a minute before the folder changes hands;
    a process that loses it is interrupted."""

    def __init__(self, run_dir: ObjectPath, command: str = "populace") -> None:
        self._run_dir, self._lease = run_dir, Lease(run_dir / ".lock", command, _interrupt)

    def __enter__(self) -> Self:
        self._run_dir.check()
        try:
            self._take()
        except Halt as halt:
            raise UserError(str(halt)) from None
        return self

    def __exit__(self, *_: object) -> None:
        self._lease.release()

    def _take(self) -> None:
        warned = False
        while not self._lease.take():
            holder = self._lease.holder or "another process"
            if self._lease.is_alive:
                raise UserError(f"{self._run_dir} is in use by {holder}; wait for it or stop it")
            if not warned:
                logger.warning("%s was left by %s; waiting a minute whether it lives", self._run_dir, holder)
            warned = True
            time.sleep(1)


def run_lock(run_dir: Path, command: str) -> AbstractContextManager[object]:
    """The run folder is this process's alone, or a UserError names the holder."""
    return RunLease(run_dir, command) if isinstance(run_dir, ObjectPath) else RunLock(run_dir, command)


def _interrupt(_reason: str) -> None:
    os.kill(os.getpid(), signal.SIGINT)


def holder_of(run_dir: Path) -> Holder | None:
    """Who signed the lock of the run folder last and has not left it; a killed process leaves its name behind."""
    try:
        return Holder(**json.loads((run_dir / ".lock").read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def is_held(run_dir: Path) -> bool:
    """Whether a living process holds the run folder; changes nothing."""
    if isinstance(run_dir, ObjectPath):
        return is_leased(run_dir / ".lock")
    try:
        descriptor = os.open(run_dir / ".lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False
