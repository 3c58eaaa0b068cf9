"""Notices that documents came since all that there were had their personas, so that they are read through once more.

What is noticed are names and sizes of files, told by a listing; no file is opened. Which documents are new is then told
by their digests: those that have personas are not asked about again, also where their files are gone.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from typing import Any

from cluster.errors import UserError
from cluster.manifest import Manifest
from pipelines.settings import Settings
from pipelines.sources import find_files
from pipelines.sources.files import SourceFile

log = logging.getLogger(__name__)

_FACT = "documents_found"


def note_files(settings: Settings, manifest: Manifest, files: Sequence[SourceFile]) -> None:
    """Keep what the documents' files are like that are now read."""
    manifest.facts[_FACT] = {"files": _digest(files), "limit": settings.documents.limit}


def reopen(settings: Settings, manifest: Manifest) -> list[SourceFile] | None:
    """Where files or `documents.limit` grew, the personas are not done any more; returns the files then, else None.

    A run from before files were noted is read through once. Laps that there are stay with the parts that they are over.
    """
    if not manifest.personas.done or not settings.documents.path:  # they are another run's
        return None
    limit = settings.documents.limit
    if limit is not None and manifest.personas.total("documents") >= limit:
        return None
    try:
        files = find_files(settings.documents.path)
    except UserError as error:  # what was made of them stays
        log.info("no documents are looked for: %s", error)
        return None
    if _is_as_it_was(manifest.facts.get(_FACT), files, limit):
        return None
    manifest.personas.done = False
    manifest.facts.pop("documents_counted", None)
    for lap in manifest.laps:
        lap.over = len(manifest.personas.parts) if lap.over is None else lap.over
    return files


def _is_as_it_was(noted: dict[str, Any] | None, files: Sequence[SourceFile], limit: int | None) -> bool:
    if noted is None or noted["files"] != _digest(files):
        return False
    return noted["limit"] is None or (limit is not None and limit <= noted["limit"])


def _digest(files: Sequence[SourceFile]) -> str:
    """Sixteen hex digits, others wherever a file came, went, or is of another size."""
    found = hashlib.sha256()
    for file in files:
        found.update(f"{file.path}\x1f{file.size}\x1e".encode("utf-8", "surrogatepass"))
    return found.hexdigest()[:16]
