"""What a population is drawn by: order, cycles, combinations, and the shares that come out."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from actors.logic.variables import Block, population, spread, table, weighted
from actors.logic.variables.laws import Shape
from cluster.errors import UserError

DRAWS = 10_000
REGION = table("region.csv", ["region,count", "north,30", "south,70"])
WORK = table("work.csv", ["given:region,work,probability", "north,fish,0.9", "north,school,0.1", "south,school,1"])


def census() -> tuple[list[str], dict[tuple[str, ...], int]]:
    """A joint table of five variables that hang on one another, some of whose cells are empty."""
    ages, sexes = ["18-24", "25-64", "65+"], ["female", "male"]
    regions, work, homes = ["north", "south"], ["study", "job", "pension"], ["rents", "owns"]
    counts = {}
    for at, cell in enumerate(itertools.product(ages, sexes, regions, work, homes)):
        age, _, region, does, home = cell
        likely = {("18-24", "study"): 9, ("25-64", "job"): 12, ("65+", "pension"): 10}.get((age, does), 1)
        counts[cell] = 0 if (age, does) == ("18-24", "pension") else likely * (3 if home == "owns" else 2) + at % 4
        counts[cell] *= 2 if region == "south" else 1
    lines = [f"{','.join(cell)},{count}" for cell, count in counts.items()]
    return ["age,sex,region,work,home,count", *lines], counts


def test_a_joint_table_of_five_variables_is_reproduced_within_sampling_error():
    lines, counts = census()
    people = population([table("census.csv", lines)])
    drawn = Counter(tuple(people.draw(0, row).values()) for row in range(DRAWS))
    total = sum(counts.values())
    assert all(not drawn[cell] for cell, count in counts.items() if not count), "an empty cell stays empty"
    expected = {cell: DRAWS * count / total for cell, count in counts.items() if count}
    squares = sum((drawn[cell] - mean) ** 2 / mean for cell, mean in expected.items())
    freedom = len(expected) - 1
    assert squares < freedom + 4 * (2 * freedom) ** 0.5, f"chi² {squares:.1f} at {freedom} degrees of freedom"
    for mean, cell in sorted(((mean, cell) for cell, mean in expected.items()), reverse=True)[:10]:
        assert abs(drawn[cell] - mean) < 5 * mean**0.5, cell


def test_what_a_child_hangs_on_decides_its_shares_and_the_joint_is_their_product():
    people = population([WORK, REGION])
    drawn = Counter((row["region"], row["work"]) for row in (people.draw(1, at) for at in range(DRAWS)))
    for cell, share in {("north", "fish"): 0.27, ("north", "school"): 0.03, ("south", "school"): 0.7}.items():
        assert abs(drawn[cell] - DRAWS * share) < 5 * (DRAWS * share) ** 0.5
    assert drawn[("south", "fish")] == 0


def test_a_person_is_the_same_whoever_draws_it_and_another_for_another_seed():
    people, again = population([REGION, WORK]), population([REGION, WORK])
    rows = [people.draw(7, at) for at in range(200)]
    assert [again.draw(7, at) for at in reversed(range(200))] == rows[::-1]
    assert [people.draw(8, at) for at in range(200)] != rows


def test_traits_come_in_the_order_in_which_they_were_declared():
    assert list(population([WORK, REGION]).draw(0, 0)) == ["work", "region"]


def number(name: str, *given: str) -> Block:
    return Block((name,), given, {(): spread(Shape.UNIFORM, name, low=0, high=1)}, name)


def ask(name: str, *given: str, whens: tuple[tuple[str, ...], ...] = ((),)) -> Block:
    return Block((name,), given, {when: weighted([("a",), ("b",)], [1, 1], name, False) for when in whens}, name)


AB = (("a",), ("b",))


@pytest.mark.parametrize(
    ("blocks", "said"),
    [
        ([], "no variables"),
        ([ask("x"), ask("x")], "both hold the variable x"),
        ([ask("region"), ask("y", "regoin", whens=AB)], "regoin is no variable; did you mean region?"),
        ([ask("x", "z", whens=AB), ask("y", "x", whens=AB), ask("z", "y", whens=AB)], "cycle: x → z → y → x"),
        ([ask("x", "x", whens=AB)], "cycle: x → x"),
        ([number("x"), ask("y", "x", whens=(("1",),))], "x is a number, which nothing can hang on"),
        ([ask("x"), ask("y", "x", whens=(("a",), ("B",)))], "x has no value B"),
        ([ask("x"), ask("y", "x", whens=(("a",),))], "y has no row for x b, which can occur"),
    ],
    ids=["none", "twice", "unknown", "cycle", "itself", "number", "value", "case"],
)
def test_blocks_that_contradict_each_other_are_refused_in_one_line_that_names_them(blocks, said):
    with pytest.raises(UserError) as caught:
        population(blocks)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_combination_of_parents_that_cannot_occur_needs_no_row():
    status = table("s.csv", ["given:age,status,count", "child,single,1", "adult,single,1", "adult,widowed,1"])
    age = table("a.csv", ["age,count", "child,1", "adult,3"])
    head = "given:age,given:status,children,probability"
    children = table("c.csv", [head, "child,single,none,1", "adult,single,some,1", "adult,widowed,some,1"])
    people = population([children, status, age])
    assert {row["children"] for row in (people.draw(0, at) for at in range(100)) if row["age"] == "child"} == {"none"}


def test_parents_of_too_many_combinations_are_refused_and_not_enumerated_for_ever():
    many = [
        Block((f"v{at}",), (), {(): weighted([(str(n),) for n in range(100)], [1] * 100, "v", False)}, "v")
        for at in range(4)
    ]
    child = ask("child", "v0", "v1", "v2", "v3", whens=(("0", "0", "0", "0"),))
    with pytest.raises(UserError, match="too many combinations"):
        population([*many, child])
