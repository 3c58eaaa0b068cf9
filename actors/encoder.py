"""What turns texts into vectors, whichever way: the seam, the ways that there are, and what a vector has to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cluster.errors import Halt
from cluster.keys import Endpoint

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
_SHOWN = 60  # characters of a text


class Backend(StrEnum):
    """What computes a local model."""

    TORCH = "torch"
    ONNX = "onnx"


class Precision(StrEnum):
    """Of a local model's weights, and of the arithmetic with them."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    INT8 = "int8"


@dataclass(frozen=True, slots=True)
class Encoding:
    """How texts become vectors: by a model on this machine, or by the one at `endpoint`."""

    model: str = DEFAULT_MODEL
    backend: Backend = Backend.TORCH
    precision: Precision = Precision.FLOAT32
    endpoint: Endpoint | None = None

    @property
    def space(self) -> str:
        """The name of the vector space: vectors of equal names may be compared."""
        if self.endpoint:
            return f"{self.endpoint.model} at {self.endpoint.base_url}"
        return f"{self.model} ({self.precision})" if self.precision is not Precision.FLOAT32 else self.model


class Encoder(Protocol):
    """n texts to n unit vectors of `dimension` components, float32, in the order of the texts."""

    dimension: int

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]: ...


def unit(vectors: NDArray[np.float32], source: str, texts: Sequence[str]) -> NDArray[np.float32]:
    """The vectors (n × d) of n texts at length one; `Halt` naming `source` and the text where one has no direction."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    without = ~np.isfinite(lengths) | (lengths == 0)
    if without.any():
        text = " ".join(texts[int(np.argmax(without))].split())
        raise Halt(
            f"{source}: a vector is NaN, infinite or zero, that of the text {text[:_SHOWN]!r}; leave the text out, or "
            "choose another model (or precision) under personas.dedup"
        )
    return np.asarray(vectors / lengths, dtype=np.float32)
