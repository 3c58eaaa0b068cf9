"""The personas that are kept: looked up by their words and by their vectors, and logged before they are to be found.

Decides nothing about near-duplicates. Knows no Ray; one thread at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from actors.index.bands import BandIndex
from actors.index.form_map import FormMap
from actors.index.log import IndexLog
from actors.index.rows import Rows, rows_of
from actors.index.snapshots import Snapshots
from actors.index.tiers import Rung, Tiers
from actors.index.vectors import VectorIndex
from actors.logic.minhash import PERMUTATIONS, Signatures
from cluster.errors import UserError
from cluster.local_copies import scratch


class PersonaIndex:
    """Exact-form and cosine look-up over kept personas, up to some 10⁸ of d components in a folder.

    In memory: 16 to 32 bytes a persona for its form, and for its vector 4 × d bytes at first and d ÷ 8 + 8 from 2·10⁵
    personas on (each up to twice, as arrays grow); on disk 2 × d + 28, and the index again. Without a folder nothing is
    written, and ids, forms and half-precision vectors are in memory too. Where words are looked up by MinHash, there
    are 128 bytes more on disk, and 16 a band, which lie in nameless files beyond 4 million.
    """

    def __init__(
        self,
        dimension: int,
        folder: Path | None,
        model: str,
        tiers: Tiers | None = None,
        minhash: float | None = None,
    ) -> None:
        """`minhash` is the least similarity of words that `alike` finds for sure. `UserError` where another model or
        dimension wrote the folder, or one with signatures where there should be none, or the other way round."""
        self.dimension, self._model = dimension, model
        self._log = IndexLog(folder, model, dimension, PERMUTATIONS if minhash else 0)
        self._forms = FormMap(self._log.form, room=len(self._log))
        start = 0
        for rows in self._log.pieces():
            self._forms.add(rows.forms, start)
            start += len(rows)
        self._vectors = VectorIndex(self._log, tiers or Tiers(), Snapshots(folder, self._log) if folder else None)
        self._bands = BandIndex(self._log, minhash, scratch(folder) if folder else None) if minhash else None

    def __len__(self) -> int:
        return len(self._log)

    @property
    def rung(self) -> Rung:
        """The kind of index that serves now."""
        return self._vectors.rung

    def exact(self, form: bytes) -> bytes | None:
        """The id (12 bytes) of the persona that has this form (16 bytes)."""
        position = self._forms.find(form)
        return None if position is None else self._log.ids(np.array([position]))[0]

    def nearest(self, vectors: NDArray[np.float32]) -> tuple[NDArray[np.float32], list[bytes]]:
        """The cosine (n) with the nearest persona of each of n unit vectors (n × d), and its id, where that is at the
        tiers' cosine or nearer; else those of another persona, or −1 and b"". A score does not depend on the kind of
        index. `UserError` for a vector that is none."""
        self._check(vectors)
        if not len(self) or not len(vectors):
            return np.full(len(vectors), -1.0, np.float32), [b""] * len(vectors)
        scores, positions = self._vectors.nearest(np.ascontiguousarray(vectors, np.float32))
        return scores, self._ids(positions)

    def alike(self, signatures: Signatures) -> tuple[NDArray[np.float32], list[bytes]]:
        """The similarity (n) in words with the most similar persona of each of n texts, and its id; −1 and b"" where
        none is near."""
        assert self._bands, "no signatures are kept"
        scores, positions = self._bands.nearest(signatures)
        return scores, self._ids(positions)

    def keep(
        self,
        ids: Sequence[bytes],
        forms: Sequence[bytes],
        vectors: NDArray[np.float32],
        signatures: Signatures | None = None,
    ) -> None:
        """Keeps n personas whose forms are new, in half precision; logged when this returns, and to be found.

        `Halt` where the disk takes nothing more, and then none is kept; `UserError` for a vector that is none.
        """
        self._check(vectors)
        if not ids:
            return
        rows, start = rows_of(ids, forms, vectors.astype(np.float16), signatures), len(self._log)
        self._log.append(rows)
        self._forms.add(rows.forms, start)
        self._vectors.catch_up()
        if self._bands:
            self._bands.catch_up()

    def pieces(self, start: int = 0) -> Iterator[Rows]:
        """All that are kept from row `start` on, in the order in which they came, as views of at most 65,536."""
        return self._log.pieces(start)

    def settle(self) -> None:
        """Waits for an index that is being built or saved."""
        self._vectors.settle()

    def close(self) -> None:
        """Lets the files and the background go. Not needed: what was kept is on the disk."""
        self._vectors.close()
        self._log.close()

    def _ids(self, positions: NDArray[np.int64]) -> list[bytes]:
        """Of n positions; b"" for −1."""
        found, ids = positions >= 0, [b""] * len(positions)
        for at, one in zip(np.flatnonzero(found), self._log.ids(positions[found]), strict=True):
            ids[at] = one
        return ids

    def _check(self, vectors: NDArray[np.float32]) -> None:
        if vectors.ndim != 2 or vectors.shape[1] != self.dimension:
            shape = " × ".join(map(str, vectors.shape))
            raise UserError(
                f"personas.dedup.model {self._model} gave vectors of {shape} where n × {self.dimension} were expected; "
                "choose a sentence embedding model of one dimension"
            )
        if not np.isfinite(vectors).all():
            row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
            raise UserError(
                f"personas.dedup.model {self._model} gave a vector with components that are no numbers (row {row} of "
                f"{len(vectors)}); choose another model"
            )
