from collections import Counter
from dataclasses import replace
from itertools import product

import pytest

from actors.logic.dialogue import Context, Dialogue
from actors.logic.persona import Persona
from actors.logic.plan import DialogueRule, Pool, Unit, dialogues, units
from actors.logic.sampling import Sampling, share

RULE = DialogueRule("You help.", 3, Context.DOCUMENT, Sampling.DEPTH_WEIGHTED, seed=7, max_tokens=99)


def persona(document: str, number: int, depth: int) -> Persona:
    return Persona(
        f"{document}-{number}", document, None, depth, f"person {number} of {document}", "read", "m", "sha", 0.0
    )


def pools_of(part: str, documents: int, personas: int = 6) -> list[Pool]:
    """Documents of a part, each with this many personas, the first two of them of the seed layer."""
    names = [f"{part}/{number}" for number in range(documents)]
    return [
        Pool(name, f"text of {name}", [persona(name, number, int(number >= 2)) for number in range(personas)])
        for name in names
    ]


class Corpus:
    """Parts with so many documents each."""

    def __init__(self, *counts: int, personas: int = 6) -> None:
        self.parts = [(f"p{number}", count) for number, count in enumerate(counts)]
        self.pools = {name: pools_of(name, count, personas) for name, count in self.parts}

    def lap(self, laps: list[int], unit_rows: int, rule: DialogueRule = RULE) -> list[Dialogue]:
        """All dialogues of the last of the laps."""
        return [
            one for unit in units(self.parts, laps, unit_rows) for one in dialogues(unit, self.pools[unit.part], rule)
        ]

    @property
    def documents(self) -> list[str]:
        return [pool.document_id for name, _ in self.parts for pool in self.pools[name]]


SHAPES = list(product([(1,), (3,), (5, 1, 4), (1, 1, 1, 1), (40, 2)], [1, 7, 12, 97], [1, 5, 100]))


@pytest.mark.parametrize(("counts", "rows", "unit_rows"), SHAPES)
def test_a_lap_is_exactly_its_rows_each_once_and_every_document_gives_its_share(counts, rows, unit_rows):
    corpus = Corpus(*counts)
    made = corpus.lap([rows], unit_rows)
    assert len(made) == len({one.conversation_id for one in made}) == rows
    given = Counter(one.document_id for one in made)
    documents = corpus.documents
    assert [given[name] for name in documents] == [share(rows, at, len(documents)) for at in range(len(documents))]


@pytest.mark.parametrize(("counts", "rows", "unit_rows"), SHAPES)
def test_units_have_names_of_their_own_and_no_more_rows_than_allowed(counts, rows, unit_rows):
    corpus = Corpus(*counts)
    made = list(units(corpus.parts, [rows], unit_rows))
    assert len({unit.name for unit in made}) == len(made)
    for unit in made:
        assert 0 < unit.stop - unit.start <= unit_rows
        assert len(dialogues(unit, corpus.pools[unit.part], RULE)) == unit.stop - unit.start


def test_no_dialogue_of_a_later_lap_is_one_of_an_earlier():
    corpus = Corpus(5, 1, 4)
    laps = [corpus.lap([60, 13, 2][:count], 7) for count in (1, 2, 3)]
    assert [len(lap) for lap in laps] == [60, 13, 2]
    assert len({one.conversation_id for lap in laps for one in lap}) == 75
    names = [unit.name for count in (1, 2, 3) for unit in units(corpus.parts, [60, 13, 2][:count], 7)]
    assert len(set(names)) == len(names)


def test_the_same_dialogues_are_planned_in_every_run():
    assert Corpus(5, 1, 4).lap([60, 13], 7) == Corpus(5, 1, 4).lap([60, 13], 7)


def test_the_dialogues_do_not_depend_on_how_they_are_cut():
    corpus = Corpus(5, 1, 4)
    assert corpus.lap([97], 3) == corpus.lap([97], 10) == corpus.lap([97], 1000)


def test_a_unit_can_be_planned_without_the_others():
    corpus = Corpus(5, 1, 4)
    alone = list(units(corpus.parts, [97], 10))[3]
    everything = corpus.lap([97], 10)
    assert dialogues(alone, corpus.pools[alone.part], RULE) == [
        one for one in everything if one in dialogues(alone, corpus.pools[alone.part], RULE)
    ]


def test_another_seed_plans_other_dialogues():
    corpus = Corpus(3)
    one, other = corpus.lap([60], 10), corpus.lap([60], 10, replace(RULE, seed=8))
    assert not {made.conversation_id for made in one} & {made.conversation_id for made in other}
    assert [made.persona_id for made in one] != [made.persona_id for made in other]


def test_a_dialogue_holds_its_document_its_persona_and_the_rule():
    [made] = Corpus(1).lap([1], 10)
    assert (made.document_id, made.document) == ("p0/0", "text of p0/0")
    assert (made.persona_id, made.persona, made.persona_generation_depth) == ("p0/0-0", "person 0 of p0/0", 0)
    assert (made.respondent_prompt, made.max_turns, made.context) == ("You help.", 3, Context.DOCUMENT)
    assert (made.seed, made.max_tokens) == (7, 99)


def test_given_personas_are_no_documents_to_talk_about():
    rule = replace(RULE, given=True, context=Context.NONE)
    made = Corpus(2, 1).lap([9], 4, rule)
    assert {one.document for one in made} == {""}
    assert {one.document_id for one in made} == set(Corpus(2, 1).documents)


def test_personas_speak_in_dialogues_about_their_own_document():
    assert all(one.persona_id.startswith(f"{one.document_id}-") for one in Corpus(5, 1, 4).lap([97], 10))


def test_within_the_pool_the_shallowest_speak_first_and_nobody_twice():
    made = Corpus(4).lap([16], 10)
    assert len({one.persona_id for one in made}) == 16
    assert Counter(one.persona_generation_depth for one in made) == {0: 8, 1: 8}


@pytest.mark.parametrize("sampling", Sampling)
def test_a_later_lap_asks_those_who_have_not_spoken_yet(sampling):
    corpus, rule = Corpus(4), replace(RULE, sampling=sampling)
    first, second = corpus.lap([12], 10, rule), corpus.lap([12, 12], 10, rule)
    assert len({one.persona_id for one in first + second}) == 24


def test_more_rows_than_personas_use_them_all_and_again():
    made = Corpus(2).lap([200], 10)
    assert len({one.persona_id for one in made}) == 12
    by_depth = Counter(one.persona_generation_depth for one in made)
    assert by_depth[0] / by_depth[1] == pytest.approx(2, abs=0.1)


def test_fewer_rows_than_documents_leave_some_without():
    corpus = Corpus(40, 2)
    made = corpus.lap([7], 10)
    assert len({one.document_id for one in made}) == 7


def test_without_parts_or_rows_there_is_nothing_to_do():
    assert list(units([], [10], 5)) == []
    assert list(units([("p0", 3)], [0], 5)) == []


def test_a_unit_names_its_place_in_the_run():
    made = list(units([("a", 2), ("b", 3)], [4, 10], 3))
    assert made[0] == Unit("1-a-0000", "a", 0, 5, (4, 10), 0, 3)
    assert [(unit.name, unit.first_document, unit.start, unit.stop) for unit in made[1:]] == [
        ("1-a-0001", 0, 3, 4),
        ("1-b-0000", 2, 0, 3),
        ("1-b-0001", 2, 3, 6),
    ]
