"""Carries one request to one endpoint and brings back the answer, or the trouble in our words. Retries nothing.

A call is a plain POST over the one aiohttp session of the process: what does not change from call to call (URL,
headers, proxy) is made once per key, what does is written and read by `cluster.wire`, and the parts of it that
endpoints differ in are decided by `cluster.dialect`. The openai package is not loaded here.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from cluster.chat import ChatAnswer, ChatRequest
from cluster.connection import broken, headers_of, open_session, proxy_of
from cluster.dialect import Dialect, Known, is_refusal, next_dialect
from cluster.keys import Endpoint, Secret
from cluster.lanes import Lane
from cluster.refusal import read_refusal, without_key
from cluster.retry import Trouble
from cluster.wire import body_of, read_answer

log = logging.getLogger(__name__)


class Transport(Protocol):
    """Sends a request on a lane. Raises `Trouble` for whatever is not an answer."""

    async def send(self, lane: Lane, request: ChatRequest) -> ChatAnswer: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _Route:
    """Where the calls of a lane go, ready to be used; its repr shows no headers."""

    url: URL
    headers: CIMultiDict[str]
    proxy: str | None

    def __repr__(self) -> str:
        return f"_Route({self.url})"


class OpenAITransport:
    """Speaks OpenAI's chat API to any number of endpoints. Build it in the process and loop that use it.

    `timeout_s` is that of a whole exchange, from the connection to the last byte. Connections are bounded by the
    lanes alone, so that no call waits for one. An endpoint that refuses how it is asked (a json_schema, `max_tokens`,
    a temperature, a seed) is asked otherwise from then on; see `cluster.dialect`.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None
        self._routes: dict[tuple[str, Secret], _Route] = {}  # a key that is exchanged is another secret
        self._known: dict[tuple[str, str], Known] = {}
        self._uncounted: set[str] = set()

    async def send(self, lane: Lane, request: ChatRequest) -> ChatAnswer:
        endpoint = lane.endpoint
        model = endpoint.model_for(request.role, request.model)
        known = self._known.get((endpoint.name, model)) or self._known.setdefault((endpoint.name, model), Known())
        tried, first_refusal = [known.dialect], None
        while True:
            dialect = tried[-1]
            try:
                answer = await self._exchange(lane, request, model, dialect)
            except Trouble as trouble:
                if not is_refusal(trouble):
                    raise
                first_refusal = first_refusal or trouble
                other = next_dialect(known, tried, trouble.field, request.schema is not None)
                if other is None:
                    raise first_refusal from None
                tried.append(other)
                continue
            structured = request.schema is not None
            if (first_refusal or known.is_open(structured)) and known.worked(dialect, structured):
                log.info("%s: %s is asked otherwise from now on: %s", endpoint.name, model, known.dialect)
            return answer

    def dialect(self, endpoint: Endpoint, request: ChatRequest) -> Dialect | None:
        """How such a request is asked for at an endpoint; None while no answer has told."""
        known = self._known.get((endpoint.name, endpoint.model_for(request.role, request.model)))
        return None if known is None or known.is_open(request.schema is not None) else known.dialect

    async def _exchange(self, lane: Lane, request: ChatRequest, model: str, dialect: Dialect) -> ChatAnswer:
        endpoint = lane.endpoint
        brought = await self._post(lane, body_of(request, model, dialect))
        if isinstance(brought, Trouble):  # raised here, so that no error of the session, which knows the key, is in it
            raise brought
        status, headers, body = brought
        if not 200 <= status < 300:
            raise read_refusal(status, headers, body, endpoint.base_url, lane.secret, time.time())
        try:
            answer, counted = read_answer(body, request, model, endpoint)
        except Trouble as trouble:
            trouble.message = without_key(trouble.message, lane.secret)
            raise
        if not counted and endpoint.name not in self._uncounted:
            self._uncounted.add(endpoint.name)
            log.warning("%s counts no tokens: usage and cost are estimated from the length of texts", endpoint.name)
        return answer

    async def _post(self, lane: Lane, body: bytes) -> tuple[int, Mapping[str, str], bytes] | Trouble:
        url = lane.endpoint.base_url
        route = self._routes.get((lane.endpoint.name, lane.secret)) or self._new_route(lane)
        if isinstance(route, Trouble):
            return route
        if self._session is None:
            self._session = open_session()
        session = self._session
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                session.post(route.url, data=body, headers=route.headers, proxy=route.proxy) as response,
            ):
                return response.status, response.headers, await response.read()
        except (aiohttp.ClientError, ConnectionError) as error:
            return broken(error, url)
        except TimeoutError:
            return Trouble(None, f"no answer from {url} in {self._timeout_s:g} s")

    def _new_route(self, lane: Lane) -> _Route | Trouble:
        headers = headers_of(lane)
        if isinstance(headers, Trouble):
            return headers
        headers["Content-Type"] = "application/json"
        route = _Route(URL(f"{lane.endpoint.base_url}/chat/completions"), headers, proxy_of(lane.endpoint))
        self._routes[lane.endpoint.name, lane.secret] = route
        return route

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
