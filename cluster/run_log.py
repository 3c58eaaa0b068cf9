"""The log of a run: JSON lines in its folder, one file a process, each with the ids of what it is about and none with a
key.

`about` sets the ids for all that is logged below it, in the same task and in those that it starts. Files are bounded,
and so is their number. Knows no Ray.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from logging.handlers import RotatingFileHandler
from pathlib import Path

from cluster.errors import Halt
from cluster.keys import known_secrets
from cluster.local_copies import scratch
from cluster.object_path import ObjectPath
from cluster.refusal import without_key

LOGS = "logs"
_FLOORS = ("cluster", "actors", "pipelines")
_BYTES, _BACKUPS, _FILES = 5_000_000, 1, 40
_IDS: ContextVar[Mapping[str, str]] = ContextVar("ids of the log", default={})  # noqa: B039 (never changed in place)


@contextmanager
def about(**ids: str | None) -> Iterator[None]:
    """What is logged in the block is about these: document, persona, item, call. Inner ids go beside outer ones."""
    token = _IDS.set({**_IDS.get(), **{name: value for name, value in ids.items() if value}})
    try:
        yield
    finally:
        _IDS.reset(token)


@contextmanager
def run_log(run_dir: Path, run_id: str, process: str) -> Iterator[None]:
    """What the process logs, while the block lasts; files of earlier sessions go when there are many."""
    _sweep(scratch(run_dir) / LOGS)
    handlers = log_to(run_dir, run_id, process)
    if logging.lastResort and not logging.getLogger().handlers:
        handlers.append(logging.lastResort)  # which prints warnings, and steps back where there is a handler
        for floor in _FLOORS:
            logging.getLogger(floor).addHandler(logging.lastResort)
    try:
        yield
    finally:
        for handler in handlers:
            for floor in _FLOORS:
                logging.getLogger(floor).removeHandler(handler)
            if handler is not logging.lastResort:
                handler.close()
        if isinstance(run_dir, ObjectPath):
            _put(run_dir, process)


def log_to(run_dir: Path, run_id: str, process: str) -> list[logging.Handler]:
    """From now on this process logs to `logs/PROCESS-PID.jsonl`; nothing where that cannot be written. With
    `POPULACE_LOG=debug` each paid call too. Of a run in an object store the file is of this machine."""
    level = logging.DEBUG if os.environ.get("POPULACE_LOG", "").lower() == "debug" else logging.INFO
    path = scratch(run_dir) / LOGS / f"{process}-{os.getpid()}.jsonl"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = RotatingFileHandler(path, maxBytes=_BYTES, backupCount=_BACKUPS, encoding="utf-8", delay=True)
    except OSError:
        return []
    handler.setFormatter(JsonLines(run_id, process))
    handler.setLevel(level)
    handler.handleError = _stay_silent  # type: ignore[method-assign]
    for floor in _FLOORS:
        logger = logging.getLogger(floor)
        logger.addHandler(handler)
        logger.setLevel(level)
    return [handler]


class JsonLines(logging.Formatter):
    """A record as one line of JSON."""

    def __init__(self, run_id: str, process: str) -> None:
        super().__init__()
        self._same = {"run": run_id, "process": process}

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            **self._same,
            **_IDS.get(),
            "logger": record.name,
            "message": redacted(record.getMessage()),
        }
        if record.exc_info:
            told["traceback"] = redacted(self.formatException(record.exc_info))
        return json.dumps(told, ensure_ascii=False)


def redacted(text: str) -> str:
    """Without any part of a key that this process has."""
    for secret in known_secrets():
        text = without_key(text, secret)
    return text


def _stay_silent(record: logging.LogRecord) -> None:
    """A full disk is told by what has to be written."""


def _put(run_dir: ObjectPath, process: str) -> None:
    """The log of this process, into the store."""
    name = f"{process}-{os.getpid()}.jsonl"
    with suppress(OSError, Halt):
        run_dir.joinpath(LOGS, name).put_file(scratch(run_dir) / LOGS / name)


def _sweep(folder: Path) -> None:
    with suppress(OSError):
        files = sorted(folder.glob("*.jsonl*"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in files[_FILES:]:
            path.unlink()
