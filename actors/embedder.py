"""The actor that turns texts into unit vectors, and who sends it the texts. Knows nothing of what they are for."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actors.encoder import Encoder, Encoding
from cluster.meter import Tally
from cluster.named import Named, as_raised

_TIMEOUT_S = 120.0  # of one request to an endpoint


class Embedder:
    """The actor around an encoder, which is loaded at the first call: what is wrong with it is raised there."""

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding
        self._encoder: Encoder | None = None

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, one row a text, in the order of `texts`."""
        return self._loaded().encode(texts)

    def dimension(self) -> int:
        """Components of a vector; also says that the model is loaded."""
        return self._loaded().dimension

    def pid(self) -> int:
        return os.getpid()

    def _loaded(self) -> Encoder:
        from actors.local_encoder import LocalEncoder

        self._encoder = self._encoder or LocalEncoder(self._encoding)
        return self._encoder


class EndpointEmbedder:
    """The actor that asks an endpoint. It can be asked many things at once."""

    def __init__(self, encoding: Encoding, meter: Named | None) -> None:
        from actors.endpoint_encoder import EndpointEncoder  # aiohttp, which who sends the texts does without

        assert encoding.endpoint is not None
        self._encoder = EndpointEncoder(encoding.endpoint, _TIMEOUT_S, Tally(meter.handle() if meter else None))

    async def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As of `Embedder`."""
        return await self._encoder.encode(texts)

    async def dimension(self) -> int:
        """As of `Embedder`; also says that the endpoint answers."""
        return await self._encoder.dimension()

    async def pid(self) -> int:
        return os.getpid()


class EmbedderClient:
    """Sends texts to the embedders, to each as many calls at once as times that it is named; what arrives while all are
    at work travels together in the next call."""

    def __init__(self, embedders: Sequence[Any], batch: int = 256) -> None:
        self._idle, self._batch = list(embedders), batch
        self._waiting: list[_Waiting] = []
        self._senders: set[asyncio.Task[None]] = set()

    async def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As `Encoder.encode`."""
        waiting = _Waiting(texts, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._idle:
            self.join(self._idle.pop())
        return await waiting.vectors

    @property
    def idle(self) -> int:
        """Embedders without work."""
        return len(self._idle)

    @property
    def waiting(self) -> int:
        """Calls whose texts no embedder has yet."""
        return len(self._waiting)

    def join(self, embedder: Any) -> None:
        """From now on this one embeds too, first of all what waits."""
        sender = asyncio.get_running_loop().create_task(self._send(embedder))
        self._senders.add(sender)
        sender.add_done_callback(self._senders.discard)

    def leave(self) -> Any:
        """One of the idle ones, which gets no more texts."""
        return self._idle.pop()

    async def _send(self, embedder: Any) -> None:
        await asyncio.sleep(0)  # everything that is ready in this turn of the loop travels together
        while taken := self._take():
            try:
                vectors = await embedder.encode.remote([text for one in taken for text in one.texts])
            except Exception as error:  # the boundary to another process: each waiter raises it as its own
                for one in taken:
                    one.vectors.set_exception(as_raised(error))
                continue
            start = 0
            for one in taken:
                if not one.vectors.done():
                    one.vectors.set_result(vectors[start : start + len(one.texts)])
                start += len(one.texts)
        self._idle.append(embedder)

    def _take(self) -> list[_Waiting]:
        count = texts = 0
        while count < len(self._waiting) and (not count or texts + len(self._waiting[count].texts) <= self._batch):
            texts += len(self._waiting[count].texts)
            count += 1
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return taken


@dataclass(slots=True)
class _Waiting:
    texts: Sequence[str]
    vectors: asyncio.Future[NDArray[np.float32]]
