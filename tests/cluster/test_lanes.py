from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from cluster.circuit import TRIPS_AT
from cluster.concurrency import START
from cluster.keys import Endpoint, Secret
from cluster.lanes import Lane, Lanes, Out, Permit, Wait

KEY = "sk-very-secret-9000"


def endpoint(name: str = "e", *key_names: str, **settings: object) -> Endpoint:
    keys = [(key, Secret(f"{KEY}-{key}")) for key in key_names or ("a",)]
    return Endpoint(name, f"http://{name}/v1", "m", keys, **settings)


def served(lanes: Lanes, now: float = 0.0, lost_on: Sequence[Lane] = ()) -> Permit:
    permit = lanes.choose(now, lost_on=lost_on)
    assert isinstance(permit, Permit), permit
    return permit


def names(lanes: Lanes, calls: int, now: float = 0.0) -> list[str]:
    """The keys that serve so many calls at once."""
    return [served(lanes, now).lane.key_name for _ in range(calls)]


def waits(lanes: Lanes, now: float) -> float | None:
    chosen = lanes.choose(now)
    assert isinstance(chosen, Wait), chosen
    return chosen.until


# --- rotation


def test_calls_rotate_over_the_keys():
    lanes = Lanes([endpoint("e", "a", "b", "c")])
    assert sorted(names(lanes, 6)) == ["a", "a", "b", "b", "c", "c"]


def test_the_key_with_the_fewest_calls_in_flight_serves():
    lanes = Lanes([endpoint("e", "a", "b")])
    first, second = served(lanes), served(lanes)
    lanes.answered(second, 1.0, 0)
    third = served(lanes, 1.0)
    assert third.lane is second.lane
    lanes.give_back(first, used=False)
    lanes.give_back(third, used=False)
    assert [lane.in_flight for lane in lanes] == [0, 0]


def test_no_key_serves_more_than_its_concurrency_at_once():
    lanes = Lanes([endpoint("e", "a", "b", max_concurrency=2)])
    taken = [served(lanes) for _ in range(4)]
    assert waits(lanes, 0.0) is None
    lanes.answered(taken[0], 0.0, 0)
    assert served(lanes).lane is taken[0].lane
    assert waits(lanes, 0.0) is None


def test_callers_share_the_concurrency_between_them():
    lanes = Lanes([endpoint(max_concurrency=8)], share_of=4)
    assert names(lanes, 2) == ["a", "a"]
    assert waits(lanes, 0.0) is None
    assert served(Lanes([endpoint(max_concurrency=1)], share_of=4)).lane.limit == 1


# --- cooling


def test_a_key_rests_until_exactly_the_time_that_the_endpoint_named():
    lanes = Lanes([endpoint()])
    lane = served(lanes, 100.0)
    lanes.give_back(lane, used=False)
    assert lanes.cool(lane, 100.0, 20.0) == 120.0
    assert waits(lanes, 100.0) == waits(lanes, 119.999) == 120.0
    assert served(lanes, 120.0).lane is lane.lane


def test_while_one_key_rests_the_others_serve():
    lanes = Lanes([endpoint("e", "a", "b")])
    tired = served(lanes)
    lanes.give_back(tired, used=False)
    lanes.cool(tired, 0.0, 20.0)
    assert set(names(lanes, 5, 1.0)) == {"a", "b"} - {tired.lane.key_name}


def test_a_shorter_rest_does_not_cut_a_longer_one():
    lanes = Lanes([endpoint()])
    lane = served(lanes)
    lanes.give_back(lane, used=False)
    lanes.cool(lane, 0.0, 20.0)
    assert lanes.cool(lane, 1.0, 5.0) == 20.0


def test_of_several_resting_keys_the_first_to_be_ready_is_awaited():
    lanes = Lanes([endpoint("e", "a", "b"), endpoint("f")])
    for seconds in (20.0, 7.0, 9.0):
        lane = served(lanes)
        lanes.give_back(lane, used=False)
        lanes.cool(lane, 0.0, seconds)
    assert waits(lanes, 0.0) == 7.0


