"""The actor that stands between those who send texts and as many embedders as the texts of the moment want."""

from __future__ import annotations

import asyncio
import logging
import os
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import ray
from numpy.typing import NDArray

from actors.embedder import Embedder, EmbedderClient
from actors.encoder import Encoding
from actors.logic.demand import Demand
from cluster.named import Named, as_raised, start

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 1.0


class EmbedderPool:
    """Has as many embedders as are in demand, each with `options`. They are its own: when it dies, they end, and
    when it is restarted, it starts others."""

    def __init__(self, namespace: str, encoding: Encoding, demand: Demand, options: Mapping[str, Any]) -> None:
        self._namespace, self._encoding, self._options = namespace, encoding, dict(options)
        self._demand = demand
        self._client = EmbedderClient([])
        self._up: list[Any] = []
        self._watch: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()

    async def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As of `Embedder`."""
        await self._open()
        return await self._client.encode(texts)

    async def dimension(self) -> int:
        """As of `Embedder`: one is up."""
        await self._open()
        try:
            return int(await self._up[0].dimension.remote())
        except Exception as error:
            raise as_raised(error) from None

    async def size(self) -> int:
        """Embedders that are up."""
        return len(self._up)

    async def pid(self) -> int:
        return os.getpid()

    async def _open(self) -> None:
        async with self._opening:
            if self._watch is None:
                await asyncio.gather(*(self._add() for _ in range(self._demand.low)))
                self._watch = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            have, client = len(self._up), self._client
            wanted = self._demand.wanted(time.monotonic(), have, client.idle, client.waiting)
            try:
                if wanted > have:
                    await self._add()
                elif wanted < have:
                    self._end(client.leave())
            except Exception as error:  # the others go on, and the next look tries again
                log.warning("an embedder did not start: %s", " ".join(str(as_raised(error)).split())[:300])

    async def _add(self) -> None:
        """Returns once it is up, however long its place in the cluster is waited for."""
        named = Named(f"embedder-{uuid.uuid4().hex[:8]}", self._namespace)
        embedder = start(Embedder, named, self._encoding, **self._options)
        try:
            await embedder.dimension.remote()
        except Exception as error:
            ray.kill(embedder)
            raise as_raised(error) from None
        self._up.append(embedder)
        self._client.join(embedder)

    def _end(self, embedder: Any) -> None:
        self._up.remove(embedder)
        ray.kill(embedder)
