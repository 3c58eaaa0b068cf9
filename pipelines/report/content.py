"""What a report shows, as plain values of bounded size."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from pipelines.audit_section import audit_findings, audit_opening
from pipelines.failures import failure_kinds
from pipelines.history import HISTORY, read_history
from pipelines.report.findings import diversity_findings, quality_findings
from pipelines.report.people import sampled_people
from pipelines.report.talks import lengths, sampled_talks
from pipelines.report.trees import document_trees
from pipelines.run_reading import FoundRun

_EXAMPLES, _EXAMPLE_CHARACTERS = 3, 2000
_SHOWN_SETTINGS = (
    ("documents", "documents.path"),
    ("strategy", "conversations.strategy"),
    ("exchanges", "conversations.max_turns"),
    ("context of the assistant", "conversations.context"),
    ("sampling", "conversations.sampling"),
    ("people per call", "personas.per_call"),
    ("granularity", "personas.granularity"),
    ("near-duplicates from a cosine of", "personas.dedup.threshold"),
    ("kept apart within", "personas.dedup.scope"),
    ("seed", "seed"),
)


def content(run: FoundRun) -> dict[str, Any]:
    """All that the page draws from."""
    talks = sampled_talks(run)
    people = sampled_people(run, talks)
    diversity, audit = run.counts.get("diversity"), run.counts.get("audit")
    audit = audit if audit and audit.get("attributes") else None
    counts = {name: value for name, value in run.counts.items() if name not in ("diversity", "audit", "funnel")}
    return {
        "run": _run(run),
        "lede": _lede(run),
        "counts": counts,
        "funnel": run.counts.get("funnel") or [],
        "diversity": diversity,
        "audit": audit and {"read": audit["read"], "attributes": audit["attributes"]},
        "findings": {
            "diversity": diversity_findings(diversity),
            "quality": quality_findings(run.counts.get("quality")),
            "audit_opening": audit_opening(audit) if audit else "",
            "audit": audit_findings(audit, str) if audit else [],
        },
        "people": {field.name: getattr(people, field.name) for field in fields(people)},
        "documents": document_trees(run),
        "talks": {"rows": talks.rows, "of": talks.of},
        "lengths": lengths(talks),
        "failures": _failures(run),
        "history": read_history(run.folder / HISTORY),
        "settings": _settings(run),
    }


def _run(run: FoundRun) -> dict[str, str]:
    return {
        "id": run.manifest.run_id,
        "name": run.folder.absolute().name,
        "state": run.state,
        "version": version("populace"),
        "made_at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def _lede(run: FoundRun) -> str:
    """What this run is, in a sentence or two."""
    counts = run.counts
    documents, people, talks = (counts.get(name) or 0 for name in ("documents", "personas", "conversations"))
    if counts.get("bios"):
        return f"{counts['bios']:,} people of a simulation, each written from traits that were drawn for them."
    if not documents:
        return "Nothing has been made yet."
    parts = [f"{people:,} people were found in {documents:,} documents" if people else f"{documents:,} documents"]
    if talks:
        parts.append(f"and {talks:,} conversations with an assistant were made from them")
    return f"{' '.join(parts)}. {_state_in_words(run)}".strip()


def _state_in_words(run: FoundRun) -> str:
    if run.is_running:
        return "The run goes on: this is what there is so far."
    return "" if run.state in ("finished", "personas finished") else f"The run is not finished ({run.state})."


def _failures(run: FoundRun) -> list[dict[str, Any]]:
    return [
        {
            "stage": one.stage,
            "kind": one.kind,
            "count": one.count,
            "examples": [(item, said[:_EXAMPLE_CHARACTERS], attempts) for item, said, attempts in one.examples],
        }
        for one in failure_kinds(run.folder, _EXAMPLES)
    ]


def _settings(run: FoundRun) -> list[tuple[str, str]]:
    chosen = run.manifest.settings
    shown = [(name, _said(chosen[key])) for name, key in _SHOWN_SETTINGS if chosen.get(key) is not None]
    depth = run.counts.get("depth")
    return [*shown, *([("depth", str(depth))] if isinstance(depth, int) and depth >= 0 else [])]


def _said(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
