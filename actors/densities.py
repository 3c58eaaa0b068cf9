"""The density of the corpus around each persona that a shard keeps: measured once, kept in a map beside its log, and
looked up by the id of a persona."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from actors.index import PersonaIndex
from actors.index.rows import ID
from actors.logic.density import Crowd, Sample, sample
from cluster.digest_map import INDEX, DigestMap
from cluster.digest_runs import DIGEST, NOWHERE
from cluster.errors import UserError
from cluster.local_copies import local_folder, put_folder, scratch

_MAP = "density"


def sample_of(index: PersonaIndex, seed: int) -> Sample:
    """A sample of the personas in the index."""
    return sample((Sample(rows.ids, rows.vectors) for rows in index.pieces()), seed)


def measure(index: PersonaIndex, everybody: Sample, folder: Path) -> int:
    """Writes the density of `everybody` around each persona of the index to the map in `folder`, and returns how many
    there are. Goes on where a killed process stopped; a map by another sample is made again."""
    crowd, kept = Crowd(everybody), DigestMap(scratch(folder) / _MAP)
    which = hashlib.blake2b(everybody.ids.tobytes(), digest_size=8).hexdigest()
    by, _, done = kept.note.partition(" ")
    if kept.note and by != which:
        kept.clear()
        done = ""
    start = int(done or 0)
    for rows in index.pieces(start):
        start += len(rows)
        kept.add(_keys(rows.ids), crowd.density(rows.ids, rows.vectors), f"{which} {start}")
    put_folder(scratch(folder) / _MAP, folder / _MAP, INDEX)
    return start


def densities(folders: Sequence[Path], ids: Sequence[str]) -> list[int]:
    """The densities around personas of these ids, measured by the shards whose logs are in `folders`."""
    keys = _keys(np.frombuffer(bytes.fromhex("".join(ids)), ID))
    found = np.full(len(keys), NOWHERE)
    for folder in folders:
        found = np.minimum(found, DigestMap(local_folder(folder / _MAP, INDEX)).find_all(keys))
    if (found == NOWHERE).any():
        one = ids[int((found == NOWHERE).argmax())]
        raise UserError(f"no vector was kept of the persona {one}; choose another conversations.sampling")
    return found.tolist()


def _keys(ids: NDArray[np.void]) -> NDArray[np.bytes_]:
    """Ids (12 bytes) as keys of a map, which are 16 bytes long."""
    return np.ascontiguousarray(ids).view("S12").astype(DIGEST)
