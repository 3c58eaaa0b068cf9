from collections import Counter
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from actors.logic.dialogue import Scene
from actors.logic.dues import Dues, dues, lot
from actors.logic.persona import Persona
from actors.logic.plan import LapDues, Pool, SceneRule, Unit, scenes, units
from actors.logic.sampling import Sampling

RULE = SceneRule(Sampling.DEPTH_WEIGHTED, seed=7)


def persona(document: str, number: int, depth: int) -> Persona:
    return Persona(
        f"{document}-{number}", document, None, depth, f"person {number} of {document}", "read", "m", "sha", 0.0
    )


def pools_of(part: str, documents: int, personas: int = 6) -> list[Pool]:
    """Documents of a part, each with this many personas, the first two of them of the seed layer."""
    names = [f"{part}/{number}" for number in range(documents)]
    return [
        Pool(
            name,
            f"text of {name}",
            [persona(name, number, int(number >= 2)) for number in range(personas)],
            densities=[1 + 9 * (number % 2) for number in range(personas)],
        )
        for name in names
    ]


class Corpus:
    """Parts with so many documents each."""

    def __init__(self, *counts: int, personas: int = 6) -> None:
        self.parts = [f"p{number}" for number in range(len(counts))]
        self.pools = {name: pools_of(name, count, personas) for name, count in zip(self.parts, counts, strict=True)}

    def units(self, laps: list[int], unit_rows: int, seed: int = RULE.seed) -> list[Unit]:
        """The units of the last of the laps."""
        lots = [np.array([lot(seed, pool.document_id) for pool in self.pools[name]], np.uint64) for name in self.parts]
        before, through = (dues(sum(some), len(self.documents), lambda: lots) for some in (laps[:-1], laps))
        owed = [through.of_all(some) - before.of_all(some) for some in lots]
        return list(units(list(zip(self.parts, owed, strict=True)), LapDues(len(laps) - 1, before, through), unit_rows))

    def lap(self, laps: list[int], unit_rows: int, rule: SceneRule = RULE) -> list[Scene]:
        """All dialogues of the last of the laps."""
        cut = self.units(laps, unit_rows, rule.seed)
        return [one for unit in cut for one in scenes(unit, self.pools[unit.part], rule)]

    @property
    def documents(self) -> list[str]:
        return [pool.document_id for name in self.parts for pool in self.pools[name]]


SHAPES = list(product([(1,), (3,), (5, 1, 4), (1, 1, 1, 1), (40, 2)], [1, 7, 12, 97], [1, 5, 100]))


@pytest.mark.parametrize(("counts", "rows", "unit_rows"), SHAPES)
def test_a_lap_is_exactly_its_rows_each_once_and_every_document_gives_its_share(counts, rows, unit_rows):
    corpus = Corpus(*counts)
    made = corpus.lap([rows], unit_rows)
    assert len(made) == len({one.conversation_id for one in made}) == rows
    given = Counter(one.document_id for one in made)
    shares = [given[name] for name in corpus.documents]
    assert sum(shares) == rows and max(shares) - min(shares) <= 1


@pytest.mark.parametrize(("counts", "rows", "unit_rows"), SHAPES)
def test_units_have_names_of_their_own_and_no_more_rows_than_allowed(counts, rows, unit_rows):
    corpus = Corpus(*counts)
    made = corpus.units([rows], unit_rows)
    assert len({unit.name for unit in made}) == len(made)
    for unit in made:
        assert 0 < unit.stop - unit.start <= unit_rows
        assert len(scenes(unit, corpus.pools[unit.part], RULE)) == unit.stop - unit.start


def test_no_dialogue_of_a_later_lap_is_one_of_an_earlier():
    corpus = Corpus(5, 1, 4)
    laps = [corpus.lap([60, 13, 2][:count], 7) for count in (1, 2, 3)]
    assert [len(lap) for lap in laps] == [60, 13, 2]
    assert len({one.conversation_id for lap in laps for one in lap}) == 75
    names = [unit.name for count in (1, 2, 3) for unit in corpus.units([60, 13, 2][:count], 7)]
    assert len(set(names)) == len(names)


