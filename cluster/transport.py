"""Carries one request to one endpoint and brings back the answer, or the trouble in our words. Retries nothing."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any, Protocol

import openai
from openai.types.chat import ChatCompletion

from cluster.chat import ChatAnswer, ChatRequest, Usage
from cluster.keys import Endpoint, Lane
from cluster.retry import Trouble, retry_after_s


class Transport(Protocol):
    """Sends a request on a lane. Raises `Trouble` for whatever is not an answer."""

    async def send(self, lane: Lane, request: ChatRequest) -> ChatAnswer: ...

    async def close(self) -> None: ...


class OpenAITransport:
    """The openai client, one per endpoint, its own retries off. Build it in the process and loop that use it.

    An endpoint that refuses a json_schema with 400 or 422, and answers the same request without it, is asked without
    from then on.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._clients: dict[str, openai.AsyncOpenAI] = {}
        self._without_schema: set[str] = set()

    async def send(self, lane: Lane, request: ChatRequest) -> ChatAnswer:
        endpoint = lane.endpoint
        if request.schema is None or endpoint.name in self._without_schema:
            return await self._send(lane, request, with_schema=False)
        try:
            return await self._send(lane, request, with_schema=True)
        except Trouble as trouble:
            if trouble.status not in (400, 422):
                raise
            answer = await self._send(lane, request, with_schema=False)
            self._without_schema.add(endpoint.name)
            return answer

    async def _send(self, lane: Lane, request: ChatRequest, with_schema: bool) -> ChatAnswer:
        try:
            async with asyncio.timeout(self._timeout_s):  # of the whole exchange; the client's own starts anew per read
                completion = await self._client(lane.endpoint).chat.completions.create(
                    **self._body(lane, request, with_schema),
                    extra_headers={"Authorization": f"Bearer {lane.secret.reveal()}"},
                )
        except openai.APIStatusError as error:
            raise _of_status(error) from None
        except openai.APIConnectionError as error:
            raise _of_connection(error, lane.endpoint) from None
        except TimeoutError:
            raise Trouble(None, f"no answer from {lane.endpoint.base_url} in {self._timeout_s:g} s") from None
        except (openai.APIError, json.JSONDecodeError) as error:
            raise Trouble(
                200, f"an unreadable body from {lane.endpoint.base_url}: {_line(error)}", is_api=False
            ) from None
        return _read(completion, lane)

    def _client(self, endpoint: Endpoint) -> openai.AsyncOpenAI:
        if endpoint.name not in self._clients:
            self._clients[endpoint.name] = openai.AsyncOpenAI(
                base_url=endpoint.base_url,
                api_key="in-the-header-of-each-request",
                max_retries=0,
                timeout=self._timeout_s,
                http_client=openai.DefaultAioHttpClient(),
            )
        return self._clients[endpoint.name]

    @staticmethod
    def _body(lane: Lane, request: ChatRequest, with_schema: bool) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": lane.endpoint.model_for(request.role),
            "messages": list(request.messages),
            "temperature": request.temperature,
            "max_tokens": request.max_tokens,
            "seed": request.seed,
        }
        if with_schema:
            schema = {"name": "answer", "strict": True, "schema": request.schema}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()


def _read(completion: object, lane: Lane) -> ChatAnswer:
    url = lane.endpoint.base_url
    if not isinstance(completion, ChatCompletion):
        raise Trouble(200, f"{url} answered something that is no chat completion (is /v1 missing?)", is_api=False)
    if not completion.choices:
        raise Trouble(200, f"{url} answered a completion without choices", is_api=False)
    choice = completion.choices[0]
    if choice.finish_reason == "content_filter":
        raise Trouble(400, "the provider's content filter refused the answer", code="content_filter")
    used = completion.usage
    prompt, written = (used.prompt_tokens, used.completion_tokens) if used else (0, 0)
    cost = lane.endpoint.price.cost(prompt, written) if lane.endpoint.price else 0.0
    return ChatAnswer(
        text=choice.message.content or "",
        model=completion.model or lane.endpoint.model,
        finish_reason=choice.finish_reason or "stop",
        usage=Usage(1, prompt, written, cost),
    )


def _of_status(error: openai.APIStatusError) -> Trouble:
    is_api = isinstance(error.body, Mapping)
    said = error.body.get("message") if isinstance(error.body, Mapping) else None
    message = str(said) if said else f"HTTP {error.status_code} from {error.request.url.host}"
    wait = retry_after_s(error.response.headers.get("retry-after"), time.time())
    return Trouble(error.status_code, _line(message), error.code, wait, is_api=is_api)


def _of_connection(error: openai.APIConnectionError, endpoint: Endpoint) -> Trouble:
    """Was anybody there? A refused connection or an unknown host is an outage, a reset in the middle is not."""
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    import aiohttp
    import httpx2

    refused = any(
        isinstance(one, (ConnectionRefusedError, aiohttp.ClientConnectorError, httpx2.ConnectError)) for one in causes
    )
    detail = _line(causes[-1]) or type(causes[-1]).__name__
    return Trouble(None, f"{endpoint.base_url}: {detail}", connected=not refused)


def _line(text: object) -> str:
    return " ".join(str(text).split())[:300]
