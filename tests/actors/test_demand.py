import pytest

from actors.logic.demand import Demand


def wanted(demand: Demand, *looks: tuple[int, int, int, int]) -> list[int]:
    """For each of (now, have, idle, waiting)."""
    return [demand.wanted(*look) for look in looks]


def test_while_work_waits_there_is_one_more_at_each_look_up_to_the_most():
    assert wanted(Demand(1, 3, 60), (0, 1, 0, 5), (1, 2, 0, 5), (2, 3, 0, 5)) == [2, 3, 3]


def test_busy_workers_are_enough_while_nothing_waits():
    assert wanted(Demand(1, 3, 60), (0, 2, 0, 0)) == [2]


def test_work_that_an_idle_one_is_about_to_take_wants_nobody_more():
    assert wanted(Demand(1, 3, 60), (0, 2, 1, 4)) == [2]


def test_one_leaves_after_each_span_in_which_one_was_always_idle():
    assert wanted(Demand(1, 3, 60), (0, 3, 1, 0), (59, 3, 2, 0), (60, 3, 1, 0), (61, 2, 1, 0), (120, 2, 1, 0)) == [
        3,
        3,
        2,
        2,
        1,
    ]


def test_a_moment_in_which_all_are_busy_begins_the_span_anew():
    assert wanted(Demand(1, 3, 60), (0, 2, 1, 0), (30, 2, 0, 0), (60, 2, 1, 0), (89, 2, 1, 0)) == [2, 2, 2, 2]


@pytest.mark.parametrize("idle", [0, 1, 2])
def test_there_are_never_fewer_than_the_least(idle):
    demand = Demand(2, 4, 60)
    assert wanted(demand, (0, 2, idle, 0), (100, 2, idle, 0), (200, 1, min(idle, 1), 0)) == [2, 2, 2]
