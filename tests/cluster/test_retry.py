import random
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from cluster.errors import FailureKind
from cluster.retry import Action, Trouble, Verdict, backoff_s, duration_s, judge, retry_after_s, told_wait_s

NOW = datetime(2026, 10, 21, 7, 28, tzinfo=UTC).timestamp()


def verdict(status: int | None, code: str | None = None, **facts: object) -> tuple[Action, FailureKind]:
    found = judge(Trouble(status, "as the endpoint said", code, **facts))
    assert isinstance(found, Verdict)
    return found.action, found.kind


@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_key_that_is_refused_or_has_no_credit_is_retired(status):
    assert verdict(status) == (Action.RETIRE, FailureKind.REFUSED)


@pytest.mark.parametrize("status", [400, 402, 429])
@pytest.mark.parametrize("code", ["insufficient_quota", "invalid_api_key", "account_deactivated", "API_KEY_INVALID"])
def test_a_key_without_money_or_account_is_retired_and_does_not_rest(status, code):
    assert verdict(status, code) == (Action.RETIRE, FailureKind.REFUSED)


@pytest.mark.parametrize("code", [None, "rate_limit_exceeded"])
def test_too_many_requests_are_a_rest(code):
    assert verdict(429, code) == (Action.COOL, FailureKind.EXHAUSTED)


@pytest.mark.parametrize("status", [408, 409, 500, 502, 503, 504, 529])
def test_a_trouble_of_the_server_is_tried_again(status):
    assert verdict(status) == (Action.RETRY, FailureKind.EXHAUSTED)


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_a_request_that_will_never_be_taken_is_final(status):
    assert verdict(status) == (Action.FAIL, FailureKind.REFUSED)


def test_the_content_filter_is_final_and_named():
    assert verdict(400, "content_filter") == (Action.FAIL, FailureKind.FILTERED)


def test_a_filtered_request_costs_no_key():
    assert verdict(403, "content_filter") == (Action.FAIL, FailureKind.FILTERED)


def test_a_timeout_or_reset_is_tried_again_and_a_refused_connection_is_an_outage():
    assert verdict(None) == (Action.RETRY, FailureKind.EXHAUSTED)
    assert verdict(None, connected=False) == (Action.OUTAGE, FailureKind.EXHAUSTED)


@pytest.mark.parametrize("status", [200, 404, 502])
def test_a_body_that_is_no_api_is_tried_again_and_named(status):
    assert verdict(status, is_api=False) == (Action.RETRY, FailureKind.NOT_AN_API)


def test_too_many_requests_are_a_rest_even_when_a_proxy_says_so_in_html():
    assert verdict(429, is_api=False)[0] is Action.COOL


@pytest.mark.parametrize("message", ["Rate limit reached", "429", "invalid api key", "timeout", "insufficient_quota"])
def test_the_words_of_a_message_decide_nothing(message):
    for trouble in (Trouble(400, ""), Trouble(500, ""), Trouble(429, ""), Trouble(None, "", connected=False)):
        assert judge(replace(trouble, message=message)) == judge(trouble)


# --- backing off


