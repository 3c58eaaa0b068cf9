"""The tables of `audit.reference`, read and checked before anything is paid for; and whether an audit is of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from actors.logic.audit.reference import Reference, references
from cluster.errors import UserError
from cluster.manifest import Manifest
from pipelines.settings import Settings
from pipelines.variable_files import read_blocks


def read_references(patterns: Sequence[str]) -> list[Reference]:
    """`UserError` in one line naming the file, and what in it is no attribute or no group."""
    try:
        return references(read_blocks(patterns, "audit.reference"))
    except UserError as error:
        said = str(error)
        raise UserError(said if said.startswith("audit.reference") else f"audit.reference: {said}") from None


def is_outdated(settings: Settings, manifest: Manifest) -> bool:
    """Whether there is an audit, but of another reference or judge."""
    audit = manifest.facts.get("audit")
    return bool(audit and manifest.personas.done and audit["of"] != digest(settings, manifest))


def digest(settings: Settings, manifest: Manifest) -> str:
    """A digest of what is audited, and against what."""
    counts = sorted((name, part.get("personas", 0)) for name, part in manifest.personas.parts.items())
    tables = [(one.attributes, sorted(one.shares.items())) for one in read_references(settings.audit.reference)]
    judged = settings.audit.sample if settings.audit.judge else 0
    return hashlib.sha256(repr((counts, tables, judged)).encode()).hexdigest()[:16]
