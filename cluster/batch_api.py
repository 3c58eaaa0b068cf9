"""The calls that batches take: files up and down, and batches made, found and asked after. Retries nothing.

Every method raises `Trouble` for whatever is not the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import aiohttp

from cluster.batch import URL, Batch, Remote, read_remote
from cluster.connection import broken
from cluster.json_api import JsonApi
from cluster.lanes import Lane
from cluster.retry import Trouble

_SLOWEST_BYTES_PER_S = 50_000
_PAGE = 100
_PAGES = 20  # of batches that are looked through for one that may have been made


class BatchApi(JsonApi):
    """Of one endpoint. `timeout_s` is that of an exchange, and of each pause in a download; an upload has more."""

    async def upload(self, lane: Lane, path: Path, name: str) -> str:
        """The id of the file."""
        size = path.stat().st_size
        with path.open("rb") as file:
            form = aiohttp.FormData()
            form.add_field("purpose", "batch")
            form.add_field("file", file, filename=f"{name}.jsonl", content_type="application/jsonl")
            seconds = self._timeout_s + size / _SLOWEST_BYTES_PER_S
            content = await self._ask(lane, "POST", "/files", data=form, seconds=seconds)
        return str(content["id"])

    async def find_file(self, lane: Lane, name: str) -> str:
        """The id of an uploaded file of this name; empty where there is none."""
        async for one in self._pages(lane, "/files", {"purpose": "batch"}):
            if one.get("filename") == f"{name}.jsonl":
                return str(one["id"])
        return ""

    async def create(self, lane: Lane, batch: Batch, metadata: Mapping[str, str]) -> Remote:
        asked = {
            "input_file_id": batch.file_id,
            "endpoint": URL,
            "completion_window": "24h",
            "metadata": dict(metadata),
        }
        return read_remote(await self._ask(lane, "POST", "/batches", json=asked))

    async def find(self, lane: Lane, file_id: str) -> Remote | None:
        """The batch that was made of a file."""
        async for one in self._pages(lane, "/batches", {}):
            if one.get("input_file_id") == file_id:
                return read_remote(one)
        return None

    async def retrieve(self, lane: Lane, batch_id: str) -> Remote:
        return read_remote(await self._ask(lane, "GET", f"/batches/{batch_id}"))

    async def delete(self, lane: Lane, file_id: str) -> None:
        await self._ask(lane, "DELETE", f"/files/{file_id}")

    async def lines(self, lane: Lane, file_id: str) -> AsyncIterator[bytes]:
        """The lines of a file as they arrive; only the one that is under way is held."""
        trouble: Trouble | None = None
        try:
            async with self._open(lane, "GET", f"/files/{file_id}/content") as response:
                if response.status != 200:
                    raise await self._refusal(lane, response)
                rest = b""
                while chunk := await self._chunk(response):
                    *whole, rest = (rest + chunk).split(b"\n")
                    for line in whole:
                        if line.strip():
                            yield line
                if rest.strip():
                    yield rest
        except (aiohttp.ClientError, ConnectionError) as error:
            trouble = broken(error, self._url)
        except TimeoutError:
            trouble = self._silence(self._timeout_s)
        if trouble:  # raised here, so that no error of the session, which knows the key, is in it
            raise trouble

    async def _chunk(self, response: aiohttp.ClientResponse) -> bytes:
        async with asyncio.timeout(self._timeout_s):
            return await response.content.read(1 << 16)

    async def _pages(self, lane: Lane, path: str, query: Mapping[str, str]) -> AsyncIterator[dict[str, object]]:
        """The newest first."""
        after: dict[str, str] = {}
        for _ in range(_PAGES):
            content = await self._ask(lane, "GET", path, params={"limit": str(_PAGE), **query, **after})
            rows = content.get("data")
            found = [one for one in rows if isinstance(one, dict)] if isinstance(rows, list) else []
            for one in found:
                yield one
            if not found or not content.get("has_more"):
                return
            after = {"after": str(found[-1].get("id"))}