def test_the_ceiling_doubles_and_is_capped():
    assert [backoff_s(attempt, 1.0) for attempt in range(1, 9)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert backoff_s(10_000, 1.0) == 30


def test_a_tenth_is_always_waited():
    assert backoff_s(1, 0.0) == pytest.approx(0.05)
    assert backoff_s(20, 0.0) == pytest.approx(3.0)


def test_the_wait_is_spread_over_the_whole_range():
    rng = random.Random(0)
    waits = sorted(backoff_s(3, rng.random()) for _ in range(1000))
    assert 0.2 <= waits[0] < 0.25 and 1.95 < waits[-1] < 2.0
    assert waits[500] == pytest.approx(1.1, abs=0.1)


# --- Retry-After


@pytest.mark.parametrize(("value", "seconds"), [("20", 20.0), ("0", 0.0), ("1.5", 1.5), (" 7 ", 7.0), ("-3", 0.0)])
def test_seconds_are_read(value, seconds):
    assert retry_after_s(value, NOW) == seconds


@pytest.mark.parametrize(
    "date", ["Wed, 21 Oct 2026 07:28:20 GMT", "Wed, 21 Oct 2026 09:28:20 +0200", "21 Oct 2026 07:28:20 GMT"]
)
def test_a_date_is_read_as_the_time_from_now(date):
    assert retry_after_s(date, NOW) == 20.0


@pytest.fixture
def _in_new_york(monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_in_new_york")
@pytest.mark.parametrize("zone", ["GMT", "+0000", "-0000", ""])
def test_a_date_is_read_whatever_the_zone_of_this_machine(zone):
    assert retry_after_s(f"Wed, 21 Oct 2026 07:28:20 {zone}", NOW) == 20.0


@pytest.mark.parametrize("wrong_by_s", [-86400.0, 0.0, 3600.0])
def test_a_date_holds_though_the_clock_of_this_machine_is_wrong(wrong_by_s):
    headers = {"date": "Wed, 21 Oct 2026 07:28:00 GMT", "retry-after": "Wed, 21 Oct 2026 07:28:20 GMT"}
    assert told_wait_s(headers, NOW + wrong_by_s) == 20.0


def test_a_date_that_has_passed_is_now():
    assert retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT", NOW) == 0.0


@pytest.mark.parametrize("value", [None, "", "soon", "Wed, 99 Oct 2026 07:28:20 GMT", "20 seconds", "\x00"])
def test_what_cannot_be_read_is_no_time(value):
    assert retry_after_s(value, NOW) is None


@pytest.mark.parametrize("value", ["inf", "Infinity", "nan", "1e400"])
def test_a_key_is_not_put_to_rest_for_ever_by_a_header(value):
    found = retry_after_s(value, NOW)
    assert found is None or found < 10**9


WORDS = ["Wed,", "21", "Oct", "2026", "07:28:20", "GMT", "-0000", "+9999", "a:b", "::", "Feb", "99999", "inf", ",", "é"]


def test_any_header_is_read_or_left_and_never_an_error():
    rng = random.Random(0)
    for _ in range(3000):
        found = retry_after_s(" ".join(rng.choices(WORDS, k=rng.randint(1, 7))), NOW)
        assert found is None or found >= 0


# --- the other headers


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("120ms", 0.12),
        ("1h2m3.5s", 3723.5),
        ("2m59.56s", 179.56),
        ("1d", 86400),
        ("20", 20),
    ],
)
def test_durations_are_read(value, seconds):
    assert duration_s(value) == pytest.approx(seconds)


@pytest.mark.parametrize("value", [None, "", "soon", "1x", "s", "-1s", "1s later", "inf", "1 s", "1e3s"])
def test_what_is_no_duration_is_no_time(value):
    assert duration_s(value) is None


RESET, LEFT = "x-ratelimit-reset-", "x-ratelimit-remaining-"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "20"}, 20.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:20 GMT"}, 20.0),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "2"}, 2.0),
        ({"retry-after": "2", f"{RESET}requests": "6m0s"}, 2.0),
        ({f"{RESET}requests": "1s"}, 1.0),
        ({f"{RESET}requests": "1s", f"{RESET}tokens": "6m0s"}, 360.0),
        ({f"{RESET}requests": "1s", f"{RESET}tokens": "6m0s", f"{LEFT}requests": "0", f"{LEFT}tokens": "900"}, 1.0),
        ({f"{RESET}requests": "1s", f"{RESET}tokens": "6m0s", f"{LEFT}requests": "5", f"{LEFT}tokens": "900"}, 360.0),
        ({"x-ratelimit-reset": str(int((NOW + 40) * 1000))}, 40.0),
        ({"x-ratelimit-reset": str(int(NOW + 40))}, 40.0),
        ({"x-ratelimit-reset": str(int(NOW - 40))}, 0.0),
        ({"x-ratelimit-reset": "40"}, 40.0),
        ({"x-ratelimit-reset": "40", f"{RESET}requests": "1s"}, 1.0),
        ({}, None),
    ],
)
def test_the_endpoints_own_word_is_found_in_whatever_header(headers, seconds):
    assert told_wait_s(headers, NOW) == seconds
