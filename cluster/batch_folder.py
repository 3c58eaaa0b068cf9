"""The batches of a run on disk, so that whatever is killed goes on where it was.

    batches/00003.calls.jsonl   its calls, a JSON object a line: the request in canonical form, and `item`
    batches/00003.json          the state; where it is, the calls are whole
    batches/00003.upload.jsonl  what is uploaded; made of the calls, and gone afterwards
    batches/.lock               of the one process that may go on with them: two would pay twice

Every method blocks.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cluster.batch import Batch, Stage
from cluster.chat import ChatRequest, Role, ToolChoice
from cluster.errors import Halt
from cluster.files import atomic_path, lock_at, write_atomically
from cluster.local_copies import scratch

_compact = json.JSONEncoder(separators=(",", ":")).encode


class BatchFolder:
    """`run_id` goes into the batches' names, of which no two are the same in all sessions."""

    def __init__(self, folder: Path, run_id: str) -> None:
        self._folder, self._run_id = folder, run_id
        self._number = 0
        self._lock = lock_at(folder / ".lock")

    def lock(self) -> bool:
        """Whether the folder is this process's alone; not as long as one that went before still lives."""
        return self._lock.take()

    def release(self) -> None:
        self._lock.release()

    def load(self) -> list[Batch]:
        """The batches that are under way, in order; what a killed process left half written is removed."""
        batches = outstanding(self._folder)
        known = {f"{one.number:05d}" for one in batches}
        for path in self._folder.glob("*.jsonl"):
            if path.name.partition(".")[0] not in known or path.name.endswith(".upload.jsonl"):
                path.unlink(missing_ok=True)
        for path in self._folder.glob(".*.tmp"):
            path.unlink(missing_ok=True)
        self._number = max([self._number, *(one.number for one in batches)])
        return batches

    def begin(self, model: str, base_url: str, requests: Sequence[ChatRequest]) -> Batch:
        """A new batch of these calls."""
        self._number += 1
        name = f"populace-{self._run_id}-{self._number:05d}-{secrets.token_hex(4)}"
        batch = Batch(self._number, name, model, len(requests), base_url)
        with atomic_path(self._path(batch, "calls.jsonl")) as path, path.open("w", encoding="utf-8") as file:
            for request in requests:
                file.write(_compact({"item": request.item, **request.canonical()}) + "\n")
        self.save(batch)
        return batch

    def save(self, batch: Batch) -> None:
        write_atomically(self._path(batch, "json"), json.dumps(asdict(batch), indent=1))

    def requests(self, batch: Batch) -> Iterator[ChatRequest]:
        """The calls, in the order of the file that is uploaded."""
        with self._path(batch, "calls.jsonl").open(encoding="utf-8") as file:
            for line in file:
                content = json.loads(line)
                choice = ToolChoice(content.get("tool_choice", ToolChoice.AUTO))
                yield ChatRequest(**content | {"role": Role(content["role"]), "tool_choice": choice})

    def write_upload(self, batch: Batch, line: Callable[[ChatRequest], bytes]) -> Path:
        """The file to be uploaded, `line` by line."""
        target = self._upload(batch)
        with atomic_path(target) as path, path.open("wb") as file:
            file.writelines(line(request) for request in self.requests(batch))
        return target

    def drop_upload(self, batch: Batch) -> None:
        self._upload(batch).unlink(missing_ok=True)

    def forget(self, batch: Batch) -> None:
        """The batch is over: the state goes first, for what lies without one is swept."""
        for kind in ("json", "calls.jsonl"):
            self._path(batch, kind).unlink(missing_ok=True)
        self.drop_upload(batch)

    def _upload(self, batch: Batch) -> Path:
        """Of this machine, wherever the folder is: it is made again when it is gone."""
        return scratch(self._folder) / self._path(batch, "upload.jsonl").name

    def _path(self, batch: Batch, kind: str) -> Path:
        return self._folder / f"{batch.number:05d}.{kind}"


def outstanding(folder: Path) -> list[Batch]:
    """The batches of a run that are under way. `Halt` where one's state is not readable."""
    return [_read(path) for path in sorted(folder.glob("[0-9]*.json"))]


def _read(path: Path) -> Batch:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return Batch(**content | {"stage": Stage(content["stage"])})
    except (ValueError, TypeError, KeyError) as error:
        raise Halt(f"{path} is no state of a batch ({error}); remove it to send its calls again") from None
