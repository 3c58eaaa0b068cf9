"""The documents that a report shows, each with the tree of its personas: a few, that the run's seed chooses."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from actors.logic.sampling import derived_rng
from cluster.local_copies import readable
from cluster.parts import part_path
from pipelines.run_reading import FoundRun

MOST = 12  # documents
MOST_PEOPLE = 200  # of one
_PARTS = 4
_TEXT, _PERSONA = 1500, 600  # characters
_COLUMNS = ["persona_id", "document_id", "parent_id", "depth", "relation", "text"]


def document_trees(run: FoundRun) -> list[dict[str, Any]]:
    """Each with `id`, `source`, `text`, the number of its personas and the first of these, parents before children."""
    parts = sorted(name for name, part in run.manifest.personas.parts.items() if part.get("active"))
    rng = derived_rng(run.manifest.settings.get("seed", 0), "report trees")
    chosen = rng.sample(parts, min(_PARTS, len(parts)))
    trees: list[dict[str, Any]] = []
    for at, part in enumerate(chosen):
        trees += _of_part(run, part, -(-(MOST - len(trees)) // (len(chosen) - at)), rng)
    return trees


def _of_part(run: FoundRun, part: str, count: int, rng: Any) -> list[dict[str, Any]]:
    try:
        ids = _ids(run, "personas", part) or _ids(run, "documents", part)  # where nobody in particular speaks
        wanted = rng.sample(ids, min(count, len(ids)))
        where = pc.field("document_id").isin(pa.array(wanted, pa.string()))
        found = pq.read_table(
            readable(part_path(run.folder / "personas", part)), columns=_COLUMNS, filters=where
        ).to_pylist()
        documents = pq.read_table(readable(part_path(run.folder / "documents", part)), filters=where).to_pylist()
    except (OSError, pa.ArrowInvalid):
        return []
    by_document = defaultdict(list)
    for one in found:
        by_document[one["document_id"]].append(one)
    return [_tree(row, by_document[row["document_id"]]) for row in documents]


def _ids(run: FoundRun, kind: str, part: str) -> list[str]:
    """The documents in a part of this kind."""
    column = pq.read_table(readable(part_path(run.folder / kind, part)), columns=["document_id"]).column(0)
    return sorted(pc.unique(column).to_pylist())


def _tree(document: dict[str, Any], people: list[dict[str, Any]]) -> dict[str, Any]:
    shown = sorted(people, key=lambda one: one["depth"])[:MOST_PEOPLE]
    return {
        "id": document["document_id"],
        "source": (document["source"] or "").rpartition("/")[2],
        "text": document["text"][:_TEXT],
        "characters": document["characters"],
        "personas": len(people),
        "people": [
            {
                "id": one["persona_id"],
                "parent": one["parent_id"],
                "depth": one["depth"],
                "relation": one["relation"],
                "text": one["text"][:_PERSONA],
            }
            for one in shown
        ],
    }
