"""How deep a document's persona tree is grown, and how many personas that gives."""

from __future__ import annotations

from math import ceil

FAN_OUT = 5
MAX_DEPTH = 6


def pool_size(depth: int, fan_out: int = FAN_OUT) -> int:
    """Expected personas of one document at `depth`: S(n) = Σ fan_out^i for i = 1…n+1 (5, 30, 155, 780, … for five)."""
    return sum(fan_out**layer for layer in range(1, depth + 2))


def layer_size(depth: int, fan_out: int = FAN_OUT) -> int:
    """Expected personas of the one layer at `depth`; layer 0 is the seed layer."""
    return int(fan_out ** (depth + 1))


def auto_depth(target: int, fan_out: int = FAN_OUT) -> int:
    """The depth in 0…6 whose expected pool is closest to `target` personas per document; the smaller one on a tie."""
    return min(range(MAX_DEPTH + 1), key=lambda depth: (abs(pool_size(depth, fan_out) - target), depth))


def target_per_document(count: int, documents: int) -> int:
    """Rows that each of `documents` owes when `count` are asked for: ceil(count ÷ documents), at least 1."""
    return max(1, ceil(count / max(1, documents)))
