"""What keeps near-duplicates out."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from actors.encoder import Backend, Precision
from actors.logic.near_duplicates import Scope, Thresholds
from pipelines.settings.llm import Asked
from pipelines.settings.section import Section


class EmbeddingEndpointSettings(Asked):
    """A `/v1/embeddings` in place of a model on this machine."""


class Dedup(Section):
    threshold: Annotated[float, Field(gt=0, le=1)] = 0.9
    minhash: Annotated[float, Field(ge=0.7, le=1)] | None = None
    scope: Scope = Scope.CORPUS
    model: str | None = None
    shards: Annotated[int, Field(strict=True, ge=1, le=1024)] = 1
    backend: Backend = Backend.TORCH
    precision: Precision = Precision.FLOAT32
    endpoint: EmbeddingEndpointSettings | None = None

    @property
    def thresholds(self) -> Thresholds:
        return Thresholds(self.threshold, self.minhash)

    @model_validator(mode="after")
    def _one_way(self) -> Dedup:
        if self.precision is Precision.INT8 and self.backend is not Backend.ONNX:
            raise ValueError("has precision: int8, which only backend: onnx has; set that, or leave it out")
        if self.precision is Precision.BFLOAT16 and self.backend is not Backend.TORCH:
            raise ValueError("has precision: bfloat16, which only backend: torch has; set that, or leave it out")
        if self.endpoint and self.model:
            raise ValueError("has a model and an endpoint; the endpoint's model is endpoint.model, so leave model out")
        if self.endpoint and (self.backend, self.precision) != (Backend.TORCH, Precision.FLOAT32):
            raise ValueError("has an endpoint, which has a backend and a precision of its own; leave them out")
        return self