def test_without_a_named_time_the_rests_double_up_to_a_minute_and_an_answer_ends_that():
    lanes, now, rests = Lanes([endpoint()]), 0.0, []
    for _ in range(8):
        lane = served(lanes, now)
        lanes.give_back(lane, used=False)
        until = lanes.cool(lane, now, None)
        rests.append(until - now)
        now = until
    assert rests == [1, 2, 4, 8, 16, 32, 60, 60]
    lanes.answered(served(lanes, now), now, 10)
    lanes.give_back(served(lanes, now), used=False)
    assert lanes.cool(lane, now, None) == now + 1


def test_calls_that_were_refused_together_are_one_strike():
    lanes = Lanes([endpoint()])
    taken = [served(lanes) for _ in range(5)]
    for lane in taken:
        lanes.give_back(lane, used=False)
        lanes.cool(lane, 0.0, None)
    assert waits(lanes, 0.0) == 1.0


# --- retiring


def test_a_retired_key_never_serves_again():
    lanes = Lanes([endpoint("e", "a", "b")])
    dead = served(lanes)
    lanes.give_back(dead, used=False)
    lanes.retire(dead.lane.name, "HTTP 401")
    assert {served(lanes, now).lane.key_name for now in (0.0, 10.0, 1e9)} == {"a", "b"} - {dead.lane.key_name}


def test_when_all_are_retired_it_is_told_which_and_why_and_nothing_secret():
    lanes = Lanes([endpoint("e", "env:A"), endpoint("f", "file:keys line 2")])
    for why in ("HTTP 401", "HTTP 429 insufficient_quota"):
        lane = served(lanes)
        lanes.give_back(lane, used=False)
        lanes.retire(lane.lane.name, why)
    out = lanes.choose(0.0)
    assert out == Out("env:A: HTTP 401; file:keys line 2: HTTP 429 insufficient_quota")
    assert KEY not in repr(out)


def test_a_retired_key_beside_a_resting_one_is_a_wait_and_not_the_end():
    lanes = Lanes([endpoint("e", "a", "b")])
    for act in (lambda lane: lanes.retire(lane.lane.name, "HTTP 401"), lambda lane: lanes.cool(lane, 0.0, 5.0)):
        lane = served(lanes)
        lanes.give_back(lane, used=False)
        act(lane)
    assert waits(lanes, 0.0) == 5.0


# --- fallback


def two(**settings: object) -> Lanes:
    return Lanes([endpoint("first", **settings), endpoint("second")])


def test_the_second_endpoint_is_in_reserve_while_the_first_is_well():
    lanes = two(max_concurrency=3)
    assert {served(lanes).lane.endpoint.name for _ in range(3)} == {"first"}
    assert waits(lanes, 0.0) is None  # busy is not out


def test_the_second_endpoint_serves_only_while_the_first_rests():
    lanes = two()
    lane = served(lanes)
    lanes.give_back(lane, used=False)
    lanes.cool(lane, 0.0, 5.0)
    assert served(lanes, 4.999).lane.endpoint.name == "second"
    assert served(lanes, 5.0).lane.endpoint.name == "first"


def test_the_second_endpoint_serves_for_good_when_the_first_has_no_key_left():
    lanes = two()
    lane = served(lanes)
    lanes.give_back(lane, used=False)
    lanes.retire(lane.lane.name, "HTTP 401")
    assert served(lanes, 1e9).lane.endpoint.name == "second"


def test_one_resting_key_of_the_first_endpoint_is_no_reason_to_leave_it():
    lanes = Lanes([endpoint("first", "a", "b"), endpoint("second")])
    lane = served(lanes)
    lanes.give_back(lane, used=False)
    lanes.cool(lane, 0.0, 5.0)
    assert {served(lanes, 1.0).lane.endpoint.name for _ in range(4)} == {"first"}


def test_where_nobody_answers_all_keys_of_that_endpoint_rest_and_no_other():
    lanes = Lanes([endpoint("first", "a", "b"), endpoint("second")])
    lane = served(lanes)
    lanes.lost(lane, 0.0, gone=True)
    lanes.give_back(lane, used=False)
    assert served(lanes, 0.5).lane.endpoint.name == "second"
    assert served(lanes, 1.0).lane.endpoint.name == "first"


def test_the_rests_of_a_silent_endpoint_double_up_to_half_a_minute():
    lanes, now, rests = Lanes([endpoint("e", "a", "b")]), 0.0, []
    for _ in range(7):
        permit = served(lanes, now)
        assert lanes.lost(permit, now, gone=True)
        lanes.give_back(permit, used=False)
        until = waits(lanes, now)
        rests.append(until - now)
        now = until
    assert rests == [1, 2, 4, 8, 16, 30, 30]


