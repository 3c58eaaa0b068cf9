"""Weighted outcomes and spreads of numbers: bounds hold, shares come out, and what cannot be is refused."""

from __future__ import annotations

import random
import statistics

import pytest

from actors.logic.variables.laws import Shape, spread, weighted
from cluster.errors import UserError


def drawn(law, count: int = 5_000) -> list[float]:
    rng = random.Random(3)
    return [law.draw(rng)[0] for _ in range(count)]


def test_a_normal_variable_has_its_mean_and_sd():
    values = drawn(spread(Shape.NORMAL, "height", mean=170, sd=10, decimals=1))
    assert abs(statistics.mean(values) - 170) < 1 and abs(statistics.stdev(values) - 10) < 0.5


def test_a_lognormal_variable_has_the_mean_and_sd_that_were_given_for_it():
    values = drawn(spread(Shape.LOGNORMAL, "income", mean=30_000, sd=12_000), 20_000)
    assert abs(statistics.mean(values) - 30_000) < 500 and abs(statistics.stdev(values) - 12_000) < 900
    assert min(values) > 0


def test_bounds_cut_the_distribution_and_heap_nothing_up_at_its_ends():
    values = drawn(spread(Shape.NORMAL, "age", mean=40, sd=20, low=18, high=90))
    assert min(values) >= 18 and max(values) <= 90
    assert sum(value == 18 for value in values) < 3 * sum(value == 22 for value in values)


def test_the_far_tail_of_a_normal_variable_is_drawn_from_too():
    values = drawn(spread(Shape.NORMAL, "x", mean=0, sd=1, low=7, high=20, decimals=3))
    assert min(values) >= 7 and max(values) < 9 and len(set(values)) > 100


def test_an_integer_variable_is_uniform_over_whole_numbers_with_both_ends():
    values = drawn(spread(Shape.INTEGER, "dice", low=1, high=6), 6_000)
    assert {values.count(number) // 500 for number in range(1, 7)} <= {1, 2}
    assert set(values) == {1, 2, 3, 4, 5, 6} and all(isinstance(value, int) for value in values)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"shape": Shape.NORMAL, "mean": 3}, "no sd"),
        ({"shape": Shape.UNIFORM, "low": 3}, "no max"),
        ({"shape": Shape.UNIFORM, "low": 3, "high": 1}, "between min 3 and max 1"),
        ({"shape": Shape.INTEGER, "low": 0.2, "high": 0.8}, "no number"),
        ({"shape": Shape.NORMAL, "mean": 3, "sd": 0}, "sd 0"),
        ({"shape": Shape.NORMAL, "mean": float("nan"), "sd": 1}, "not finite"),
        ({"shape": Shape.LOGNORMAL, "mean": -1, "sd": 1}, "mean -1"),
        ({"shape": Shape.LOGNORMAL, "mean": 1, "sd": 1, "high": 0}, "no number"),
        ({"shape": Shape.NORMAL, "mean": 1000, "sd": 1, "high": 5}, "too far"),
    ],
)
def test_a_spread_that_cannot_be_is_refused(asked, said):
    with pytest.raises(UserError) as caught:
        spread(asked.pop("shape"), "height", **asked)
    assert said in str(caught.value) and str(caught.value).startswith("height")


@pytest.mark.parametrize(
    ("values", "weights", "said"),
    [
        ([], [], "no values"),
        (["a", "b"], [1.0], "2 values, but 1"),
        (["a", "a"], [0.5, 0.5], "a twice"),
        (["a", "b"], [1.5, -0.5], "-0.5"),
        (["a", "b"], [float("nan"), 1.0], "nan"),
        (["a", "b"], [0.5, 0.4], "sum to 0.9"),
    ],
)
def test_outcomes_that_cannot_be_are_refused(values, weights, said):
    with pytest.raises(UserError) as caught:
        weighted([(value,) for value in values], weights, "sex", are_probabilities=True)
    assert said in str(caught.value) and str(caught.value).startswith("sex")


def test_probabilities_written_with_six_decimals_may_be_off_by_their_rounding():
    thirds = weighted([("a",), ("b",), ("c",)], [0.333333] * 3, "x", are_probabilities=True)
    assert thirds.running[-1] == 1.0


def test_an_outcome_of_no_weight_never_comes_out():
    law = weighted([("a",), ("b",), ("c",)], [0, 5, 0], "x", are_probabilities=False)
    assert list(law.possible()) == [("b",)] and set(drawn(law, 100)) == {"b"}
