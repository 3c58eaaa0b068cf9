"""Whose journal it is, and of which version; asked before anything is paid."""

from __future__ import annotations

import json
from pathlib import Path

from cluster.errors import UserError
from cluster.journal.compaction import compact
from cluster.journal.compaction_rule import Rule
from cluster.journal.index import Summary
from cluster.journal.places import store_at
from cluster.journal.store import Store

FORMAT = 1
_DOCUMENT = "journal.json"


def prepare(place: Path, run_id: str, rule: Rule | None = None) -> Summary:
    """What the driver does before its callers start: the journal is this run's, takes records, and is indexed.

    One without a name is taken over. `UserError` where it is of another run or version, `Halt` where it could not keep
    an answer now; either way nothing in it is changed.
    """
    store = store_at(place)
    named = _check(store, run_id)
    store.probe()
    if not named:
        store.write(_DOCUMENT, json.dumps({"format": FORMAT, "run": run_id}).encode())
    return compact(place, rule)


def belongs_to_another(place: Path, run_id: str | None) -> bool:
    """Whether the journal at `place` says that it is another run's; False where the own `run_id` is not known."""
    if run_id is None:
        return False
    try:
        _check(store_at(place), run_id)
    except UserError:
        return True
    return False


def _check(store: Store, run_id: str) -> bool:
    """False where it has no name yet."""
    content = store.read(_DOCUMENT)
    if content is None:
        return False
    try:
        said = json.loads(content)
        version, owner = said["format"], said["run"]
    except (ValueError, KeyError, TypeError):
        raise UserError(
            f"{store.name}/{_DOCUMENT} does not say whose journal it is; remove that file if it is this run's, "
            "or choose another run_dir"
        ) from None
    if version != FORMAT:
        raise UserError(
            f"{store.name} is a journal of format {version}, this populace reads {FORMAT}; use the populace that wrote "
            "it, or choose another run_dir"
        )
    if owner != run_id:
        raise UserError(
            f"{store.name} is the journal of run {owner}, and this is run {run_id}; move it away, put the "
            "manifest.json of its run back, or choose another run_dir"
        )
    return True