def test_endpoints_are_told_apart_even_when_they_are_equal():
    same = endpoint("e")
    lanes = Lanes([same, replace(same)])
    permit = served(lanes)
    lanes.lost(permit, 0.0, gone=True)
    assert served(lanes, 0.5).lane is not permit.lane


# --- the circuit


def open_circuit(lanes: Lanes, now: float = 0.0) -> None:
    for _ in range(TRIPS_AT):
        permit = served(lanes, now)
        lanes.lost(permit, now)
        lanes.give_back(permit, used=True)


def test_lost_attempts_among_answers_are_no_reason_to_leave_an_endpoint():
    lanes = Lanes([endpoint()])
    for number in range(100):
        permit = served(lanes)
        if number % TRIPS_AT:
            assert not lanes.lost(permit, 0.0)
            lanes.give_back(permit, used=True)
        else:
            lanes.answered(permit, 0.0, 10)
            lanes.heard(permit.lane)
    assert served(lanes)


def test_an_endpoint_that_loses_every_attempt_is_left_and_asked_again_by_one_probe():
    lanes = Lanes([endpoint("e", "a", "b")])
    open_circuit(lanes)
    assert waits(lanes, 0.5) == 1.0
    probe = served(lanes, 1.0)
    assert probe.probe
    assert waits(lanes, 1.0) is None  # for the probe
    lanes.answered(probe, 1.2, 10)
    assert lanes.heard(probe.lane)
    assert not any(served(lanes, 1.2).probe for _ in range(5))


def test_a_probe_that_is_lost_too_opens_the_circuit_for_longer():
    lanes = Lanes([endpoint()])
    open_circuit(lanes)
    probe = served(lanes, 1.0)
    assert lanes.lost(probe, 1.5)
    lanes.give_back(probe, used=True)
    assert waits(lanes, 1.5) == 3.5


def test_a_probe_that_is_cancelled_leaves_its_place_to_another():
    lanes = Lanes([endpoint()])
    open_circuit(lanes)
    lanes.give_back(served(lanes, 1.0), used=True)
    assert served(lanes, 1.0).probe


def test_calls_that_were_sent_before_the_circuit_opened_neither_lengthen_the_rest_nor_are_to_blame():
    lanes = Lanes([endpoint()])
    early = [served(lanes) for _ in range(3)]
    open_circuit(lanes)
    assert all(lanes.lost(permit, 0.5) for permit in early)
    assert waits(lanes, 0.5) == 1.0


def test_an_early_call_that_is_answered_closes_the_circuit():
    lanes = Lanes([endpoint()])
    early = served(lanes)
    open_circuit(lanes)
    lanes.answered(early, 0.1, 10)
    assert lanes.heard(early.lane)
    assert not served(lanes, 0.1).probe


def test_a_later_endpoint_serves_while_the_circuit_of_the_first_is_open_or_half_open():
    lanes = Lanes([endpoint("first"), endpoint("second")])
    open_circuit(lanes)
    assert served(lanes, 0.5).lane.endpoint.name == "second"
    assert served(lanes, 1.0).probe
    assert served(lanes, 1.0).lane.endpoint.name == "second"


def test_an_endpoint_that_asks_to_be_left_alone_is():
    lanes = Lanes([endpoint("e", "a", "b")])
    permit = served(lanes)
    lanes.lost(permit, 0.0, rest_s=17.0)
    assert waits(lanes, 0.0) == 17.0


def test_after_an_outage_calls_in_flight_begin_low_again():
    lanes = Lanes([endpoint(max_concurrency=512)], adapt=True)
    [lane] = lanes
    lane.concurrency.allowed = 400.0
    open_circuit(lanes)
    probe = served(lanes, 1.0)
    lanes.answered(probe, 1.2, 10)
    lanes.heard(lane)
    assert lane.limit <= START + 1


# --- weights


def test_endpoints_with_weights_share_the_calls_by_them():
    lanes = Lanes([endpoint("three", weight=3), endpoint("one", weight=1)])
    calls = Counter(served(lanes).lane.endpoint.name for _ in range(80))
    assert calls == {"three": 60, "one": 20}


