"""Takes one batch through its stages at the provider, from the calls on disk to the files of answers, and from any
stage in which an earlier process was killed. Each stage is on disk before the next begins."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TypeVar

from cluster.batch import Batch, Fault, Item, Remote, Rule, Stage, after, line_of, read_item
from cluster.batch_api import BatchApi
from cluster.batch_folder import BatchFolder
from cluster.chat import ChatRequest
from cluster.dialect import Dialect
from cluster.errors import Halt
from cluster.journal import call_key
from cluster.keys import Endpoint
from cluster.lanes import Lane
from cluster.meter import Tally
from cluster.patience import Patience
from cluster.retry import Trouble
from cluster.wire import body_of

log = logging.getLogger(__name__)

T = TypeVar("T")
_TOGETHER = 256  # items: a journal that is slow to store many stores them at once


class BatchClient:
    """Of one endpoint. `dialect` tells how a request is asked for there. `Halt` where a batch cannot go on; it stays as
    it is."""

    def __init__(
        self,
        endpoint: Endpoint,
        folder: BatchFolder,
        api: BatchApi,
        patience: Patience,
        dialect: Callable[[ChatRequest], Dialect | None],
        tally: Tally,
        rule: Rule,
    ) -> None:
        self._endpoint, self._folder, self._api, self._patience = endpoint, folder, api, patience
        self._dialect, self._tally, self._rule = dialect, tally, rule

    def line(self, request: ChatRequest) -> bytes:
        """The call in the file that is uploaded, where its journal key names it."""
        body = body_of(
            request, self._endpoint.model_for(request.role, request.model), self._dialect(request) or Dialect()
        )
        return line_of(call_key(request.canonical(), request.item), body)

    async def finish(self, batch: Batch, adopted: bool) -> tuple[Batch, tuple[Fault, ...]]:
        """The batch when its provider is done with it, and what its validation found. `adopted` ones may be further at
        the provider than on disk."""
        faults: tuple[Fault, ...] = ()
        if batch.status == "failed":  # why is not on disk
            batch = replace(batch, stage=Stage.CREATED)
        while batch.stage not in (Stage.FINISHED, Stage.COLLECTED):
            match batch.stage:
                case Stage.WRITTEN:
                    batch = await self._upload(batch, adopted)
                case Stage.UPLOADED:
                    batch = await self._create(batch, adopted)
                case _:
                    batch, faults = await self._watch(batch)
        return batch, faults

    async def _upload(self, batch: Batch, doubtful: bool) -> Batch:
        self._note(batch, "being uploaded")
        path = await asyncio.to_thread(self._folder.write_upload, batch, self.line)

        async def work(lane: Lane) -> tuple[str, str]:
            found = await self._api.find_file(lane, batch.name) if doubtful else ""
            return found or await self._api.upload(lane, path, batch.name), lane.key_name

        file_id, key_name = await self._call(batch, "upload", work)
        self._folder.drop_upload(batch)
        return self._save(replace(batch, stage=Stage.UPLOADED, file_id=file_id, key_name=key_name))

    async def _create(self, batch: Batch, doubtful: bool) -> Batch:
        """Makes the batch, unless an attempt that brought no answer has made it."""
        key_name = ""

        async def work(lane: Lane) -> Remote:
            nonlocal doubtful, key_name
            key_name = lane.key_name
            found = await self._api.find(lane, batch.file_id) if doubtful else None
            doubtful = True
            return found or await self._api.create(lane, batch, self._metadata(batch))

        try:
            remote = await self._patience.call(f"batch {batch.number}", work, batch.key_name)
        except Trouble as trouble:
            if key_name == batch.key_name:
                raise self._refused(batch, "creation", trouble) from None
            return self._save(replace(batch, stage=Stage.WRITTEN))  # the key that uploaded is dead, and owns the file
        return self._save(replace(after(batch, remote), submitted_at=time.time()))

    def _metadata(self, batch: Batch) -> dict[str, str]:
        return {"populace": batch.name, "batch": str(batch.number)}

    async def _watch(self, batch: Batch) -> tuple[Batch, tuple[Fault, ...]]:
        while True:
            remote = await self._call(batch, "status", lambda lane: self._api.retrieve(lane, batch.batch_id))
            clock = time.strftime("%H:%M", time.localtime(batch.submitted_at))
            done = remote.completed + remote.failed
            self._note(batch, f"{done:,} done, submitted {clock}")
            if remote.is_over:
                log.info("batch %d (%s) %s", batch.number, batch.batch_id, remote.status)
                return self._save(after(batch, remote)), remote.faults
            await asyncio.sleep(self._rule.poll_after_s(time.time() - batch.submitted_at))

    async def read(self, batch: Batch, take: Callable[[Sequence[Item]], Awaitable[None]]) -> None:
        """Hands all items of the batch's files to `take`, some at a time as they arrive; again from the beginning after
        a cut."""
        await self._read(batch, batch.output_file_id, batch.completed, take)
        await self._read(batch, batch.error_file_id, 0, take)

    async def _read(
        self, batch: Batch, file_id: str, least: int, take: Callable[[Sequence[Item]], Awaitable[None]]
    ) -> None:
        async def work(lane: Lane) -> None:
            count, items = 0, list[Item]()
            async for line in self._api.lines(lane, file_id):
                items.append(read_item(line))
                count += 1
                if len(items) == _TOGETHER:
                    await take(items)
                    items = []
            await take(items)
            if count < least:
                raise Trouble(None, f"{count:,} of {least:,} answers of batch {batch.number} arrived")

        if file_id:
            await self._call(batch, "answers", work)

    def collected(self, batch: Batch) -> Batch:
        """All that it brought is in the journal."""
        self.leave(batch)
        return self._save(replace(batch, stage=Stage.COLLECTED))

    async def clean(self, batch: Batch) -> None:
        """A collected batch's files go, here and, as far as that works, at the provider."""
        for file_id in filter(None, (batch.file_id, batch.output_file_id, batch.error_file_id)):
            with suppress(Trouble, Halt):
                await self._patience.call("", partial(self._api.delete, file_id=file_id), batch.key_name)
        self._folder.forget(batch)

    def retire_key(self, batch: Batch, trouble: Trouble) -> None:
        """The account of the batch's key refused an item."""
        self._patience.retire_key(batch.key_name, trouble)

    def leave(self, batch: Batch) -> None:
        """Nothing more is told about it."""
        self._tally.note(f"batch {batch.number}", "")

    async def _call(self, batch: Batch, what: str, work: Callable[[Lane], Awaitable[T]]) -> T:
        try:
            return await self._patience.call(f"batch {batch.number}", work, batch.key_name)
        except Trouble as trouble:
            raise self._refused(batch, what, trouble) from None

    def _refused(self, batch: Batch, what: str, trouble: Trouble) -> Halt:
        said = f"batch {batch.number}: {batch.base_url} refuses its {what} (HTTP {trouble.status}: {trouble.message})"
        if batch.batch_id:
            return Halt(
                f"{said}; it was made as {batch.batch_id} with the key {batch.key_name}: put that in, or remove "
                f"batches/{batch.number:05d}.json from the run's folder to send its {batch.calls:,} calls again"
            )
        return Halt(f"{said}; mend that and run again, or leave out llm.endpoints[].batch")

    async def close(self) -> None:
        await self._patience.close()
        await self._api.close()

    def _save(self, batch: Batch) -> Batch:
        self._folder.save(batch)
        return batch

    def _note(self, batch: Batch, state: str) -> None:
        self._tally.note(f"batch {batch.number}", f"{batch.calls:,} requests, {state}")
