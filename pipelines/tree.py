"""The persona trees of a run, in the terminal. Reads the one part that has the document, whatever the size of the
run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from actors.logic.sampling import derived_rng
from cluster.errors import UserError
from cluster.local_copies import readable
from cluster.manifest import Manifest
from cluster.parts import part_path
from pipelines.run_reading import find_run

_SHOWN = 3  # documents where none is named
_COLUMNS = ["persona_id", "parent_id", "depth", "relation", "text"]


def show(run_dir: Path, console: Console, document_id: str | None = None) -> None:
    """The tree of a document, or of the first few in an order that the run's seed chooses. `UserError` where `run_dir`
    is no run, or has no personas of the document."""
    manifest = find_run(run_dir).manifest
    found = _one(run_dir, manifest, document_id) if document_id else _some(run_dir, manifest)
    for part, document in found:
        console.print(_tree(run_dir, part, document, console.width))


def _one(run_dir: Path, manifest: Manifest, document_id: str) -> list[tuple[str, str]]:
    for part in manifest.personas.parts:
        if document_id in _documents(run_dir / "documents", part):
            return [(part, document_id)]
    raise UserError(
        f"{run_dir} has no finished document {document_id}; `populace status {run_dir} --tree` shows some that it has"
    )


def _some(run_dir: Path, manifest: Manifest) -> Iterator[tuple[str, str]]:
    rng, left = derived_rng(manifest.settings.get("seed", 0), "tree"), _SHOWN
    parts = sorted(name for name, part in manifest.personas.parts.items() if part["active"])
    if not parts:
        raise UserError(f"{run_dir} has no personas yet")
    rng.shuffle(parts)
    for part in parts:
        documents = sorted(_documents(run_dir / "personas", part))
        for document in rng.sample(documents, min(left, len(documents))):
            yield part, document
            left -= 1
        if not left:
            return


def _documents(folder: Path, part: str) -> set[str]:
    return set(pq.read_table(readable(part_path(folder, part)), columns=["document_id"]).column(0).to_pylist())


def _tree(run_dir: Path, part: str, document_id: str, width: int) -> Tree:
    where = pc.field("document_id") == document_id
    [document] = pq.read_table(readable(part_path(run_dir / "documents", part)), filters=where).to_pylist()
    people = pq.read_table(readable(part_path(run_dir / "personas", part)), columns=_COLUMNS, filters=where).to_pylist()
    if not people:
        raise UserError(f"the document {document_id} has no persona; see {run_dir}/failures for why")
    children: dict[str | None, list[dict[str, Any]]] = defaultdict(list)
    for one in people:
        children[one["parent_id"]].append(one)
    label = Text.assemble((f"{document_id} ", "bold"), (f"{len(people):,} personas ", "cyan"), _line(document["text"]))
    root = Tree(_fitted(label, width))
    waiting: list[tuple[Tree, str | None]] = [(root, None)]
    while waiting:
        branch, parent = waiting.pop()
        for one in children[parent]:
            label = Text.assemble((f"{one['depth']} ", "bold"), (f"{one['relation']}: ", "cyan"), _line(one["text"]))
            waiting.append((branch.add(_fitted(label, width - 4 * (one["depth"] + 1))), one["persona_id"]))
    return root


def _line(text: str) -> str:
    return " ".join(text[:1000].split())


def _fitted(label: Text, width: int) -> Text:
    label.truncate(max(20, width), overflow="ellipsis")
    return label
