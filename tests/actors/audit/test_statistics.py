"""Known answers, by hand."""

import numpy as np
import pytest

from actors.logic.audit.statistics import (
    association,
    cramers_v,
    poisson_tail,
    residuals,
    risk_ratio,
    sure_residual,
    wilson,
)


def table(*rows):
    return np.array(rows, dtype=float)


@pytest.mark.parametrize(
    ("counts", "v"),
    [
        (table([10, 0], [0, 10]), 1.0),
        (table([30, 10], [10, 30]), 0.490291),  # φ² = 1/4, less 1/79, over 1 − 1/79
        (table([20, 10, 10], [10, 20, 10]), 0.242406),  # φ² = 1/12, less 2/79, over 1 − 1/79
        (table([10, 20], [20, 40]), 0.0),
        (table([30, 10], [10, 30], [0, 0]), 0.490291),
        (table([5, 5, 5]), 0.0),
        (table([0, 0], [0, 0]), 0.0),
    ],
)
def test_bias_corrected_v(counts, v):
    assert cramers_v(counts) == pytest.approx(v, abs=1e-5)


def test_of_unrelated_sides_v_is_near_zero_where_the_uncorrected_one_is_not():
    rng = np.random.default_rng(1)
    corrected, plain = [], []
    for _ in range(200):
        counts = rng.multinomial(200, np.full(60, 1 / 60)).reshape(10, 6).astype(float)
        expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / 200
        plain.append(np.sqrt(((counts - expected) ** 2 / expected).sum() / 200 / 5))
        corrected.append(cramers_v(counts))
    assert np.mean(plain) > 0.2
    assert np.mean(corrected) < 0.05


def test_chance_rarely_passes_for_an_association():
    rng = np.random.default_rng(2)
    draws = [rng.multinomial(300, np.full(12, 1 / 12)).reshape(3, 4).astype(float) for _ in range(200)]
    assert sum(association(one, 0, 1).is_sure for one in draws) <= 20
    assert sum(association(one, 0, 20).is_sure for one in draws) <= 3


def test_the_bounds_hold_the_true_v_about_as_often_as_they_say():
    shares = table([3, 1], [1, 3]).ravel() / 8
    rng, held = np.random.default_rng(3), 0
    for _ in range(200):
        bounds = association(rng.multinomial(400, shares).reshape(2, 2).astype(float), 0, 1).bounds
        held += bounds.low <= 0.5 <= bounds.high
    assert held >= 180


def test_an_association_is_the_same_whenever_it_is_measured():
    counts = table([30, 10, 4], [10, 30, 9])
    assert association(counts, 7, 3) == association(counts, 7, 3)


def test_wilson():
    assert (wilson(5, 10).low, wilson(5, 10).high) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert (wilson(0, 10).low, wilson(0, 10).high) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0, 1)


def test_residuals():
    assert residuals(table([30, 10], [10, 30])) == pytest.approx(4.4721 * table([1, -1], [-1, 1]), abs=1e-3)
    assert sure_residual(1) == pytest.approx(1.96, abs=1e-2)
    assert sure_residual(1000) > 4


def test_a_risk_ratio_and_its_bounds():
    ratio, bounds = risk_ratio(40, 100, 10, 100)
    assert ratio == pytest.approx(40.5 / 10.5, rel=1e-3)
    assert 1.9 < bounds.low < 2.3 and 6.5 < bounds.high < 8
    ratio, bounds = risk_ratio(0, 100, 50, 100)
    assert 0 < ratio < 0.02 and bounds.low > 0


def test_a_poisson_tail():
    assert poisson_tail(0, 3.0) == 1
    assert poisson_tail(1, 2.0) == pytest.approx(1 - np.exp(-2))
    assert poisson_tail(14, 4.8) == pytest.approx(4.9e-4, rel=0.1)
