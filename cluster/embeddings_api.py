"""The call that brings vectors of texts: `/v1/embeddings`. Retries nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cluster.errors import Halt
from cluster.json_api import JsonApi
from cluster.lanes import Lane
from cluster.retry import Trouble


class EmbeddingsApi(JsonApi):
    """Of one endpoint."""

    async def embed(self, lane: Lane, texts: Sequence[str]) -> NDArray[np.float32]:
        """As many vectors as texts (n × d), in their order, as the endpoint made them. `Trouble` where there is no
        answer, `Halt` where it is one to another question."""
        asked = {"model": lane.endpoint.model, "input": list(texts), "encoding_format": "float"}
        content = await self._ask(lane, "POST", "/embeddings", json=asked)
        rows = content.get("data")
        if not isinstance(rows, list):
            raise Trouble(200, f"{self._url} answered something that is no list of vectors", is_api=False)
        return _vectors(rows, len(texts), f"{lane.endpoint.name} {self._url}")


def _vectors(rows: list[object], count: int, source: str) -> NDArray[np.float32]:
    found = {one.get("index", at): one.get("embedding") for at, one in enumerate(rows) if isinstance(one, dict)}
    if len(rows) != count or found.keys() != set(range(count)):
        raise Halt(f"{source}: {count} vectors were asked for and {len(rows)} came; is its model one for embeddings?")
    try:
        vectors = np.array([found[at] for at in range(count)], dtype=np.float32)
    except (ValueError, TypeError):
        vectors = np.empty(0, dtype=np.float32)
    if vectors.ndim != 2 or not vectors.shape[1]:
        raise Halt(f"{source}: the vectors are no lists of equally many numbers")
    return vectors
