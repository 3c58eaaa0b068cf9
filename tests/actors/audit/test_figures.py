"""A planted skew and a planted tie are found, and none where there is none."""

from dataclasses import asdict

import pytest
from planted import planted

from actors.logic.audit.figures import marginals, pair_figures, stereotypes
from actors.logic.audit.reference import Reference
from actors.logic.audit.tally import JOB, Tally
from actors.logic.diversity.sample import key_of

CRAFT = "craft and related trades workers"


def tallied(people, *watched):
    tally = Tally()
    for names in watched:
        tally.watch(*names)
    for persona_id, text in people:
        tally.see(key_of(persona_id, 0), persona_id, text)
    return tally


def shares(tally, attribute, references=()):
    [found] = [one for one in marginals(tally, references) if one.attribute == attribute]
    return {one.group: one for one in found.groups}


def test_a_planted_skew_is_measured_with_an_interval_that_holds_it():
    found = shares(tallied(planted(2000, women=0.8)), "gender")
    assert found["woman"].bounds.low <= 0.8 <= found["woman"].bounds.high
    assert found["woman"].bounds.high - found["woman"].bounds.low < 0.04
    assert found["nonbinary"].count == 0


def test_of_whom_nothing_is_said_is_no_group():
    tally = tallied([("a", "A woman in Lagos."), ("b", "A person who reads."), ("c", "Ein Mann und die Frau.")])
    [gender] = [one for one in marginals(tally) if one.attribute == "gender"]
    assert gender.said == 1
    assert (tally.personas, tally.not_english, tally.nothing_said) == (3, 1, 1)


def test_a_planted_tie_is_flagged_with_examples():
    tally = tallied(planted(2000, women=0.4, women_nurses=0.95))
    pairs = pair_figures(tally, seed=0)
    assert pairs[0].attributes == ("gender", JOB) and pairs[0].is_sure and pairs[0].v > 0.3
    first = next(one for one in stereotypes(tally, pairs) if one.does == "nurse" and one.group == "woman")
    assert 1.8 < first.ratio < 3 and first.bounds.low > 1.5 and first.count > first.expected
    assert len(first.examples) == 2
    assert all("woman" in one.text and "nurse" in one.text for one in first.examples)
    rarer = next(one for one in stereotypes(tally, pairs) if one.does == "nurse" and one.group == "man")
    assert rarer.ratio < 0.2


@pytest.mark.parametrize("seed", range(5))
def test_where_nothing_hangs_together_nothing_is_flagged(seed):
    tally = tallied(planted(2000, seed=seed))
    pairs = pair_figures(tally, seed=0)
    assert len(pairs) >= 6
    assert max(one.v for one in pairs) < 0.1
    assert stereotypes(tally, pairs) == []


def test_a_skew_alone_is_no_tie():
    pairs = pair_figures(tallied(planted(2000, women=0.9)), seed=0)
    assert not [one for one in pairs if one.is_sure]


def test_words_that_say_two_things_at_once_tie_nothing():
    who = ("housewife", "nun", "monk", "man")
    tally = tallied((f"p{at}", f"A {who[at % 4]} in Lagos.") for at in range(800))
    assert tally.groups["gender", "woman"] == 400 and tally.groups["occupation", "no paid work"] == 200
    assert not [cell for cell in tally.cells if "gender" in cell and "occupation" in cell]


def test_too_few_personas_are_not_compared():
    assert pair_figures(tallied(planted(40)), seed=0) == []


def test_the_order_in_which_they_come_does_not_matter():
    people = list(planted(600, women_nurses=0.9))
    tallies = [tallied(people), tallied(people[::-1])]
    told = [[asdict(one) for one in stereotypes(tally, pair_figures(tally, 0))] for tally in tallies]
    assert told[0] == told[1] and told[0]


def test_who_is_too_many_and_too_few_beside_a_reference_is_named():
    reference = Reference("census.csv", ("gender",), {("woman",): 0.5, ("man",): 0.49, ("nonbinary",): 0.01})
    found = shares(tallied(planted(2000, women=0.7)), "gender", [reference])
    assert [found[group].verdict for group in ("woman", "man", "nonbinary")] == ["over", "under", "under"]
    assert found["woman"].ratio == pytest.approx(1.4, abs=0.1)


def test_who_is_as_many_as_in_the_reference_is_not_named():
    reference = Reference("census.csv", ("gender",), {("woman",): 0.5, ("man",): 0.5})
    assert not any(one.verdict for one in shares(tallied(planted(500)), "gender", [reference]).values())


def test_combinations_are_held_against_a_reference_of_them():
    reference = Reference(
        "joint.csv",
        ("gender", "occupation"),
        {
            ("woman", "professionals"): 0.25,
            ("man", "professionals"): 0.25,
            ("woman", CRAFT): 0.5,
        },
    )
    tally = tallied(planted(2000, women_nurses=0.95), reference.attributes)
    [found] = [one for one in marginals(tally, [reference]) if one.attribute == "gender × occupation"]
    held = {one.group: one for one in found.groups}
    assert held["woman, professionals"].verdict == "over"
    assert held["woman, craft and related trades workers"].verdict == "under"
    assert found.outside == found.said - sum(one.count for one in found.groups) > 0
