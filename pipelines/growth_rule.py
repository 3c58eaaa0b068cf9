"""How the documents of a run are grown, from its settings and the number of them. Knows no Ray."""

from __future__ import annotations

from actors.logic.depth import auto_depth, target_per_document
from actors.logic.document import DocumentKind
from actors.logic.growth import GrowthRule
from pipelines.settings import Settings


def growth_rule(settings: Settings, documents: int) -> GrowthRule:
    """The rule for `documents` documents; `auto` takes the depth whose pool is closest to what a document owes."""
    personas, asked = settings.personas, settings.conversations.count
    given = settings.documents.kind is DocumentKind.PERSONA
    target = personas.target_per_document or target_per_document(asked, documents)
    depth = auto_depth(target, personas.per_call, given) if personas.depth == "auto" else personas.depth
    return GrowthRule(depth, personas.per_call, personas.granularity, settings.seed, settings.llm.small_model, given)
