"""Vectors from the model behind a `/v1/embeddings`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from actors.encoder import unit
from cluster.embeddings_api import EmbeddingsApi
from cluster.errors import Halt
from cluster.keys import Endpoint
from cluster.lanes import Lane, Lanes
from cluster.meter import Tally
from cluster.patience import Patience
from cluster.retry import Trouble

_TEXTS = 64  # of a request
_MOST_CHARACTERS = 16_000  # of a text: more than most models read, and less than most refuse
_PROBE = "a person"


class EndpointEncoder:
    """Asks an endpoint, with as much patience as batches have. Build it in the process and loop that use it.
    `Halt` where the endpoint cannot be used."""

    def __init__(self, endpoint: Endpoint, timeout_s: float, tally: Tally) -> None:
        self._name = f"{endpoint.name} {endpoint.base_url}"
        self._api = EmbeddingsApi(endpoint, timeout_s)
        self._patience = Patience(Lanes([endpoint]), tally, time.monotonic)
        self._dimension = 0

    async def dimension(self) -> int:
        """Components of a vector, as the endpoint's first answer has them."""
        if not self._dimension:
            await self._ask([_PROBE])
        return self._dimension

    async def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As `Encoder.encode`."""
        asked = [texts[start : start + _TEXTS] for start in range(0, len(texts), _TEXTS)]
        answered = await asyncio.gather(*(self._ask(one) for one in asked))
        return np.concatenate([np.empty((0, await self.dimension()), dtype=np.float32), *answered])

    async def _ask(self, texts: Sequence[str]) -> NDArray[np.float32]:
        cut = [text[:_MOST_CHARACTERS] or " " for text in texts]  # an empty one is refused

        async def ask(lane: Lane) -> NDArray[np.float32]:
            return await self._api.embed(lane, cut)

        try:
            vectors = await self._patience.call(self._name, ask)
        except Trouble as trouble:
            raise Halt(f"{self._name}: {trouble.message}") from None
        self._dimension = self._dimension or vectors.shape[1]
        if vectors.shape[1] != self._dimension:
            raise Halt(f"{self._name}: vectors have {vectors.shape[1]} components, and had {self._dimension} before")
        return unit(vectors, self._name, texts)

    async def close(self) -> None:
        await self._api.close()
