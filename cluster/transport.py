"""Carries one request to one endpoint and brings back the answer, or the trouble in our words. Retries nothing.

A call is a plain POST over the one aiohttp session of the process: what does not change from call to call (URL,
headers, proxy) is made once per key, what does is written and read by `cluster.wire`, and the parts of it that
endpoints differ in are decided by `cluster.dialect`. The openai package is not loaded here.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from cluster.chat import ChatAnswer, ChatRequest
from cluster.dialect import Dialect, Known, is_refusal, next_dialect
from cluster.keys import Endpoint, Secret
from cluster.lanes import Lane
from cluster.refusal import one_line, read_refusal, without_key
from cluster.retry import Trouble
from cluster.wire import body_of, read_answer

log = logging.getLogger(__name__)

_KEEP_ALIVE_S = 30.0
_DNS_CACHE_S = 60


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
        model = endpoint.model_for(request.role)
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
        session = self._session or self._open()
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                session.post(route.url, data=body, headers=route.headers, proxy=route.proxy) as response,
            ):
                return response.status, response.headers, await response.read()
        except aiohttp.ClientConnectorError as error:  # nobody there; a reset in the middle is not that
            return Trouble(None, f"{url}: {one_line(error.os_error)}", connected=False)
        except (aiohttp.ClientError, ConnectionError) as error:
            return Trouble(None, f"{url}: {one_line(error) or type(error).__name__}")
        except TimeoutError:
            return Trouble(None, f"no answer from {url} in {self._timeout_s:g} s")

    def _new_route(self, lane: Lane) -> _Route | Trouble:
        if not _fits_a_header(lane.secret):
            return Trouble(401, f"the key {lane.key_name} has characters that no header takes", "invalid_api_key")
        headers = CIMultiDict(
            {
                "Authorization": f"Bearer {lane.secret.reveal()}",
                "Content-Type": "application/json",
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "User-Agent": "populace",
            }
        )
        route = _Route(URL(f"{lane.endpoint.base_url}/chat/completions"), headers, _proxy_of(lane.endpoint))
        self._routes[lane.endpoint.name, lane.secret] = route
        return route

    def _open(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=0, ttl_dns_cache=_DNS_CACHE_S, keepalive_timeout=_KEEP_ALIVE_S, ssl=_tls_context()
        )
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=aiohttp.ClientTimeout(total=None), cookie_jar=aiohttp.DummyCookieJar()
        )
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


def _fits_a_header(secret: Secret) -> bool:
    key = secret.reveal()
    return key.isascii() and (key.isprintable() or not key)


def _proxy_of(endpoint: Endpoint) -> str | None:
    """The HTTP proxy that the environment names for an endpoint; asked once, for asking costs as much as a call."""
    parts = urlsplit(endpoint.base_url)
    if proxy_bypass(parts.netloc):
        return None
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all") or ""
    return proxy if proxy.startswith(("http://", "https://")) else None


def _tls_context() -> ssl.SSLContext:
    """The system's certificates, and certifi's beside them: a bare container has none of its own."""
    context = ssl.create_default_context()
    with suppress(ImportError):
        import certifi

        context.load_verify_locations(certifi.where())
    return context
