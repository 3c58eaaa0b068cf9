"""How one document's persona tree grows: layer by layer, each layer's survivors being the parents of the next.

Knows neither callers nor services: calls and admissions are awaited through the two functions given.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from actors.logic.near_duplicates import Candidate, Verdict
from actors.logic.persona import Granularity, Persona, Rejection, persona_id
from actors.logic.persona_call import PersonaAnswer, PersonaCall
from cluster.errors import FailureKind
from cluster.program import Done, Failed, Halted, Outcome

GIVEN = "given"  # the relation of a persona that was not found but came with the documents

Ask = Callable[[PersonaCall], Awaitable[Outcome]]
Admit = Callable[[Sequence[Candidate]], Awaitable[list[Verdict]]]


@dataclass(frozen=True, slots=True)
class GrowthRule:
    """How every document's tree is grown; the same for the whole run.

    A document that is `given` as a persona is itself the seed layer; no model is asked about it before layer 1.
    """

    depth: int
    per_call: int
    granularity: Granularity
    seed: int
    one_per_request: bool = False
    given: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """An item that was given up; a row of `failures/`."""

    item_id: str
    stage: str
    kind: str
    message: str
    attempts: int


@dataclass(slots=True)
class Tree:
    """What became of one document. `halted` says why it was left unfinished; nothing of such a tree is written."""

    document_id: str
    personas: list[Persona] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    halted: str = ""


async def grow(
    document_id: str, text: str, rule: GrowthRule, ask: Ask, admit: Admit, clock: Callable[[], float]
) -> Tree:
    """The document's tree down to `rule.depth`, fewer layers where a layer stays empty.

    A layer is admitted as a whole, in the order of its parents, so that the choice does not depend on which call
    returned first.
    """
    tree = Tree(document_id)
    parents: list[tuple[str | None, str]] = [(None, text)]
    for depth in range(rule.depth + 1):
        if rule.given and depth == 0:
            candidates = [_given(document_id, text, clock)]
        else:
            candidates = await _asked(tree, depth, parents, rule, ask, clock)
        if tree.halted or not candidates:
            break
        verdicts = await admit([Candidate(one.persona_id, one.text) for one in candidates])
        survivors = _sort(tree, candidates, verdicts)
        parents = [(one.persona_id, one.text) for one in survivors]
        if not parents:
            break
    return tree


def _given(document_id: str, text: str, clock: Callable[[], float]) -> Persona:
    """The persona that the document is, as a candidate."""
    return Persona(persona_id(document_id, None, text), document_id, None, 0, text, GIVEN, "", "", clock())


async def _asked(
    tree: Tree,
    depth: int,
    parents: Sequence[tuple[str | None, str]],
    rule: GrowthRule,
    ask: Ask,
    clock: Callable[[], float],
) -> list[Persona]:
    """The people of a layer as candidates, one call for each parent."""
    calls = [
        PersonaCall(
            tree.document_id, parent, depth, words, rule.per_call, rule.granularity, rule.seed, rule.one_per_request
        )
        for parent, words in parents
    ]
    outcomes = await asyncio.gather(*map(ask, calls))
    return [one for call, outcome in zip(calls, outcomes, strict=True) for one in _read(tree, call, outcome, clock)]


def _read(tree: Tree, call: PersonaCall, outcome: Outcome, clock: Callable[[], float]) -> list[Persona]:
    """The call's people as candidates; its failure, shortfall or halt goes into the tree."""
    match outcome:
        case Halted(reason):
            tree.halted = reason
        case Failed(kind, message, attempts):
            tree.failures.append(Failure(call.item_id, "personas", kind, message, attempts))
        case Done(PersonaAnswer() as answer):
            if answer.shortfall:
                short = Failure(call.item_id, "personas", FailureKind.TOO_FEW, answer.shortfall, answer.tries)
                tree.failures.append(short)
            return [
                Persona(
                    persona_id(call.document_id, call.parent_id, found.text),
                    call.document_id,
                    call.parent_id,
                    call.depth,
                    found.text,
                    found.relation,
                    answer.model,
                    answer.prompt_sha,
                    clock(),
                )
                for found in answer.found
            ]
    return []


def _sort(tree: Tree, candidates: Sequence[Persona], verdicts: Sequence[Verdict]) -> list[Persona]:
    """Admitted ones join the tree and are returned; refused ones are kept with what refused them."""
    survivors = []
    for one, verdict in zip(candidates, verdicts, strict=True):
        if verdict.reason is None:
            survivors.append(one)
        else:
            tree.rejected.append(Rejection(one, verdict.reason, verdict.neighbour_id, verdict.score))
    tree.personas += survivors
    return survivors
