"""Which texts are worked on together: those of like lengths, so that little is spent on padding."""

from __future__ import annotations

from collections.abc import Sequence


def of_like_lengths(counts: Sequence[int], most_tokens: int) -> list[list[int]]:
    """Positions of texts of `counts` tokens, shortest first, in batches that padded to their longest have at most
    `most_tokens` tokens; a text that alone has more is a batch of its own."""
    batches: list[list[int]] = []
    for position in sorted(range(len(counts)), key=counts.__getitem__):
        if not batches or (len(batches[-1]) + 1) * counts[position] > most_tokens:
            batches.append([])
        batches[-1].append(position)
    return batches
