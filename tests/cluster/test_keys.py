import json
import logging
import pickle
import pprint
from dataclasses import replace

import pytest

from cluster.keys import Endpoint, Lane, Lanes, Out, Price, Secret, Wait

KEY = "sk-very-secret-9000"


def endpoint(name: str = "e", *key_names: str, **settings: object) -> Endpoint:
    keys = [(key, Secret(f"{KEY}-{key}")) for key in key_names or ("a",)]
    return Endpoint(name, f"http://{name}/v1", "m", keys, **settings)


def served(lanes: Lanes, now: float = 0.0) -> Lane:
    lane = lanes.choose(now)
    assert isinstance(lane, Lane), lane
    return lane


def waits(lanes: Lanes, now: float) -> float | None:
    chosen = lanes.choose(now)
    assert isinstance(chosen, Wait), chosen
    return chosen.until


# --- secrets


@pytest.mark.parametrize(
    "show", [repr, str, "{}".format, "{!r:>20}".format, "{!s}".format, "%s".__mod__, ascii, pprint.pformat]
)
def test_a_secret_is_not_shown(show):
    assert KEY not in show(Secret(KEY))
    assert KEY not in show({"keys": [Secret(KEY)]})


def test_what_holds_a_secret_does_not_show_it():
    lane = served(Lanes([endpoint()]))
    assert KEY not in repr(lane) and KEY not in repr(lane.endpoint)


def test_a_secret_has_no_attributes_to_dump_and_is_no_json():
    secret = Secret(KEY)
    assert not hasattr(secret, "__dict__")
    with pytest.raises(TypeError) as refusal:
        json.dumps({"key": secret})
    assert KEY not in str(refusal.value)


def test_a_secret_is_not_logged(caplog):
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("test").warning("key %s %r", Secret(KEY), endpoint())
    assert "Secret(…)" in caplog.text and KEY not in caplog.text


def test_a_secret_travels_to_another_process_and_can_be_used_there():
    sent = pickle.loads(pickle.dumps(endpoint("e", "a")))
    assert sent.keys[0][1].reveal() == f"{KEY}-a"
    assert KEY not in repr(sent)


def test_a_price_is_per_million_tokens():
    assert Price(0.25, 2.0).cost(1_000_000, 500_000) == pytest.approx(1.25)
    assert Price(0.25, 2.0).cost(0, 0) == 0


def test_a_role_without_a_model_of_its_own_has_the_endpoints():
    both = endpoint(roles={"judge": "strict"})
    assert (both.model_for("judge"), both.model_for("persona")) == ("strict", "m")


# --- rotation


def test_calls_rotate_over_the_keys():
    lanes = Lanes([endpoint("e", "a", "b", "c")])
    assert sorted(served(lanes).key_name for _ in range(6)) == ["a", "a", "b", "b", "c", "c"]


def test_the_key_with_the_fewest_calls_in_flight_serves():
    lanes = Lanes([endpoint("e", "a", "b")])
    first, second = served(lanes), served(lanes)
    lanes.settle(second, 1.0, 0)
    assert served(lanes, 1.0) is second
    lanes.give_back(first)
    lanes.give_back(second)
    assert first.in_flight == second.in_flight == 0


def test_no_key_serves_more_than_its_concurrency_at_once():
    lanes = Lanes([endpoint("e", "a", "b", max_concurrency=2)])
    taken = [served(lanes) for _ in range(4)]
    assert waits(lanes, 0.0) is None
    lanes.settle(taken[0], 0.0, 0)
    assert served(lanes) is taken[0]
    assert waits(lanes, 0.0) is None


def test_callers_share_the_concurrency_between_them():
    lanes = Lanes([endpoint(max_concurrency=8)], share_of=4)
    assert [served(lanes).in_flight for _ in range(2)] == [1, 2]
    assert waits(lanes, 0.0) is None
    assert served(Lanes([endpoint(max_concurrency=1)], share_of=4)).limit == 1


# --- cooling


def test_a_key_rests_until_exactly_the_time_that_the_endpoint_named():
    lanes = Lanes([endpoint()])
    lane = served(lanes, 100.0)
    lanes.give_back(lane)
    assert lanes.cool(lane, 100.0, 20.0) == 120.0
    assert waits(lanes, 100.0) == waits(lanes, 119.999) == 120.0
    assert served(lanes, 120.0) is lane


