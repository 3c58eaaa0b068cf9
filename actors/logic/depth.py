"""How deep a document's persona tree is grown, and how many personas that gives."""

from __future__ import annotations

from math import ceil

FAN_OUT = 5
MAX_DEPTH = 6


def pool_size(depth: int, fan_out: int = FAN_OUT, given: bool = False) -> int:
    """Expected personas of one document at `depth`: S(n) = Σ fan_out^i for i = 1…n+1 (5, 30, 155, 780, … for five).

    Of a persona that was `given`, itself included: Σ fan_out^i for i = 0…n (1, 6, 31, 156, …).
    """
    return sum(layer_size(layer, fan_out, given) for layer in range(depth + 1))


def layer_size(depth: int, fan_out: int = FAN_OUT, given: bool = False) -> int:
    """Expected personas of the one layer at `depth`; layer 0 is the seed layer."""
    return int(fan_out ** (depth if given else depth + 1))


def auto_depth(target: int, fan_out: int = FAN_OUT, given: bool = False) -> int:
    """The depth in 0…6 whose expected pool is closest to `target` personas per document; the smaller one on a tie."""
    return min(range(MAX_DEPTH + 1), key=lambda depth: (abs(pool_size(depth, fan_out, given) - target), depth))


def target_per_document(count: int, documents: int) -> int:
    """Rows that each of `documents` owes when `count` are asked for: ceil(count ÷ documents), at least 1."""
    return max(1, ceil(count / max(1, documents)))
