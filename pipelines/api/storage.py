"""Where finished rows go beside the Parquet of the run: a protocol of one method, and JSON Lines."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Awaitable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from actors.logic.document import digest
from cluster.errors import UserError
from cluster.files import halt_on_disk_error

Row = dict[str, Any]
"""A row of the dataset by its columns, `messages` among them; times are datetimes."""


class BaseStorage(Protocol):
    """Receives rows in the process of the script as parts become whole. After a crash the rows of one part may come a
    second time; `conversation_id` tells them."""

    def save_conversations(self, conversations: Sequence[Row]) -> Awaitable[None] | None:
        """Keep these rows. May be a coroutine function. What it raises ends the generation, resumable."""


class ParquetStorage:
    """The run's own parts, in `run_dir`; what there is without any storage."""

    def __init__(self, run_dir: str | Path | None = None) -> None:
        self.run_dir = run_dir

    def save_conversations(self, conversations: Sequence[Row]) -> None:
        """They are there already."""


class JSONLStorage:
    """A file of JSON Lines, to which rows are appended, each once; what a crash has torn off is cut away."""

    def __init__(self, path: str | Path = "conversations.jsonl") -> None:
        self.path = Path(path).expanduser()
        self._seen: np.ndarray[Any, np.dtype[np.uint64]] | None = None

    def save_conversations(self, conversations: Sequence[Row]) -> None:
        """`Halt` on a full disk, `UserError` where the file holds something else."""
        seen = self._known()
        names = np.array([digest(one["conversation_id"]) for one in conversations], np.uint64)
        new = ~np.isin(names, seen)
        with halt_on_disk_error(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                for row, fresh in zip(conversations, new, strict=True):
                    if fresh:
                        file.write(json.dumps(row, ensure_ascii=False, default=_plain) + "\n")
        self._seen = np.union1d(seen, names)

    def load_conversations(self) -> Iterator[Row]:
        """The rows of the file, as they were written."""
        with self.path.open(encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)

    def _known(self) -> np.ndarray[Any, np.dtype[np.uint64]]:
        if self._seen is None:
            self._seen = np.sort(np.fromiter(self._read(), np.uint64))
        return self._seen

    def _read(self) -> Iterator[int]:
        if not self.path.exists():
            return
        with self.path.open("r+b") as file:
            end = 0
            for line in file:
                if not line.endswith(b"\n"):
                    file.truncate(end)
                    return
                end += len(line)
                yield digest(_id_in(line, self.path))


def save(storage: BaseStorage, table: pa.Table) -> None:
    """Hand the rows of a part to a storage, whether its method is a coroutine function or not."""
    answer: Any = storage.save_conversations(table.to_pylist())
    if inspect.isawaitable(answer):
        asyncio.run(_awaited(answer))


async def _awaited(answer: Awaitable[None]) -> None:
    await answer


def _id_in(line: bytes, path: Path) -> str:
    try:
        return str(json.loads(line)["conversation_id"])
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path} holds something else than conversations; choose another file") from None


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