def test_while_one_key_rests_the_others_serve():
    lanes = Lanes([endpoint("e", "a", "b")])
    tired = served(lanes)
    lanes.give_back(tired)
    lanes.cool(tired, 0.0, 20.0)
    assert {served(lanes, 1.0).key_name for _ in range(5)} == {"a", "b"} - {tired.key_name}


def test_a_shorter_rest_does_not_cut_a_longer_one():
    lanes = Lanes([endpoint()])
    lane = served(lanes)
    lanes.give_back(lane)
    lanes.cool(lane, 0.0, 20.0)
    assert lanes.cool(lane, 1.0, 5.0) == 20.0


def test_of_several_resting_keys_the_first_to_be_ready_is_awaited():
    lanes = Lanes([endpoint("e", "a", "b"), endpoint("f")])
    for seconds in (20.0, 7.0, 9.0):
        lane = served(lanes)
        lanes.give_back(lane)
        lanes.cool(lane, 0.0, seconds)
    assert waits(lanes, 0.0) == 7.0


def test_without_a_named_time_the_rests_double_up_to_a_minute_and_an_answer_ends_that():
    lanes, now, rests = Lanes([endpoint()]), 0.0, []
    for _ in range(8):
        lane = served(lanes, now)
        lanes.give_back(lane)
        until = lanes.cool(lane, now, None)
        rests.append(until - now)
        now = until
    assert rests == [1, 2, 4, 8, 16, 32, 60, 60]
    lanes.settle(served(lanes, now), now, 10)
    lanes.give_back(served(lanes, now))
    assert lanes.cool(lane, now, None) == now + 1


def test_calls_that_were_refused_together_are_one_strike():
    lanes = Lanes([endpoint()])
    taken = [served(lanes) for _ in range(5)]
    for lane in taken:
        lanes.give_back(lane)
        lanes.cool(lane, 0.0, None)
    assert waits(lanes, 0.0) == 1.0


# --- retiring


def test_a_retired_key_never_serves_again():
    lanes = Lanes([endpoint("e", "a", "b")])
    dead = served(lanes)
    lanes.give_back(dead)
    lanes.retire(dead, "HTTP 401")
    assert {served(lanes, now).key_name for now in (0.0, 10.0, 1e9)} == {"a", "b"} - {dead.key_name}


def test_when_all_are_retired_it_is_told_which_and_why_and_nothing_secret():
    lanes = Lanes([endpoint("e", "env:A"), endpoint("f", "file:keys line 2")])
    for why in ("HTTP 401", "HTTP 429 insufficient_quota"):
        lane = served(lanes)
        lanes.give_back(lane)
        lanes.retire(lane, why)
    out = lanes.choose(0.0)
    assert out == Out("env:A: HTTP 401; file:keys line 2: HTTP 429 insufficient_quota")
    assert KEY not in repr(out)


def test_a_retired_key_beside_a_resting_one_is_a_wait_and_not_the_end():
    lanes = Lanes([endpoint("e", "a", "b")])
    for act in (lambda lane: lanes.retire(lane, "HTTP 401"), lambda lane: lanes.cool(lane, 0.0, 5.0)):
        lane = served(lanes)
        lanes.give_back(lane)
        act(lane)
    assert waits(lanes, 0.0) == 5.0


# --- fallback


def two(**settings: object) -> Lanes:
    return Lanes([endpoint("first", **settings), endpoint("second")])


def test_the_second_endpoint_is_in_reserve_while_the_first_is_well():
    lanes = two(max_concurrency=3)
    assert {served(lanes).endpoint.name for _ in range(3)} == {"first"}
    assert waits(lanes, 0.0) is None  # busy is not out


def test_the_second_endpoint_is_in_reserve_while_the_first_is_paced():
    lanes = two(requests_per_minute=60)
    served(lanes)
    assert waits(lanes, 0.0) == 1.0


