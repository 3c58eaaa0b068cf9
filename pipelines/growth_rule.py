"""How the documents of a run are grown, from its settings and the number of them. Knows no Ray."""

from __future__ import annotations

from actors.logic.depth import auto_depth, target_per_document
from actors.logic.document import DocumentKind
from actors.logic.growth import NOBODY, GrowthRule
from actors.logic.persona_call import Wording
from pipelines.settings import Prompts, Settings
from pipelines.templates import read_template


def growth_rule(settings: Settings, documents: int) -> GrowthRule:
    """The rule for `documents` documents; `auto` takes the depth whose pool is closest to what a document owes."""
    personas, asked = settings.personas, settings.conversations.count
    given = settings.documents.kind is DocumentKind.PERSONA
    target = personas.target_per_document or target_per_document(asked, documents)
    depth = auto_depth(target, personas.per_call, given) if personas.depth == "auto" else personas.depth
    return GrowthRule(
        depth if settings.conversations.needs_personas else NOBODY,
        personas.per_call,
        personas.granularity,
        settings.seed,
        settings.llm.small_model,
        given,
        personas.refills,
        tuple(map(str, personas.filters)),
        _wording(personas.language, personas.prompts, settings.llm.small_model),
    )


def _wording(language: str, prompts: Prompts, small_model: bool) -> Wording:
    """`UserError` where a template cannot be read or used."""
    own = read_template("personas.prompts.text", prompts.text)
    own_of_children = read_template("personas.prompts.persona", prompts.persona)
    wording = Wording(language, own, own_of_children)
    for is_child in (False, True):
        wording.template(is_child, small_model)
    return wording
