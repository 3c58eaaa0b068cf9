"""An index on disk, so that a restart need not build it again. A snapshot that is lost or damaged costs that time."""

from __future__ import annotations

import logging
import zlib
from contextlib import suppress
from pathlib import Path
from typing import cast

import faiss
import numpy as np

from actors.index.log import IndexLog
from cluster.errors import Halt
from cluster.files import give_place
from cluster.local_copies import local_copy, scratch

logger = logging.getLogger(__name__)

_PIECE = 1 << 20


class Snapshots:
    """The latest snapshot in the log's folder, named by the rows that it covers, the id of the last of them, and the
    checksum of the file: one of another log, or with a wrong bit, is not taken."""

    def __init__(self, folder: Path, log: IndexLog) -> None:
        self._folder, self._log = folder, log

    def save(self, index: faiss.IndexIVF) -> None:
        """Writes it aside, renames it and removes those before it; a disk that refuses is warned of."""
        aside = scratch(self._folder) / ".index.faiss.tmp"
        try:
            aside.parent.mkdir(parents=True, exist_ok=True)
            faiss.write_index(index, str(aside))
            path = self._folder / f"index-{index.ntotal:012}-{self._last_id(index.ntotal)}-{_checksum(aside):08x}.faiss"
            give_place(aside, path)
        except (OSError, RuntimeError, Halt) as error:  # FAISS raises RuntimeError whatever the matter
            logger.warning("%s: no snapshot of the index (%s); the next start will build it", self._folder, error)
            with suppress(OSError):
                aside.unlink(missing_ok=True)
            return
        for other in self._folder.glob("index-*.faiss"):
            if other != path:
                other.unlink(missing_ok=True)

    def load(self) -> faiss.IndexIVF | None:
        """The index of the latest snapshot that is whole and of this log; it holds rows 0 to its `ntotal`."""
        for path in sorted(self._folder.glob("index-*.faiss"), reverse=True):
            if index := self._read(path):
                return index
            logger.warning("%s is damaged or of another log, and is left out", path)
        return None

    def _read(self, path: Path) -> faiss.IndexIVF | None:
        _, rows, last_id, checksum = [*path.stem.split("-"), "", "", ""][:4]
        if not rows.isdigit() or not 0 < int(rows) <= len(self._log) or last_id != self._last_id(int(rows)):
            return None
        try:
            file = local_copy(path)
            if f"{_checksum(file):08x}" != checksum:
                return None
            index = cast(faiss.IndexIVF, faiss.read_index(str(file)))
        except (OSError, RuntimeError):
            return None
        fits = isinstance(index, faiss.IndexIVF) and (index.d, index.ntotal) == (self._log.dimension, int(rows))
        return index if fits else None

    def _last_id(self, rows: int) -> str:
        return self._log.ids(np.array([rows - 1]))[0].hex()


def _checksum(path: Path) -> int:
    checksum = 0
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            checksum = zlib.crc32(piece, checksum)
    return checksum