def test_the_second_endpoint_serves_only_while_the_first_rests():
    lanes = two()
    lane = served(lanes)
    lanes.give_back(lane)
    lanes.cool(lane, 0.0, 5.0)
    assert served(lanes, 4.999).endpoint.name == "second"
    assert served(lanes, 5.0).endpoint.name == "first"


def test_the_second_endpoint_serves_for_good_when_the_first_has_no_key_left():
    lanes = two()
    lane = served(lanes)
    lanes.give_back(lane)
    lanes.retire(lane, "HTTP 401")
    assert served(lanes, 1e9).endpoint.name == "second"


def test_one_resting_key_of_the_first_endpoint_is_no_reason_to_leave_it():
    lanes = Lanes([endpoint("first", "a", "b"), endpoint("second")])
    lane = served(lanes)
    lanes.give_back(lane)
    lanes.cool(lane, 0.0, 5.0)
    assert {served(lanes, 1.0).endpoint.name for _ in range(4)} == {"first"}


def test_where_nobody_answers_all_keys_of_that_endpoint_rest_and_no_other():
    lanes = Lanes([endpoint("first", "a", "b"), endpoint("second")])
    lane = served(lanes)
    lanes.give_back(lane)
    assert lanes.cool_endpoint(lane, 0.0) == 1.0
    assert served(lanes, 0.5).endpoint.name == "second"
    assert served(lanes, 1.0).endpoint.name == "first"


def test_the_rests_of_a_silent_endpoint_double_up_to_half_a_minute():
    lanes, now, rests = Lanes([endpoint("e", "a", "b")]), 0.0, []
    for _ in range(7):
        lane = served(lanes, now)
        lanes.give_back(lane)
        until = lanes.cool_endpoint(lane, now)
        assert lanes.cool_endpoint(lane, now) == until  # a call that was in flight with it
        rests.append(until - now)
        now = until
    assert rests == [1, 2, 4, 8, 16, 30, 30]


# --- pacing


def starts(lanes: Lanes, count: int, tokens: int = 0) -> list[float]:
    """When calls start that come one after the other, each answered at once with so many tokens."""
    now, times = 0.0, []
    while len(times) < count:
        chosen = lanes.choose(now)
        if isinstance(chosen, Lane):
            times.append(now)
            lanes.settle(chosen, now, tokens)
        else:
            assert isinstance(chosen, Wait) and chosen.until is not None and chosen.until > now
            now = chosen.until
    return times


def test_requests_are_paced_by_the_minute():
    assert starts(Lanes([endpoint(requests_per_minute=30)]), 4) == [0, 2, 4, 6]


def test_each_key_has_a_pace_of_its_own():
    assert starts(Lanes([endpoint("e", "a", "b", requests_per_minute=30)]), 6) == [0, 0, 2, 2, 4, 4]


def test_callers_share_the_pace_between_them():
    assert starts(Lanes([endpoint(requests_per_minute=30)], share_of=4), 3) == [0, 8, 16]


def test_tokens_are_paced_by_the_minute():
    assert starts(Lanes([endpoint(tokens_per_minute=6000)]), 4, tokens=200) == [0, 2, 4, 6]


def test_the_slower_of_both_paces_holds():
    both = endpoint(requests_per_minute=60, tokens_per_minute=6000)
    assert starts(Lanes([both]), 3, tokens=10) == pytest.approx([0, 1.1, 2.2], abs=0.11)
    assert starts(Lanes([both]), 3, tokens=500)[2] >= 10


def test_a_pause_is_not_saved_up_for_a_burst():
    lanes = Lanes([endpoint(requests_per_minute=60)])
    lanes.settle(served(lanes, 0.0), 0.0, 0)
    lanes.settle(served(lanes, 1000.0), 1000.0, 0)
    assert waits(lanes, 1000.0) == 1001.0


def test_without_limits_nothing_is_paced():
    assert starts(Lanes([endpoint()]), 5, tokens=10**6) == [0] * 5


def test_endpoints_are_told_apart_even_when_they_are_equal():
    same = endpoint("e")
    lanes = Lanes([same, replace(same)])
    lane = served(lanes)
    lanes.give_back(lane)
    lanes.cool_endpoint(lane, 0.0)
    assert served(lanes, 0.5) is not lane
