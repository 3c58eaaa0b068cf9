"""Where each form stands in the log: a hash table in two arrays, without an object per persona."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

_FREE = np.uint32(2**32 - 1)
_PIECE = 1 << 16


class FormMap:
    """The positions of forms (16 bytes each, digests), open addressing with linear probing.

    A slot is 12 bytes: half of the form, and its position below 2^32 − 1. Three eighths to three quarters of the slots
    are taken: 16 to 32 bytes a form once there are more than `room`, half as much again while it grows. The whole form
    is asked of `form_at`, by its position, where the half is found.
    """

    def __init__(self, form_at: Callable[[int], bytes], room: int = 1 << 10) -> None:
        """`room` forms fit before it grows."""
        self._form_at, self._count = form_at, 0
        self._make(max(4, (room * 4 // 3).bit_length()))

    def __len__(self) -> int:
        return self._count

    @property
    def nbytes(self) -> int:
        """Bytes of memory held."""
        return self._keys.nbytes + self._positions.nbytes

    def find(self, form: bytes) -> int | None:
        """Its position, or None."""
        key = np.frombuffer(form, ">u8", 1)[0]
        slot, mask = int(key) >> self._shift, len(self._keys) - 1
        while (position := self._positions[slot]) != _FREE:
            if self._keys[slot] == key and self._form_at(int(position)) == form:
                return int(position)
            slot = (slot + 1) & mask
        return None

    def add(self, forms: NDArray[np.void], start: int) -> None:
        """Adds n forms that are not there yet, at positions `start` to `start` + n."""
        assert start + len(forms) < _FREE
        while (self._count + len(forms)) * 4 > len(self._keys) * 3:
            self._grow()
        keys = np.frombuffer(forms.tobytes(), ">u8")[::2].astype(np.uint64)
        self._place(keys, np.arange(start, start + len(forms), dtype=np.uint32))
        self._count += len(forms)

    def _make(self, bits: int) -> None:
        self._shift = 64 - bits
        self._keys = np.zeros(1 << bits, np.uint64)
        self._positions = np.full(1 << bits, _FREE)

    def _grow(self) -> None:
        keys, positions = self._keys, self._positions
        self._make(len(keys).bit_length())
        for start in range(0, len(keys), _PIECE):
            piece = slice(start, start + _PIECE)
            taken = positions[piece] != _FREE
            self._place(keys[piece][taken], positions[piece][taken])

    def _place(self, keys: NDArray[np.uint64], positions: NDArray[np.uint32]) -> None:
        """Each round every key asks for a slot; of those that want the same free one the last has it."""
        slots = (keys >> np.uint64(self._shift)).astype(np.int64)
        while len(keys):
            free = self._positions[slots] == _FREE
            self._positions[slots[free]] = positions[free]
            placed = self._positions[slots] == positions
            self._keys[slots[placed]] = keys[placed]
            left = ~placed
            slots = (slots[left] + 1) & (len(self._keys) - 1)
            keys, positions = keys[left], positions[left]
