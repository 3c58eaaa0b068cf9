"""Which dialogues a part of documents owes in a lap, cut into units: the same ones in every run of the same seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from actors.logic.dialogue import Context, Dialogue, conversation_id
from actors.logic.persona import Persona
from actors.logic.sampling import Sampling, derived_rng, draw, share


@dataclass(frozen=True, slots=True)
class DialogueRule:
    """How every dialogue of the run is made. `given` documents are personas, which nobody talks about."""

    respondent_prompt: str
    max_turns: int
    context: Context
    sampling: Sampling
    seed: int
    max_tokens: int
    small_model: bool = False
    given: bool = False


@dataclass(frozen=True, slots=True)
class Pool:
    """A document with its personas, of which there is at least one."""

    document_id: str
    text: str
    personas: Sequence[Persona]


@dataclass(frozen=True, slots=True)
class Unit:
    """Dialogues `start` … `stop` of those that the documents of a persona part owe in a lap; becomes one part.

    The part's documents are numbers `first_document` … of `documents` in the whole run; `laps` are the rows asked for
    in each lap so far, this one last.
    """

    name: str
    part: str
    first_document: int
    documents: int
    laps: tuple[int, ...]
    start: int
    stop: int


def units(parts: Sequence[tuple[str, int]], laps: Sequence[int], unit_rows: int) -> Iterator[Unit]:
    """The units of the last of `laps`, for parts given by name and number of documents with personas."""
    documents = sum(count for _, count in parts)
    lap, rows = len(laps) - 1, laps[-1]
    first = 0
    for name, count in parts:
        owed = _owed_before(rows, first + count, documents) - _owed_before(rows, first, documents)
        for number in range(ceil(owed / unit_rows)):
            start = number * unit_rows
            stop = min(owed, start + unit_rows)
            yield Unit(f"{lap}-{name}-{number:04d}", name, first, documents, tuple(laps), start, stop)
        first += count


def _owed_before(rows: int, document: int, documents: int) -> int:
    return document * rows // documents


def dialogues(unit: Unit, pools: Sequence[Pool], rule: DialogueRule) -> list[Dialogue]:
    """The unit's dialogues, given the pools of its part in their order there."""
    *before, rows = unit.laps
    lap, reached = len(before), 0
    made: list[Dialogue] = []
    for offset, pool in enumerate(pools):
        index = unit.first_document + offset
        owed = share(rows, index, unit.documents)
        low, high = max(unit.start, reached), min(unit.stop, reached + owed)
        if low < high:
            already = sum(share(earlier, index, unit.documents) for earlier in before)
            again = [lap] if already + owed > len(pool.personas) else []  # until then all laps go through one order
            rng = derived_rng(rule.seed, pool.document_id, "sampling", *again)
            picks = draw([one.depth for one in pool.personas], owed, rule.sampling, rng, already)
            made += [
                _dialogue(pool, pool.personas[picks[ordinal]], lap, ordinal, rule)
                for ordinal in range(low - reached, high - reached)
            ]
        reached += owed
    return made


def _dialogue(pool: Pool, persona: Persona, lap: int, ordinal: int, rule: DialogueRule) -> Dialogue:
    return Dialogue(
        conversation_id=conversation_id(rule.seed, pool.document_id, lap, ordinal),
        document_id=pool.document_id,
        persona_id=persona.persona_id,
        persona=persona.text,
        persona_generation_depth=persona.depth,
        document="" if rule.given else pool.text,
        respondent_prompt=rule.respondent_prompt,
        max_turns=rule.max_turns,
        context=rule.context,
        seed=rule.seed,
        max_tokens=rule.max_tokens,
        small_model=rule.small_model,
    )
