"""The transformer of a BERT model on the processor, in float32, without a token of padding.

The tokens of all texts of a batch are the rows of one matrix, and only attention tells texts apart, those of one length
at a time. Of queries, keys and values one matrix product is made; what else can be is computed in place. The vectors
are those of transformers' own forward pass to six digits. Knows nothing of tokenisers and pooling.
"""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

_FARTHEST = 1e-3  # components from those of the original, of size one or so

Run = tuple[int, int, int]
"""The first row of consecutive texts of one length, how many they are, and how long each is."""


class PackedBert:
    """In place of the first module of a sentence-transformers model; `packed` makes it where it may be."""

    most_tokens = 1024  # of a batch: what more of them gain in the products, they lose in the caches

    def __init__(self, transformer: Any) -> None:
        shape, embeddings = transformer.config, transformer.embeddings
        self._heads = shape.num_attention_heads
        self._words = embeddings.word_embeddings.weight.detach()
        places, kinds = embeddings.position_embeddings.weight, embeddings.token_type_embeddings.weight
        self._places = (places + kinds[0]).detach()
        self._first = embeddings.LayerNorm
        self._layers = [_Layer(layer) for layer in transformer.encoder.layer]
        self._room = _Room(shape.hidden_size, shape.intermediate_size)

    def __call__(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Vectors of the tokens (n × longest × d), zero where the mask is; texts of one length best stand together."""
        there = mask.bool()
        runs = _runs(mask.sum(dim=1).tolist())
        states: Tensor = self._words[ids[there]]
        states += self._places[torch.arange(ids.shape[1]).expand_as(ids)[there]]
        states = self._first(states)
        room = self._room.of(len(states))
        for layer in self._layers:
            states = layer(states, runs, self._heads, room)
        found: Tensor = states.new_zeros(*ids.shape, states.shape[1])
        found[there] = states
        return found


class _Layer:
    """Weights as they are multiplied with. A key's bias changes no softmax, and a value's comes out as it went in."""

    def __init__(self, layer: Any) -> None:
        attention, out = layer.attention.self, layer.attention.output
        three = [attention.query, attention.key, attention.value]
        self._three = torch.cat([one.weight for one in three]).detach().t().contiguous()
        self._query_bias = attention.query.bias.detach()
        self._out = out.dense.weight.detach().t().contiguous()
        self._out_bias = (out.dense.bias + out.dense.weight @ attention.value.bias).detach()
        self._wide = layer.intermediate.dense.weight.detach().t().contiguous()
        self._wide_bias = layer.intermediate.dense.bias.detach()
        self._narrow = layer.output.dense.weight.detach().t().contiguous()
        self._narrow_bias = layer.output.dense.bias.detach()
        self._norms = out.LayerNorm, layer.output.LayerNorm

    def __call__(self, states: Tensor, runs: list[Run], heads: int, room: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """New states, rows of d; `states` is not to be used any more."""
        three, attended, wide = room
        torch.mm(states, self._three, out=three)
        three[:, : states.shape[1]] += self._query_bias
        for run in runs:
            _attend(three, attended, run, heads)
        states = self._norms[0](states.add_(self._out_bias).addmm_(attended, self._out))
        torch.addmm(self._wide_bias, states, self._wide, out=wide)
        torch.ops.aten.gelu_(wide)
        found: Tensor = self._norms[1](states.add_(self._narrow_bias).addmm_(wide, self._narrow))
        return found


class _Room:
    """Where a layer's products go: asked of the system once, not for each of them."""

    def __init__(self, narrow: int, wide: int) -> None:
        self._columns = 3 * narrow, narrow, wide
        self._held = self._made(0)

    def _made(self, rows: int) -> tuple[Tensor, Tensor, Tensor]:
        three, attended, wide = (torch.empty(rows, columns) for columns in self._columns)
        return three, attended, wide

    def of(self, rows: int) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values; what attention finds; the wide layer: matrices of so many rows."""
        if rows > len(self._held[0]):
            self._held = self._made(rows)
        three, attended, wide = self._held
        return three[:rows], attended[:rows], wide[:rows]


def _runs(lengths: list[int]) -> list[Run]:
    runs, row = list[Run](), 0
    for length, texts in itertools.groupby(lengths):
        count = len(list(texts))
        runs.append((row, count, length))
        row += count * length
    return runs


def _attend(three: Tensor, attended: Tensor, run: Run, heads: int) -> None:
    row, count, length = run
    rows = slice(row, row + count * length)
    query, key, value = three[rows].view(count, length, 3, heads, -1).permute(2, 0, 3, 1, 4)
    found = functional.scaled_dot_product_attention(query, key, value)
    attended[rows].view(count, length, heads, -1).copy_(found.transpose(1, 2))


def packed(transformer: Any) -> PackedBert | None:
    """The model without padding, where it is a BERT in float32 on the processor and comes out the same; else None."""
    shape = transformer.config
    if shape.model_type != "bert" or shape.hidden_act != "gelu" or getattr(shape, "is_decoder", False):
        return None
    weights = next(transformer.parameters())
    if weights.device.type != "cpu" or weights.dtype is not torch.float32:
        return None
    if getattr(shape, "position_embedding_type", "absolute") != "absolute":
        return None
    made = PackedBert(transformer)
    return made if _same(transformer, made) else None


def _same(transformer: Any, made: PackedBert) -> bool:
    ids = torch.arange(36).reshape(3, 12) % (transformer.config.vocab_size - 1) + 1
    mask = (torch.arange(12) < torch.tensor([[5], [12], [12]])).long()
    with torch.inference_mode():
        wanted = transformer(input_ids=ids, attention_mask=mask)[0]
        return bool(((made(ids, mask) - wanted).abs() * mask.unsqueeze(-1) < _FARTHEST).all())
