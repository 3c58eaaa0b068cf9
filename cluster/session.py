"""The Ray that a run works on: one of its own on this machine, or the cluster at an address. Quiet unless it fails."""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray
import ray.data

from cluster.errors import UserError
from cluster.files import halt_on_disk_error
from cluster.job import address_of
from cluster.joining import join

_OBJECT_STORE_BYTES = 256 * 2**20
_STARTS = 3
_LEAST_CPUS = 4  # actors that wait for models take slots, not cores
_READERS = ("iter_threaded", "StreamingExecutor", "ray-data-metadata-prefetch")  # threads of a Ray Data stream
_READERS_END_S = 30


@contextmanager
def session(address: str | None) -> Iterator[None]:
    """Connect, and disconnect at the end; a Ray of our own ends with us. `UserError` where nobody answers at `address`.

    A Ray that the process has already joined is used and left running. Without an address a job joins its cluster.
    """
    if ray.is_initialized():
        yield
        return
    address = address_of(address)
    scratch = None if address else _scratch()
    try:
        with _our_own_end():
            _connect(address, scratch)
        yield
    finally:
        _let_readers_end()
        ray.shutdown()
        if scratch:
            shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _our_own_end() -> Iterator[None]:
    """Ray puts a handler of SIGTERM of its own in the place of ours, which would end the process where it stands."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, ours)


def joined(address: str | None) -> None:
    """Connect, and stay so until the process ends, for a script that makes several runs; nothing where it has joined a
    Ray already. Without an address it is that of RAY_ADDRESS, which jobs have, or a Ray of our own. `UserError` where
    that is another one than is asked for, or nobody answers."""
    address = address or os.environ.get("RAY_ADDRESS")
    if ray.is_initialized():
        known = ray.get_runtime_context().gcs_address
        if address not in (None, "auto", known, _joined.get("address")):
            raise UserError(f"cluster.address: this process is in the Ray at {known}; restart it to join {address}")
        return
    stack = ExitStack()
    stack.enter_context(session(address))
    _joined["address"] = address
    atexit.register(stack.close)


_joined: dict[str, str | None] = {}


def _let_readers_end() -> None:
    """Wait for the threads of streams that were closed before their end: they outlive their iterator by a moment, and
    a thread that asks Ray for something after `ray.shutdown()` makes Ray end the process, without a word and with 1."""
    for thread in threading.enumerate():
        if thread.name.startswith(_READERS):
            thread.join(_READERS_END_S)


def _scratch() -> str:
    """A folder for Ray's sockets and logs, short as those must be; the folders of killed runs go."""
    for path in Path("/tmp").glob("populace-*-*"):
        owner = path.name.split("-")[1]
        if owner.isdigit() and not _lives(int(owner)):
            shutil.rmtree(path, ignore_errors=True)
    return tempfile.mkdtemp(prefix=f"populace-{os.getpid()}-", dir="/tmp")


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _connect(address: str | None, scratch: str | None) -> None:
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        options |= {
            "num_cpus": max(_LEAST_CPUS, os.cpu_count() or 1),
            "object_store_memory": _OBJECT_STORE_BYTES,
            "include_dashboard": False,
            "_temp_dir": scratch,
        }
        _start(options)
    else:
        join(address, options)


def _start(options: dict[str, Any]) -> None:
    """A Ray of our own. On a machine that is very busy its processes may take longer than Ray waits for them."""
    for attempt in range(1, _STARTS + 1):
        try:
            ray.init("local", **options)
            return
        except Exception as error:  # Ray has no class of its own for it
            ray.shutdown()
            if attempt == _STARTS:
                reason = " ".join(str(error).split())[:200]
                raise UserError(f"Ray did not start on this machine in {_STARTS} attempts ({reason})") from error


@contextmanager
def native_noise(log: Path) -> Iterator[None]:
    """What Ray's native code writes to the terminal past Python goes to a file; what Python writes stays."""
    terminal, python_stderr = os.dup(2), sys.stderr
    with halt_on_disk_error(log):
        log.parent.mkdir(parents=True, exist_ok=True)
        file = log.open("ab")
    with file, os.fdopen(terminal, "w", buffering=1) as stderr:
        os.dup2(file.fileno(), 2)
        sys.stderr = stderr
        try:
            yield
        finally:
            os.dup2(terminal, 2)
            sys.stderr = python_stderr


def data_context() -> ray.data.DataContext:
    """Ray Data's settings for one of our streams, in order and silent; those of the process stay as they are."""
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current().copy()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    context.enable_operator_progress_bars = False
    context.print_on_execution_start = False
    return context
