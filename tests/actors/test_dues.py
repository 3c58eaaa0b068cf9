from itertools import pairwise

import numpy as np
import pytest

from actors.logic.dues import Crowd, Dues, dues, level, lot


def lots(documents: int, seed: int = 0) -> np.ndarray:
    return np.array([lot(seed, f"document {number}") for number in range(documents)], np.uint64)


def owed(rows: int, drawn: np.ndarray, pieces: int = 3) -> list[int]:
    found = dues(rows, len(drawn), lambda: np.array_split(drawn, pieces))
    assert found.of_all(drawn) == sum(found.of(int(one)) for one in drawn)
    return [found.of(int(one)) for one in drawn]


@pytest.mark.parametrize("rows", [0, 1, 2, 7, 64, 1000, 99_991])
@pytest.mark.parametrize("documents", [1, 2, 3, 7, 100, 1009, 70_000])
def test_the_dues_add_up_to_the_rows_and_differ_by_one_at_most(rows, documents):
    found = owed(rows, lots(documents))
    assert sum(found) == rows
    assert max(found) - min(found) <= 1


def test_more_rows_are_not_less_for_any_document():
    drawn = lots(40)
    found = [owed(rows, drawn) for rows in range(130)]
    for less, more in pairwise(found):
        assert sum(after - before for before, after in zip(less, more, strict=True)) == 1
        assert all(after >= before for before, after in zip(less, more, strict=True))


def test_the_dues_do_not_depend_on_the_order_or_the_pieces_of_the_documents():
    drawn = lots(1000)
    order = np.random.default_rng(0).permutation(1000)
    assert owed(1234, drawn[order], pieces=7) == [owed(1234, drawn, pieces=1)[at] for at in order]


def test_few_rows_are_spread_over_all_documents_and_not_over_the_first():
    first = [at for at, one in enumerate(owed(100, lots(10_000))) if one]
    assert 3_500 < np.mean(first) < 6_500


def test_another_seed_gives_the_odd_rows_to_others():
    assert owed(10, lots(100)) != owed(10, lots(100, seed=1))


def test_documents_whose_lots_are_close_together_are_told_apart():
    drawn = np.array([2**64 - 1, 2**64 - 2, 2**64 - 3, 5, 4], np.uint64)
    assert [owed(rows, drawn, 1) for rows in range(6)] == [
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 1],
        [0, 0, 0, 1, 1],
        [0, 0, 1, 1, 1],
        [0, 1, 1, 1, 1],
        [1, 1, 1, 1, 1],
    ]


def test_a_bound_beyond_all_lots_takes_them_all():
    assert Dues(2, 2**64).of_all(np.array([2**64 - 1, 0], np.uint64)) == 6


def crowds(*some: tuple[Dues, int]) -> list[Crowd]:
    """Crowds that owe so much so far, of so many documents each."""
    drawn = np.array_split(lots(sum(count for _, count in some)), np.cumsum([count for _, count in some])[:-1])
    pieces = [np.array_split(one, 2) for one in drawn]
    return [Crowd(so_far, count, lambda here=here: here) for (so_far, count), here in zip(some, pieces, strict=True)]


def owed_at(reached: Dues, some: list[Crowd]) -> list[list[int]]:
    return [[max(one.so_far, reached).of(int(here)) for piece in one.lots() for here in piece] for one in some]


@pytest.mark.parametrize("more", [0, 1, 3, 7, 20, 29, 31, 60, 500])
def test_what_is_added_goes_to_those_who_owe_the_least_and_takes_nothing_from_others(more):
    some = crowds((Dues(5), 6), (Dues(), 4), (Dues(2, 2**63), 11))
    before = owed_at(Dues(), some)
    after = owed_at(level(sum(map(sum, before)) + more, some), some)
    assert sum(map(sum, after)) == sum(map(sum, before)) + more
    changed = [
        (less, now) for here, there in zip(before, after, strict=True) for less, now in zip(here, there, strict=True)
    ]
    assert all(now >= less for less, now in changed)
    raised = [now for less, now in changed if now > less]
    assert not raised or max(raised) <= 1 + min(now for _, now in changed)


def test_once_enough_is_asked_for_newcomers_owe_as_much_as_everybody():
    some = crowds((Dues(5), 6), (Dues(), 4))
    assert owed_at(level(50, some), some) == [[5] * 6, [5] * 4]
    assert owed_at(level(100, some), some) == [[10] * 6, [10] * 4]


def test_of_one_crowd_the_level_is_its_dues():
    [one] = crowds((Dues(3, 2**62), 50))
    assert level(333, [one]) == dues(333, 50, one.lots)
