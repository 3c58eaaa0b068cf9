"""Asks an endpoint for JSON objects, beside its chat completions. Retries nothing.

Every method raises `Trouble` for whatever is not the answer.
"""

from __future__ import annotations

import asyncio
import json
import time

import aiohttp

from cluster.connection import broken, headers_of, open_session, proxy_of
from cluster.keys import Endpoint
from cluster.lanes import Lane
from cluster.refusal import read_refusal
from cluster.retry import Trouble


class JsonApi:
    """Of one endpoint. `timeout_s` is that of an exchange."""

    def __init__(self, endpoint: Endpoint, timeout_s: float) -> None:
        self._url, self._timeout_s = endpoint.base_url, timeout_s
        self._proxy = proxy_of(endpoint)
        self._session: aiohttp.ClientSession | None = None

    async def _ask(
        self, lane: Lane, method: str, path: str, seconds: float | None = None, **sent: object
    ) -> dict[str, object]:
        seconds = seconds or self._timeout_s
        trouble: Trouble
        try:
            async with asyncio.timeout(seconds), self._open(lane, method, path, **sent) as response:
                if not 200 <= response.status < 300:
                    raise await self._refusal(lane, response)
                return self._object(await response.read())
        except (aiohttp.ClientError, ConnectionError) as error:
            trouble = broken(error, self._url)
        except TimeoutError:
            trouble = self._silence(seconds)
        raise trouble

    def _open(self, lane: Lane, method: str, path: str, **sent: object) -> aiohttp.client._RequestContextManager:
        headers = headers_of(lane)
        if isinstance(headers, Trouble):
            raise headers
        if self._session is None:
            self._session = open_session()
        return self._session.request(method, f"{self._url}{path}", headers=headers, proxy=self._proxy, **sent)  # type: ignore[arg-type]

    async def _refusal(self, lane: Lane, response: aiohttp.ClientResponse) -> Trouble:
        where = f"{self._url}{response.url.path.rpartition('/v1')[2]}"
        return read_refusal(response.status, response.headers, await response.read(), where, lane.secret, time.time())

    def _object(self, body: bytes) -> dict[str, object]:
        try:
            content = json.loads(body)
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, dict):
            raise Trouble(200, f"{self._url} answered something that is no JSON object", is_api=False)
        return content

    def _silence(self, seconds: float) -> Trouble:
        return Trouble(None, f"no answer from {self._url} in {seconds:g} s")

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
