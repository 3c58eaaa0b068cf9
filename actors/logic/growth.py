"""How one document's persona tree grows: layer by layer, each layer's survivors being the parents of the next.

Knows neither callers nor services: calls and admissions are awaited through the two functions given.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from actors.logic.filters import Fault, Filters
from actors.logic.near_duplicates import Candidate, Reason, Verdict
from actors.logic.persona import Found, Granularity, Persona, Rejection, persona_id
from actors.logic.persona_call import PLAIN, PersonaAnswer, PersonaCall, Wording
from cluster.errors import FailureKind
from cluster.program import Done, Failed, Halted, Outcome

NOBODY = -1  # the depth of a run that needs no personas
GIVEN = "given"  # the relation of a persona that was not found but came with the documents

Ask = Callable[[PersonaCall], Awaitable[Outcome]]
Admit = Callable[[Sequence[Candidate]], Awaitable[list[Verdict]]]


@dataclass(frozen=True, slots=True)
class GrowthRule:
    """How every document's tree is grown; the same for the whole run.

    At depth NOBODY there is no layer. A document that is `given` as a persona is itself the seed layer; no model is
    asked about it before layer 1. Whom filters and near-duplicates take from a parent's `per_call` children is asked
    for again, `refills` times at most.
    """

    depth: int
    per_call: int
    granularity: Granularity
    seed: int
    one_per_request: bool = False
    given: bool = False
    refills: int = 0
    filters: tuple[str, ...] = ()
    wording: Wording = PLAIN

    @staticmethod
    def of(facts: Mapping[str, Any]) -> GrowthRule:
        """The rule that `dataclasses.asdict` and JSON have made facts of."""
        parts = {"wording": Wording(**facts.get("wording", {})), "filters": tuple(facts.get("filters", ()))}
        return GrowthRule(**(dict(facts) | parts))


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
    """What became of one document. `wanted` counts who was asked for at each depth. `halted` says why it was left
    unfinished; nothing of such a tree is written."""

    document_id: str
    personas: list[Persona] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    wanted: Counter[int] = field(default_factory=Counter)
    halted: str = ""


async def grow(
    document_id: str, text: str, rule: GrowthRule, ask: Ask, admit: Admit, clock: Callable[[], float]
) -> Tree:
    """The document's tree down to `rule.depth`, fewer layers where a layer stays empty.

    A layer is admitted as a whole, in the order of its parents, so that the choice does not depend on which call
    returned first; what is asked for again comes after it.
    """
    tree = Tree(document_id)
    layer = _Layer(tree, rule, ask, admit, clock)
    parents = [_Parent(None, text, rule.per_call)]
    for depth in range(rule.depth + 1):
        if rule.given and depth == 0:
            survivors = await layer.given(text)
        else:
            survivors = await layer.grow(depth, parents)
        if tree.halted or not survivors or depth == rule.depth:
            break
        parents = _parents(survivors, rule.per_call)
    return tree


@dataclass(slots=True)
class _Parent:
    """Who is asked about: a document (no id) or a persona. `said` are the people whom a model is not to name again,
    `children` the ids of those whom it did."""

    persona_id: str | None
    text: str
    owed: int
    said: list[str] = field(default_factory=list)
    children: set[str] = field(default_factory=set)
    failure: Failure | None = None
    is_lost: bool = False  # three tries were all that there are


def _parents(layer: Sequence[Persona], owed: int) -> list[_Parent]:
    """Those of a layer as parents of the next, each with its siblings named."""
    families: defaultdict[str | None, list[Persona]] = defaultdict(list)
    for one in layer:
        families[one.parent_id].append(one)
    return [
        _Parent(one.persona_id, one.text, owed, [kin.text for kin in families[one.parent_id] if kin is not one])
        for one in layer
    ]


@dataclass(slots=True)
class _Layer:
    """Grows one layer after another of a tree."""

    tree: Tree
    rule: GrowthRule
    ask: Ask
    admit: Admit
    clock: Callable[[], float]
    filters: Filters = field(init=False)

    def __post_init__(self) -> None:
        self.filters = Filters(self.rule.filters, self.rule.granularity, self.rule.wording.language)

    async def given(self, text: str) -> list[Persona]:
        """The seed layer of a document that is itself a persona."""
        self.tree.wanted[0] = 1
        return await self._admitted([_given(self.tree.document_id, text, self.clock)])

    async def grow(self, depth: int, parents: Sequence[_Parent]) -> list[Persona]:
        """Those of the layer who were admitted. What was given up of it is in the tree."""
        self.tree.wanted[depth] += self.rule.per_call * len(parents)
        survivors: list[Persona] = []
        owing = list(parents)
        for round_ in range(self.rule.refills + 1):
            calls = [self._call(depth, parent, round_) for parent in owing]
            outcomes = await asyncio.gather(*map(self.ask, calls))
            candidates = [
                one
                for parent, call, outcome in zip(owing, calls, outcomes, strict=True)
                for one in self._read(parent, call, outcome)
            ]
            if self.tree.halted:
                return []
            admitted = await self._admitted(candidates) if candidates else []
            survivors += admitted
            children = Counter(one.parent_id for one in admitted)
            for parent in owing:
                parent.owed -= children[parent.persona_id]
            owing = [parent for parent in owing if parent.owed > 0 and not parent.is_lost]
            if not owing:
                break
        self.tree.failures += [one.failure for one in parents if one.failure and one.owed > 0]
        if depth == 0 and not survivors and self.tree.rejected and not self.tree.failures:
            self.tree.failures.append(self._nobody(parents[0].text))
        return survivors

    def _nobody(self, text: str) -> Failure:
        """What to say of a document of which all personas were refused."""
        reasons = Counter(one.reason for one in self.tree.rejected)
        told = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        message = f"all {reasons.total()} personas were refused ({told})"
        if Fault.LANGUAGE in reasons:
            language = self.filters.grounds(text).language
            message += f"; the text is in {language!r}: name a language that the model writes in personas.language"
        rounds = self.rule.refills + 1
        return Failure(f"{self.tree.document_id}/document", "personas", FailureKind.TOO_FEW, message, rounds)

    def _call(self, depth: int, parent: _Parent, round_: int) -> PersonaCall:
        rule = self.rule
        return PersonaCall(
            self.tree.document_id,
            parent.persona_id,
            depth,
            parent.text,
            parent.owed,
            rule.granularity,
            rule.seed,
            rule.one_per_request,
            rule.wording,
            tuple(parent.said),
            round_,
        )

    def _read(self, parent: _Parent, call: PersonaCall, outcome: Outcome) -> list[Persona]:
        """The call's people as candidates; who is filtered out, its failure, shortfall or halt goes into the tree."""
        match outcome:
            case Halted(reason):
                self.tree.halted = reason
            case Failed(kind, message, attempts):
                parent.failure = Failure(call.item_id, "personas", kind, message, attempts)
                parent.is_lost = True
            case Done(PersonaAnswer() as answer):
                short = Failure(call.item_id, "personas", FailureKind.TOO_FEW, answer.shortfall, answer.tries)
                parent.failure, parent.is_lost = (short, True) if answer.shortfall else (None, False)
                parent.said += [one.text for one in answer.found]
                return self._fit(parent, call, answer)
        return []

    def _fit(self, parent: _Parent, call: PersonaCall, answer: PersonaAnswer) -> list[Persona]:
        grounds, fit = self.filters.grounds(call.text, call.instructions), []
        for found in answer.unfit:
            if Fault.LENGTH in self.rule.filters:
                self.tree.rejected.append(Rejection(self._persona(call, answer, found), Fault.LENGTH, None, None))
        for one in (self._persona(call, answer, found) for found in answer.found):
            if one.persona_id in parent.children:
                self.tree.rejected.append(Rejection(one, Reason.EXACT, one.persona_id, 1.0))
                continue
            parent.children.add(one.persona_id)
            if fault := self.filters.fault(one.text, grounds):
                self.tree.rejected.append(Rejection(one, fault, None, None))
            else:
                fit.append(one)
        return fit

    def _persona(self, call: PersonaCall, answer: PersonaAnswer, found: Found) -> Persona:
        return Persona(
            persona_id(call.document_id, call.parent_id, found.text),
            call.document_id,
            call.parent_id,
            call.depth,
            found.text,
            found.relation,
            answer.model,
            answer.prompt_sha,
            self.clock(),
        )

    async def _admitted(self, candidates: Sequence[Persona]) -> list[Persona]:
        verdicts = await self.admit([Candidate(one.persona_id, one.text) for one in candidates])
        return _sort(self.tree, candidates, verdicts)


def _given(document_id: str, text: str, clock: Callable[[], float]) -> Persona:
    """The persona that the document is, as a candidate."""
    return Persona(persona_id(document_id, None, text), document_id, None, 0, text, GIVEN, "", "", clock())


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
