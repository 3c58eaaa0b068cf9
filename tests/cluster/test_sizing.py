"""How many callers the work of the moment is worth."""

import pytest

from cluster.keys import Endpoint, Secret
from cluster.sizing import Allowed, Bounds, Crowd, Pace, PaceMeter, Size, allowed, size

BOUNDS = Bounds(low=1, high=8, each=100, idle_s=10)
FREE = Allowed(10_000)
KEY = [("k", Secret("k"))]


@pytest.mark.parametrize(
    ("queue", "keys", "pace", "callers", "bound"),
    [
        (0, FREE, Pace(), 1, "queue"),
        (100, FREE, Pace(), 1, "queue"),
        (101, FREE, Pace(), 2, "queue"),
        (5_000, FREE, Pace(), 8, "cluster.callers.max"),
        (5_000, Allowed(300), Pace(), 3, "max_concurrency"),
        (5_000, Allowed(10_000, requests_per_s=50), Pace(4.0), 2, "requests"),  # 50/s × 4 s = 200 in flight
        (5_000, Allowed(10_000, requests_per_s=50), Pace(), 8, "cluster.callers.max"),  # nothing is known of the pace
        (5_000, Allowed(10_000, 500, tokens_per_s=60_000), Pace(1.0, 200.0), 3, "tokens"),  # 300/s × 1 s
        (50, Allowed(10_000, requests_per_s=50), Pace(4.0), 1, "queue"),
    ],
)
def test_the_tightest_bound_sizes_the_crowd(queue, keys, pace, callers, bound):
    assert size(queue, keys, pace, BOUNDS) == Size(callers, bound)


def test_it_is_said_when_more_callers_would_not_help_and_when_they_would():
    assert Size(2, "requests").told == "2; the keys' requests are the bound, more callers would not help"
    assert Size(8, "cluster.callers.max").told == "8; more would help, cluster.callers.max is the bound"
    assert Size(3, "queue").told == ""


def test_a_crowd_grows_at_once_and_shrinks_one_by_one_when_it_was_too_many_for_a_while():
    crowd = Crowd(FREE, BOUNDS)
    assert crowd.wanted(0, have=1, queue=450, pace=Pace()).callers == 5
    assert crowd.wanted(1, have=5, queue=0, pace=Pace()).callers == 5
    assert crowd.wanted(9, have=5, queue=0, pace=Pace()).callers == 5
    assert crowd.wanted(11, have=5, queue=0, pace=Pace()).callers == 4
    assert crowd.wanted(12, have=4, queue=0, pace=Pace()).callers == 4
    assert crowd.wanted(21, have=4, queue=0, pace=Pace()).callers == 3


def test_work_in_between_starts_the_wait_anew():
    crowd = Crowd(FREE, BOUNDS)
    for now, queue in ((0, 0), (5, 450), (6, 0), (15, 0)):
        assert crowd.wanted(now, have=5, queue=queue, pace=Pace()).callers == 5
    assert crowd.wanted(16, have=5, queue=0, pace=Pace()).callers == 4


def test_limits_of_all_keys_add_up_and_hold_only_where_every_endpoint_has_them():
    two = [("a", Secret("a")), ("b", Secret("b"))]
    limited = Endpoint(
        "e", "http://x/v1", "m", two, requests_per_minute=600, tokens_per_minute=6000, max_concurrency=10
    )
    assert allowed([limited]) == Allowed(20, 20.0, 200.0)
    assert allowed([limited, Endpoint("f", "http://y/v1", "m", KEY, requests_per_minute=60)]) == Allowed(
        276, 21.0, None
    )


def test_the_pace_is_that_of_the_last_while():
    meter = PaceMeter()
    assert meter.pace(0, 0, 0, 0) == Pace()
    assert meter.pace(10, 100, 50, 10_000) == Pace(0.5, 100.0)
    assert meter.pace(40, 200, 250, 20_000) == Pace(2.0, 100.0)
    assert meter.pace(41, 3, 1, 30) == Pace(), "of a meter that began again nothing is known"
