import random
from collections import Counter
from itertools import pairwise
from math import ceil, floor

import pytest

from actors.logic.sampling import Sampling, derived_rng, draw, weights

WEIGHTED, UNIFORM, COVERAGE = Sampling.DEPTH_WEIGHTED, Sampling.UNIFORM, Sampling.COVERAGE


def pool(*layers: int) -> list[int]:
    """Depths of a pool whose layers have these sizes."""
    return [depth for depth, size in enumerate(layers) for _ in range(size)]


def layers_of(depths, picks):
    return Counter(depths[pick] for pick in picks)


def crowded(depths):
    """Densities of a pool: of every four three are of a kind with many others."""
    return [4096 if at % 4 else 16 for at in range(len(depths))]


def test_within_the_pool_the_shallowest_speak_once_each_and_in_pool_order():
    depths = [2, 0, 1, 0, 2, 1, 0]
    assert draw(depths, 4, WEIGHTED, random.Random(0)) == [1, 3, 6, 2]
    assert draw(depths, 7, WEIGHTED, random.Random(0)) == [1, 3, 6, 2, 5, 0, 4]


def test_as_many_rows_as_personas_use_every_persona():
    depths = pool(5, 15)
    assert sorted(draw(depths, 20, WEIGHTED, random.Random(0))) == list(range(20))
    assert sorted(draw(depths, 20, UNIFORM, random.Random(0))) == list(range(20))


@pytest.mark.parametrize("rows", [0, -3])
def test_no_rows_are_no_picks(rows):
    assert draw(pool(5), rows, WEIGHTED, random.Random(0)) == []


@pytest.mark.parametrize("sampling", Sampling)
def test_an_empty_pool_gives_nobody(sampling):
    assert draw([], 10, sampling, random.Random(0)) == []


@pytest.mark.parametrize("sampling", Sampling)
@pytest.mark.parametrize("rows", [1, 6, 7, 8, 9, 50])
def test_exactly_the_rows_that_were_asked_for_are_drawn(sampling, rows):
    for seed in range(50):
        picks = draw(pool(2, 5), rows, sampling, random.Random(seed), densities=crowded(pool(2, 5)))
        assert len(picks) == rows
        assert all(0 <= pick < 7 for pick in picks)


def test_those_who_spoke_before_are_left_out_while_others_are_left():
    depths = pool(3, 9)
    before = draw(depths, 5, WEIGHTED, random.Random(0))
    after = draw(depths, 7, WEIGHTED, random.Random(1), already=5)
    assert sorted(before + after) == list(range(12))
    assert after[0] == 5


def test_rows_over_what_is_left_of_the_pool_are_drawn_from_all_of_it():
    depths = pool(5, 5)
    picks = draw(depths, 30, WEIGHTED, random.Random(0), already=8)
    assert len(picks) == 30
    assert set(picks) == set(range(10))