def test_who_was_out_does_not_make_up_for_it():
    lanes = Lanes([endpoint("x", weight=1), endpoint("y", weight=1)])
    permit = next(one for one in (served(lanes), served(lanes)) if one.lane.endpoint.name == "x")
    lanes.cool(permit, 0.0, 10.0)
    assert Counter(served(lanes, 1.0).lane.endpoint.name for _ in range(50)) == {"y": 50}
    calls = Counter(served(lanes, 10.0).lane.endpoint.name for _ in range(40))
    assert abs(calls["x"] - calls["y"]) <= 2


def test_one_of_a_tier_takes_the_calls_of_the_other_when_that_is_full():
    lanes = Lanes([endpoint("x", weight=1, max_concurrency=2), endpoint("y", weight=1)])
    assert Counter(served(lanes).lane.endpoint.name for _ in range(10)) == {"x": 2, "y": 8}


def test_an_endpoint_without_a_weight_stands_behind_those_that_share():
    lanes = Lanes([endpoint("x", weight=1), endpoint("y", weight=2), endpoint("reserve")])
    assert {served(lanes).lane.endpoint.name for _ in range(30)} == {"x", "y"}
    for lane in lanes:
        if lane.endpoint.weight:
            lanes.retire(lane.name, "HTTP 401")
    assert served(lanes).lane.endpoint.name == "reserve"


# --- elsewhere


def test_a_lost_attempt_is_made_again_with_another_key():
    lanes = Lanes([endpoint("e", "a", "b", "c")])
    [a, b, c] = lanes
    assert served(lanes, lost_on=[a]).lane in (b, c)
    assert served(lanes, lost_on=[a, b]).lane is c
    assert isinstance(served(lanes, lost_on=[a, b, c]), Permit)


def test_after_two_lost_attempts_at_one_endpoint_another_is_asked():
    lanes = Lanes([endpoint("first"), endpoint("second")])
    [first, second] = lanes
    assert served(lanes, lost_on=[first]).lane is first
    assert served(lanes, lost_on=[first, first]).lane is second
    assert served(lanes, lost_on=[first, first, second, second]).lane is first


# --- what other callers tell, and other keys


def test_what_another_caller_was_told_holds_here_too():
    lanes = Lanes([endpoint("e", "a", "b")])
    lanes.rest("e a", 20.0)
    assert set(names(lanes, 3, 1.0)) == {"b"}
    lanes.retire("e b", "HTTP 401")
    assert waits(lanes, 1.0) == 20.0
    lanes.retire("e a", "HTTP 403")
    assert lanes.choose(1.0) == Out("a: HTTP 403; b: HTTP 401")


def keys(*names: str) -> dict[str, list[tuple[str, Secret]]]:
    return {"e": [(name, Secret(f"{KEY}-{name}")) for name in names]}


def test_a_new_key_serves_and_a_missing_one_takes_no_further_call():
    lanes = Lanes([endpoint("e", "a", "b", rotates=True)])
    on_its_way = next(one for one in (served(lanes), served(lanes)) if one.lane.key_name == "a")
    lanes.exchange(1, keys("b", "c"))
    assert set(names(lanes, 8)) == {"b", "c"}
    lanes.answered(on_its_way, 1.0, 10)


def test_an_exchanged_key_keeps_what_is_known_of_it():
    lanes = Lanes([endpoint("e", "a", "b", rotates=True)])
    lanes.rest("e b", 20.0)
    lanes.exchange(1, keys("c", "b"))
    assert set(names(lanes, 4, 1.0)) == {"c"}


def test_a_dead_key_that_is_put_in_again_is_tried_again():
    lanes = Lanes([endpoint("e", "a", rotates=True)])
    lanes.retire("e a", "HTTP 429 insufficient_quota")
    assert isinstance(lanes.choose(0.0), Out)
    lanes.exchange(1, keys("a"))
    assert served(lanes).lane.key_name == "a"


def test_an_exchange_that_was_heard_before_changes_nothing():
    lanes = Lanes([endpoint("e", "a", rotates=True)])
    lanes.exchange(2, keys("b"))
    lanes.retire("e b", "HTTP 401")
    for generation in (1, 2):
        lanes.exchange(generation, keys("a", "b"))
    assert isinstance(lanes.choose(0.0), Out)


def test_keys_that_cannot_be_exchanged_stay():
    lanes = Lanes([endpoint("e", "a")])
    lanes.exchange(1, keys("b"))
    assert names(lanes, 1) == ["a"]
