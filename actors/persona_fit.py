"""Asks the embedders how much personas are in what they say, for many dialogues together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np

from actors.embedder import EmbedderClient
from actors.logic.quality.fit import Fit, Spoken, fits, texts_of
from cluster.named import Named

_TEXTS = 256  # of one call, so that several embedders have a share


class PersonaFit:
    """A client of the embedders, which there may be none of."""

    def __init__(self, embedders: Sequence[Named]) -> None:
        self._embedder = EmbedderClient([one.handle() for one in embedders]) if embedders else None

    async def of(self, spoken: Sequence[Spoken]) -> list[Fit | None]:
        """In their order; None without a persona or an embedder."""
        texts = texts_of(spoken)
        if self._embedder is None or not texts:
            return [None] * len(spoken)
        pieces = [texts[at : at + _TEXTS] for at in range(0, len(texts), _TEXTS)]
        vectors = await asyncio.gather(*map(self._embedder.encode, pieces))
        return fits(spoken, np.concatenate(vectors))
