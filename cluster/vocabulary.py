"""What a run tells Prometheus: one name for each thing, with its unit in it. Knows no Ray.

Ray puts `ray_` before each name, and `_total` after that of a counter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"


@dataclass(frozen=True, slots=True)
class Series:
    """A name with what it says, and the label that tells its parts apart, if it has any beside `run`."""

    name: str
    kind: Kind
    says: str
    label: str = ""

    @property
    def exported(self) -> str:
        """As Prometheus has it."""
        return f"ray_{self.name}_total" if self.kind is Kind.COUNTER else f"ray_{self.name}"


SERIES = (
    Series("populace_calls", Kind.COUNTER, "model calls that were answered and paid"),
    Series("populace_tokens", Kind.COUNTER, "tokens of these calls", "direction"),
    Series("populace_cost_usd", Kind.COUNTER, "USD that they cost, where the price is known"),
    Series("populace_call_seconds", Kind.COUNTER, "seconds on the wire of calls that were answered, added up"),
    Series("populace_retries", Kind.COUNTER, "calls that were tried again"),
    Series("populace_throttled", Kind.COUNTER, "answers that were a 429"),
    Series("populace_journal_hits", Kind.COUNTER, "answers that were paid for before"),
    Series("populace_documents", Kind.COUNTER, "documents whose personas are grown", "outcome"),
    Series("populace_personas", Kind.COUNTER, "personas", "outcome"),
    Series("populace_conversations", Kind.COUNTER, "dialogues that ended", "outcome"),
    Series("populace_bios", Kind.COUNTER, "people of a simulation who were written"),
    Series("populace_failures", Kind.COUNTER, "items that were given up"),
    Series("populace_stage_done", Kind.GAUGE, "items of a stage that are done", "stage"),
    Series("populace_stage_total", Kind.GAUGE, "items that a stage has in all", "stage"),
    Series("populace_spent_usd", Kind.GAUGE, "USD spent in all sessions of the run"),
    Series("populace_budget_usd", Kind.GAUGE, "USD that the run may spend"),
    Series("populace_keys", Kind.GAUGE, "keys, by how they are", "state"),
)

Place = tuple[str, str]
"""A series by its name, and the value of its label ("" where it has none)."""

_COUNTED: Mapping[str, Place] = {
    "calls": ("populace_calls", ""),
    "prompt_tokens": ("populace_tokens", "prompt"),
    "completion_tokens": ("populace_tokens", "completion"),
    "cost_usd": ("populace_cost_usd", ""),
    "call_seconds": ("populace_call_seconds", ""),
    "retries": ("populace_retries", ""),
    "throttled": ("populace_throttled", ""),
    "journal_hits": ("populace_journal_hits", ""),
    "documents_done": ("populace_documents", "done"),
    "documents_failed": ("populace_documents", "failed"),
    "personas_admitted": ("populace_personas", "admitted"),
    "personas_rejected": ("populace_personas", "rejected"),
    "conversations_done": ("populace_conversations", "accepted"),
    "conversations_refused": ("populace_conversations", "refused"),
    "bios_done": ("populace_bios", ""),
    "failures": ("populace_failures", ""),
}


def counted(counts: Mapping[str, float]) -> dict[Place, float]:
    """What the meter counted, as Prometheus is told; documents that failed are done too, and told once."""
    found = {_COUNTED[name]: float(number) for name, number in counts.items() if name in _COUNTED and number}
    failed = found.get(("populace_documents", "failed"))
    if failed and ("populace_documents", "done") in found:
        found["populace_documents", "done"] -= failed
    return found
