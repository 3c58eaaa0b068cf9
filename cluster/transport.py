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
from dataclasses import dataclass, replace
from typing import Protocol

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from cluster.chat import ChatAnswer, ChatRequest, ToolChoice
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


@dataclass(frozen=True, slots=True)
class _Brought:
    """An answer, how it was asked for, and whether another way was refused before."""

    answer: ChatAnswer
    dialect: Dialect
    refused: bool


class OpenAITransport:
    """Speaks OpenAI's chat API to any number of endpoints. Build it in the process and loop that use it.

    `timeout_s` is that of a whole exchange, from the connection to the last byte. Connections are bounded by the
    lanes alone, so that no call waits for one. An endpoint that refuses how it is asked (a json_schema, `max_tokens`,
    a temperature, a seed, tools), or never shows its model the tools, is asked otherwise from then on; see
    `cluster.dialect`.
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
        brought = await self._ask(lane, request, model, known, known.dialect)
        self._learn(endpoint, request, model, known, brought)
        answer = brought.answer
        if request.tool_choice is not ToolChoice.REQUIRED or answer.tool_calls:
            return answer
        if (in_prompt := known.in_prompt(known.dialect)) is None:
            return answer
        again = await self._ask(lane, request, model, known, in_prompt)
        if again.answer.tool_calls:
            self._learn(endpoint, request, model, known, again)
        return replace(again.answer, usage=answer.usage + again.answer.usage)

    async def _ask(self, lane: Lane, request: ChatRequest, model: str, known: Known, dialect: Dialect) -> _Brought:
        """An answer, asked for in this dialect first and, as long as it is refused, in others."""
        tried, first_refusal = [dialect], None
        while True:
            try:
                answer = await self._exchange(lane, request, model, tried[-1])
                return _Brought(answer, tried[-1], first_refusal is not None)
            except Trouble as trouble:
                if not is_refusal(trouble):
                    raise
                first_refusal = first_refusal or trouble
                structured, tooled = request.schema is not None, bool(request.tools)
                other = next_dialect(known, tried, trouble.field, structured, tooled)
                if other is None:
                    raise first_refusal from None
                tried.append(other)

    def _learn(self, endpoint: Endpoint, request: ChatRequest, model: str, known: Known, brought: _Brought) -> None:
        structured, tooled = request.schema is not None, bool(request.tools)
        called = bool(brought.answer.tool_calls)
        tells = brought.refused or known.is_open(structured, tooled)
        if tells and known.worked(brought.dialect, structured, tooled, called):
            log.info("%s: %s is asked otherwise from now on: %s", endpoint.name, model, known.dialect)

    def dialect(self, endpoint: Endpoint, request: ChatRequest) -> Dialect | None:
        """How such a request is asked for at an endpoint; None while no answer has told."""
        known = self._known.get((endpoint.name, endpoint.model_for(request.role, request.model)))
        if known is None or known.is_open(request.schema is not None, bool(request.tools)):
            return None
        return known.dialect

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