@pytest.mark.parametrize("size", [10, 100, 1000])
def test_uniform_leaves_out_those_who_spoke_before_whatever_the_size_of_the_pool(size):
    depths = pool(size)
    before = draw(depths, size // 5, UNIFORM, derived_rng(0, "document"))
    after = draw(depths, size - size // 5, UNIFORM, derived_rng(0, "document"), already=size // 5)
    assert sorted(before + after) == list(range(size))


@pytest.mark.parametrize(
    ("layers", "mass"),
    [
        ((5, 25, 125, 625, 3125), {0: 5 / 15, 1: 4 / 15, 2: 3 / 15, 3: 2 / 15, 4: 1 / 15}),
        ((5, 0, 125), {0: 3 / 4, 2: 1 / 4}),
        ((7,), {0: 1.0}),
        ((5, 25), {0: 2 / 3, 1: 1 / 3}),
        ((0, 0, 9), {2: 1.0}),
        ((1, 1, 1, 1, 1, 1, 1), {depth: (7 - depth) / 28 for depth in range(7)}),
    ],
)
def test_reuse_gives_each_layer_its_mass_whatever_its_size(layers, mass):
    depths, rows = pool(*layers), 60_000
    counts = layers_of(depths, draw(depths, rows, WEIGHTED, random.Random(3)))
    assert counts.keys() == mass.keys()
    for depth, part in mass.items():
        assert abs(counts[depth] - part * rows) <= 1.000001


def test_the_weights_add_up_to_one_and_fall_with_the_depth():
    found = weights(pool(5, 25, 125), WEIGHTED)
    assert sum(found) == pytest.approx(1)
    assert found[0] > found[5] > found[30]
    assert sum(found[:5]) == pytest.approx(3 / 6)


@pytest.mark.parametrize("sampling", Sampling)
@pytest.mark.parametrize(("layers", "rows"), [((5, 25), 31), ((5, 25), 100), ((3, 1, 40), 77), ((5, 0, 125), 999)])
def test_everyone_comes_floor_or_ceil_of_what_is_expected(sampling, layers, rows):
    depths = pool(*layers)
    densities = crowded(depths)
    expected = [weight * rows for weight in weights(depths, sampling, densities)]
    for seed in range(40):
        counts = Counter(draw(depths, rows, sampling, random.Random(seed), densities=densities))
        for index, times in enumerate(expected):
            assert floor(times - 1e-9) <= counts[index] <= ceil(times + 1e-9)


def test_over_many_seeds_everyone_comes_as_often_as_expected():
    depths = pool(2, 6)
    counts: Counter[int] = Counter()
    for seed in range(3000):
        counts.update(draw(depths, 9, WEIGHTED, random.Random(seed)))
    for index, weight in enumerate(weights(depths, WEIGHTED)):
        assert counts[index] / 3000 == pytest.approx(weight * 9, abs=0.05)


def test_reused_personas_do_not_speak_in_blocks():
    picks = draw(pool(4), 400, WEIGHTED, random.Random(0))
    assert sum(one == after for one, after in pairwise(picks)) < 200
    assert picks != sorted(picks)


def test_uniform_weighs_everyone_the_same_whatever_the_depth():
    depths = pool(1, 9)
    assert Counter(draw(depths, 100, UNIFORM, random.Random(0))) == Counter(dict.fromkeys(range(10), 10))


def test_uniform_within_the_pool_favours_no_layer():
    depths = pool(10, 90)
    shallow = sum(layers_of(depths, draw(depths, 10, UNIFORM, random.Random(seed)))[0] for seed in range(300))
    assert 200 < shallow < 400


def test_the_same_seed_and_identity_give_the_same_choice():
    depths = pool(5, 25)
    one, two = (draw(depths, 90, WEIGHTED, derived_rng(7, "document", "sampling", 0)) for _ in range(2))
    assert one == two


@pytest.mark.parametrize(
    ("seed", "identity"),
    [(8, ("document", "sampling", 0)), (7, ("other", "sampling", 0)), (7, ("document", "sampling", 1))],
)
def test_another_seed_document_or_lap_gives_another_choice(seed, identity):
    depths = pool(5, 25)
    one = draw(depths, 90, WEIGHTED, derived_rng(7, "document", "sampling", 0))
    assert draw(depths, 90, WEIGHTED, derived_rng(seed, *identity)) != one


def test_what_an_identity_is_made_of_does_not_run_together():
    assert derived_rng(1, "a", "bc").random() != derived_rng(1, "ab", "c").random()
    assert derived_rng(1, 23).random() != derived_rng(12, 3).random()


def test_the_derived_numbers_never_change_between_versions():
    assert derived_rng(0, "document", "sampling").getrandbits(32) == 436_688_497  # a resumed run would choose others


def test_the_global_generator_is_neither_read_nor_moved():
    random.seed(1)
    state = random.getstate()
    draw(pool(5, 25), 90, WEIGHTED, derived_rng(0, "document"))
    assert random.getstate() == state


# --- rare and common people


def test_of_kinds_of_people_each_is_heard_as_often_however_many_it_has():
    kinds = ["common"] * 900 + ["usual"] * 90 + ["rare"] * 10
    densities = [Counter(kinds)[kind] for kind in kinds]
    heard = Counter(kinds[pick] for pick in draw([0] * 1000, 3000, COVERAGE, random.Random(1), densities=densities))
    assert heard == {"common": 1000, "usual": 1000, "rare": 1000}
    uniform = Counter(kinds[pick] for pick in draw([0] * 1000, 3000, UNIFORM, random.Random(1)))
    assert uniform == {"common": 2700, "usual": 270, "rare": 30}


def test_within_the_pool_the_first_to_speak_is_of_each_kind_as_often():
    densities = [90] * 90 + [10] * 10
    first = [draw([0] * 100, 1, COVERAGE, derived_rng(seed, "d"), densities=densities)[0] for seed in range(4000)]
    assert sum(pick >= 90 for pick in first) == pytest.approx(2000, abs=150)


def test_within_the_pool_coverage_has_everyone_speak_once():
    depths = pool(5, 15)
    for rows in (1, 7, 20):
        picks = draw(depths, rows, COVERAGE, random.Random(2), densities=crowded(depths))
        assert len(set(picks)) == rows


def test_coverage_leaves_out_those_who_spoke_before():
    depths = pool(5, 15)
    before = draw(depths, 6, COVERAGE, derived_rng(0, "document"), densities=crowded(depths))
    after = draw(depths, 14, COVERAGE, derived_rng(0, "document"), already=6, densities=crowded(depths))
    assert sorted(before + after) == list(range(20))


# --- some of the rows


@pytest.mark.parametrize("sampling", Sampling)
@pytest.mark.parametrize("rows", [1, 2, 3, 25, 30, 31, 100, 997])
def test_some_rows_asked_for_alone_are_those_of_the_whole(sampling, rows):
    depths = pool(5, 25)
    whole, *parts = (
        draw(depths, rows, sampling, derived_rng(4, "document"), densities=crowded(depths), wanted=wanted)
        for wanted in (None, *(range(start, min(rows, start + 7)) for start in range(0, rows, 7)))
    )
    assert [pick for part in parts for pick in part] == whole


@pytest.mark.parametrize("sampling", Sampling)
def test_any_stretch_of_many_rows_is_spread_as_the_whole(sampling):
    depths = pool(5, 25, 125)
    densities = crowded(depths)
    expected = weights(depths, sampling, densities)
    for start in (0, 4321, 90_000):
        picks = draw(depths, 100_000, sampling, random.Random(5), densities=densities, wanted=range(start, start + 900))
        mass = Counter((depths[pick], densities[pick]) for pick in picks)
        for group in set(zip(depths, densities, strict=True)):
            members = [at for at in range(len(depths)) if (depths[at], densities[at]) == group]
            assert mass[group] / 900 == pytest.approx(sum(expected[at] for at in members), abs=0.02)
