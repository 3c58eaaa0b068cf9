"""What the tests' model server answers at `/v1/embeddings`: vectors of texts that share words point to like directions.

A vector is a function of its text, and its length is none in particular.
"""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Any

DIMENSION = 32


class AskedVectors:
    """A request for vectors as read from its body, and its answer."""

    form = "text"

    def __init__(self, raw: bytes) -> None:
        body = json.loads(raw)
        self.model = str(body["model"])
        self.texts = [body["input"]] if isinstance(body["input"], str) else list(body["input"])
        if not self.texts or not all(isinstance(text, str) and text for text in self.texts):
            raise ValueError("input must be texts, none of them empty")
        self.item = int.from_bytes(blake2b(raw, digest_size=8).digest())
        self.prompt_tokens = sum(-(-len(text) // 4) for text in self.texts)
        self.completion_tokens = 0

    def mentions(self, marker: str) -> bool:
        return any(marker in text for text in self.texts)

    def mentions_json(self) -> bool:
        return False

    def uses(self, refused: list[str]) -> str | None:
        return None

    def answer(self, fault: str, options: Any) -> bytes:
        """The body of a 200."""
        size = DIMENSION - 1 if fault == "thin_vectors" else DIMENSION
        found = [vector(text)[:size] for text in self.texts]
        if fault == "nan_vectors":
            found[-1][0] = float("nan")
        rows = [{"object": "embedding", "index": at, "embedding": one} for at, one in enumerate(found)]
        if fault == "mixed_vectors":
            rows.reverse()
        answer = {"object": "list", "model": self.model, "data": rows[1:] if fault == "few_vectors" else rows}
        if options.usage:
            answer["usage"] = {"prompt_tokens": self.prompt_tokens, "total_tokens": self.prompt_tokens}
        return json.dumps(answer, separators=(",", ":")).encode()


def vector(text: str) -> list[float]:
    """The sum of a direction for each word."""
    words = [blake2b(word.encode(), digest_size=DIMENSION).digest() for word in text.lower().split() or [text]]
    return [sum(word[at] - 127.5 for word in words) for at in range(DIMENSION)]