def test_the_same_dialogues_are_planned_in_every_run():
    assert Corpus(5, 1, 4).lap([60, 13], 7) == Corpus(5, 1, 4).lap([60, 13], 7)


def test_the_dialogues_do_not_depend_on_how_they_are_cut():
    corpus = Corpus(5, 1, 4)
    assert corpus.lap([97], 3) == corpus.lap([97], 10) == corpus.lap([97], 1000)


def test_a_unit_can_be_planned_without_the_others():
    corpus = Corpus(5, 1, 4)
    alone = corpus.units([97], 10)[3]
    everything = corpus.lap([97], 10)
    assert scenes(alone, corpus.pools[alone.part], RULE) == [
        one for one in everything if one in scenes(alone, corpus.pools[alone.part], RULE)
    ]


@pytest.mark.parametrize("sampling", Sampling)
@pytest.mark.parametrize("rows", [12, 97])
def test_nor_do_they_by_any_sampling(sampling, rows):
    corpus, rule = Corpus(5, 1, 4), replace(RULE, sampling=sampling)
    assert corpus.lap([rows], 3, rule) == corpus.lap([rows], 1000, rule)


def test_by_coverage_those_among_few_of_their_kind_are_heard_more():
    made = Corpus(2).lap([600], 10, replace(RULE, sampling=Sampling.COVERAGE))
    heard = Counter(int(one.persona_id[-1]) % 2 for one in made)
    assert heard[0] / heard[1] == pytest.approx(10, rel=0.1)


def test_another_seed_plans_other_dialogues():
    corpus = Corpus(3)
    one, other = corpus.lap([60], 10), corpus.lap([60], 10, replace(RULE, seed=8))
    assert not {made.conversation_id for made in one} & {made.conversation_id for made in other}
    assert [made.persona_id for made in one] != [made.persona_id for made in other]


def test_a_scene_holds_its_document_and_its_persona():
    [made] = Corpus(1).lap([1], 10)
    assert (made.document_id, made.document) == ("p0/0", "text of p0/0")
    assert (made.persona_id, made.persona, made.persona_generation_depth) == ("p0/0-0", "person 0 of p0/0", 0)


def test_given_personas_are_no_documents_to_talk_about():
    rule = replace(RULE, given=True)
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


def test_the_dialogues_do_not_depend_on_the_parts_that_the_documents_lie_in():
    one, other = Corpus(10), Corpus(3, 4, 3)
    pools = [pool for name in one.parts for pool in one.pools[name]]
    for name, some in zip(other.parts, (pools[7:], pools[:4], pools[4:7]), strict=True):
        other.pools[name] = some
    for laps in ([57], [57, 8], [57, 8, 3]):
        found = [sorted(made.lap(laps, 6), key=lambda made: made.conversation_id) for made in (one, other)]
        assert found[0] == found[1]


def test_after_any_lap_no_document_has_two_more_than_another():
    corpus, laps, given = Corpus(5, 1, 4), [], Counter()
    for rows in (13, 4, 1, 1, 22, 6, 3, 50):
        laps.append(rows)
        given.update(one.document_id for one in corpus.lap(laps, 7))
        shares = [given[name] for name in corpus.documents]
        assert sum(shares) == sum(laps) and max(shares) - min(shares) <= 1


def test_a_part_that_owes_nothing_has_no_unit():
    nothing = LapDues(0, Dues(), Dues())
    assert list(units([], nothing, 5)) == list(units([("p0", 0)], nothing, 5)) == []


def test_a_unit_names_its_place_in_the_run():
    owed = LapDues(1, Dues(1), Dues(3))
    made = list(units([("a", 4), ("b", 6)], owed, 3))
    assert made[0] == Unit("1-a-0000", "a", owed, 0, 3)
    assert [(unit.name, unit.start, unit.stop) for unit in made[1:]] == [
        ("1-a-0001", 3, 4),
        ("1-b-0000", 0, 3),
        ("1-b-0001", 3, 6),
    ]
