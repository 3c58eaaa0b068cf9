"""How many rows each document owes: its share of all that were asked for, less what it owed before.

A document's share follows from its id, so it is the same whichever part the document lies in and however many pools
grew it. Lots are 64-bit numbers, drawn once a run. Documents that came later owe nothing yet: what is asked for from
then on goes to those who owe the least, until all owe the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

Lots = NDArray[np.uint64]
_BUCKET_BITS = 16


def lot(seed: int, document_id: str) -> int:
    """What the document drew; those with the lowest lots are the first to owe one more than others."""
    text = f"{seed}\x1f{document_id}\x1fdues"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


@dataclass(frozen=True, slots=True, order=True)
class Dues:
    """What every document owes of the rows asked for so far: `each`, and one more where its lot is below `bound`.

    Dues of more rows are not less for any document, and no two documents ever differ by more than one. Of two dues the
    greater is not less for any document.
    """

    each: int = 0
    bound: int = 0

    def of(self, lot: int) -> int:
        return self.each + (lot < self.bound)

    def of_all(self, lots: Lots) -> int:
        """The sum over documents with these lots."""
        below = len(lots) if self.bound >= 2**64 else int((lots < np.uint64(self.bound)).sum())
        return self.each * len(lots) + below


@dataclass(frozen=True, slots=True)
class Crowd:
    """Documents that owe the same so far: how many there are, and their lots in pieces."""

    so_far: Dues
    documents: int
    lots: Callable[[], Iterable[Lots]]

    @property
    def rows(self) -> int:
        """What all of them owe."""
        return sum(map(self.so_far.of_all, self.lots()))


def level(rows: int, crowds: Sequence[Crowd]) -> Dues:
    """Dues that add up to `rows` over all crowds where each owes these, or what it owes so far if that is more."""
    rising = sorted(crowds, key=lambda one: one.so_far)
    for number in range(1, len(rising)):
        low, high = rising[:number], rising[number:]
        found = _dues_of(low, rows - sum(one.rows for one in high))
        if found <= high[0].so_far:
            return found
    return _dues_of(rising, rows)


def _dues_of(crowds: Sequence[Crowd], rows: int) -> Dues:
    documents = sum(one.documents for one in crowds)
    return dues(rows, documents, lambda: chain.from_iterable(one.lots() for one in crowds))


def dues(rows: int, documents: int, lots: Callable[[], Iterable[Lots]]) -> Dues:
    """Dues that add up to `rows` over so many documents, whose lots are told in pieces, twice at most."""
    each, more = divmod(rows, documents)
    if not more:
        return Dues(each)
    counts = np.zeros(2**_BUCKET_BITS, np.int64)
    for piece in lots():
        counts += np.bincount(_bucket(piece), minlength=len(counts))
    ends = counts.cumsum()
    at = int(ends.searchsorted(more))
    inside = np.sort(np.concatenate([piece[_bucket(piece) == at] for piece in lots()]))
    last = int(more - (ends[at] - counts[at]) - 1)
    return Dues(each, int(inside[last]) + 1)


def _bucket(lots: Lots) -> NDArray[np.int64]:
    return (lots >> np.uint64(64 - _BUCKET_BITS)).astype(np.int64)
