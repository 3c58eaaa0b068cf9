"""Which dialogues a part of documents owes in a lap, cut into units: the same ones in every run of the same seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from actors.logic.dialogue import Scene, conversation_id
from actors.logic.dues import Dues, lot
from actors.logic.persona import Persona
from actors.logic.sampling import Sampling, derived_rng, draw


@dataclass(frozen=True, slots=True)
class SceneRule:
    """How scenes are chosen, and how many documents each is about. `given` documents are personas, which nobody talks
    about."""

    sampling: Sampling
    seed: int
    given: bool = False
    documents: int = 1


@dataclass(frozen=True, slots=True)
class Pool:
    """A document with its personas, none where nobody in particular speaks; and, where they are sampled by it, the
    density of the corpus around each."""

    document_id: str
    text: str
    personas: Sequence[Persona]
    densities: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class LapDues:
    """What documents owe in lap number `lap`: their dues `through` it, less those `before` it."""

    lap: int
    before: Dues
    through: Dues


@dataclass(frozen=True, slots=True)
class Unit:
    """Dialogues `start` … `stop` of those that the documents of a persona part owe in a lap; becomes one part."""

    name: str
    part: str
    dues: LapDues
    start: int
    stop: int


def units(parts: Sequence[tuple[str, int]], dues: LapDues, unit_rows: int) -> Iterator[Unit]:
    """The units of a lap, for parts given by name and the rows that their documents owe in it."""
    for name, owed in parts:
        for number in range(ceil(owed / unit_rows)):
            start = number * unit_rows
            yield Unit(f"{dues.lap}-{name}-{number:04d}", name, dues, start, min(owed, start + unit_rows))


def scenes(unit: Unit, pools: Sequence[Pool], rule: SceneRule) -> list[Scene]:
    """The unit's scenes, given the pools of its part in their order there."""
    lap, reached = unit.dues.lap, 0
    made: list[Scene] = []
    for pool in pools:
        drawn = lot(rule.seed, pool.document_id)
        already = unit.dues.before.of(drawn)
        owed = unit.dues.through.of(drawn) - already
        low, high = max(unit.start, reached), min(unit.stop, reached + owed)
        if low < high:
            again = [lap] if already + owed > len(pool.personas) else []  # until then all laps go through one order
            rng = derived_rng(rule.seed, pool.document_id, "sampling", *again)
            ordinals, depths = range(low - reached, high - reached), [one.depth for one in pool.personas]
            picks = draw(depths, owed, rule.sampling, rng, already, pool.densities, ordinals)
            speakers: list[Persona | None] = [pool.personas[pick] for pick in picks] or [None] * len(ordinals)
            made += [
                _scene(pool, speaker, lap, ordinal, rule, pools)
                for ordinal, speaker in zip(ordinals, speakers, strict=True)
            ]
        reached += owed
    return made


def _scene(
    pool: Pool, persona: Persona | None, lap: int, ordinal: int, rule: SceneRule, pools: Sequence[Pool]
) -> Scene:
    name = conversation_id(rule.seed, pool.document_id, lap, ordinal)
    about = [pool, *_others(name, pool, rule, pools)]
    return Scene(
        conversation_id=name,
        document_id=pool.document_id,
        persona_id=persona.persona_id if persona else "",
        persona=persona.text if persona else "",
        persona_generation_depth=persona.depth if persona else 0,
        document="" if rule.given else _BETWEEN.join(one.text for one in about),
        document_ids=tuple(one.document_id for one in about),
    )


_BETWEEN = "\n\n* * *\n\n"  # documents of one scene


def _others(name: str, pool: Pool, rule: SceneRule, pools: Sequence[Pool]) -> list[Pool]:
    """Documents of the same part that a scene is about besides its own: fewer where there are no more."""
    if rule.documents == 1:
        return []
    drawn = derived_rng(rule.seed, name, "documents").sample(pools, min(rule.documents, len(pools)))
    return [one for one in drawn if one is not pool][: rule.documents - 1]
