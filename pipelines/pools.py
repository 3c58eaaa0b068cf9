"""The documents of a persona part with their personas, as the run wrote them. Knows no Ray."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pyarrow.parquet as pq

from actors.logic.persona import Persona
from actors.logic.plan import Pool
from cluster.local_copies import readable
from cluster.parts import part_path

_FIELDS = [field.name for field in fields(Persona)]


def read_pools(folder: Path, part: str) -> Iterator[Pool]:
    """Those that have personas, or, where nobody has any, all; in the order in which they stand there."""
    pools = list(read_all_pools(folder, part))
    inhabited = any(pool.personas for pool in pools)
    return (pool for pool in pools if pool.personas or not inhabited)


def read_all_pools(folder: Path, part: str) -> Iterator[Pool]:
    """All of them, in the order in which they stand there."""
    personas: dict[str, list[Persona]] = {}
    for row in pq.read_table(readable(part_path(folder / "personas", part)), columns=_FIELDS).to_pylist():
        created = row["created_at"].timestamp()
        personas.setdefault(row["document_id"], []).append(Persona(**row | {"created_at": created}))
    texts = pq.read_table(readable(part_path(folder / "documents", part)), columns=["document_id", "text"])
    for row in texts.to_pylist():
        yield Pool(row["document_id"], row["text"], personas.get(row["document_id"], []))
