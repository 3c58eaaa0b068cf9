import json

import pytest

from cluster.batch import (
    Batch,
    Fault,
    Remote,
    Rule,
    Stage,
    after,
    discounted,
    is_full,
    line_of,
    read_item,
    read_remote,
    trouble_of,
)
from cluster.errors import FailureKind
from cluster.keys import Endpoint, Price, Secret
from cluster.retry import Action, Trouble, judge, may_be_paid

KEY = bytes(range(16))
BATCH = Batch(3, "populace-run-00003", "m", 10, "http://e/v1", Stage.UPLOADED, "key", "file-1")


def remote(status: str, **fields: object) -> dict[str, object]:
    return {"id": "batch_1", "object": "batch", "status": status, "input_file_id": "file-1", **fields}


@pytest.mark.parametrize("status", ["validating", "in_progress", "finalizing", "cancelling"])
def test_a_batch_is_created_as_long_as_its_provider_works_on_it(status):
    known = after(BATCH, read_remote(remote(status)))
    assert (known.stage, known.batch_id, known.status) == (Stage.CREATED, "batch_1", status)


@pytest.mark.parametrize("status", ["completed", "failed", "expired", "cancelled"])
def test_a_batch_is_finished_in_whatever_way_it_ended(status):
    counts = {"total": 10, "completed": 7, "failed": 3}
    told = remote(status, output_file_id="file-2", error_file_id="file-3", request_counts=counts)
    known = after(BATCH, read_remote(told))
    assert known.stage is Stage.FINISHED and known.file_id == "file-1"
    assert (known.completed, known.output_file_id, known.error_file_id) == (7, "file-2", "file-3")


def test_a_batch_object_is_read_with_all_that_may_be_absent_in_it():
    assert read_remote({"id": "batch_1", "status": "validating"}) == Remote("batch_1", "validating", "")
    nulls = dict.fromkeys(("errors", "output_file_id", "error_file_id", "request_counts"))
    assert read_remote(remote("failed", **nulls)) == Remote("batch_1", "failed", "file-1")


def test_what_validation_found_is_read_with_the_line():
    data = [{"code": "invalid_url", "message": "No\nsuch url", "line": 2, "param": "url"}, {"code": None}]
    told = read_remote(remote("failed", errors={"object": "list", "data": data}))
    assert told.faults == (Fault("invalid_url", "No such url", 2), Fault("", "it does not say why", None))


@pytest.mark.parametrize("content", [None, [], {}, {"id": "batch_1"}, {"object": "list", "data": []}])
def test_what_is_no_batch_object_is_a_trouble(content):
    with pytest.raises(Trouble):
        read_remote(content)


def test_a_full_provider_is_told_by_its_code_alone():
    assert is_full([Fault("token_limit_exceeded", "…", None)])
    assert not is_full([Fault("invalid_url", "token_limit_exceeded", None)]) and not is_full([])


def test_a_line_is_what_the_batch_api_takes():
    line = line_of(KEY, b'{"model":"m","messages":[]}')
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    body = {"model": "m", "messages": []}
    assert json.loads(line) == {"custom_id": KEY.hex(), "method": "POST", "url": "/v1/chat/completions", "body": body}


def item(**fields: object) -> bytes:
    return json.dumps({"id": "batch_req_1", "custom_id": KEY.hex(), "response": None, "error": None, **fields}).encode()


def test_an_item_brings_its_answer():
    found = read_item(item(response={"status_code": 200, "request_id": "r", "body": {"text": "déjà \ud800"}}))
    assert (found.key, found.status) == (KEY, 200)
    assert json.loads(found.body) == {"text": "déjà \ud800"}


@pytest.mark.parametrize("code", ["batch_expired", "batch_cancelled"])
def test_an_item_that_was_not_begun_may_be_sent_again_and_was_not_paid(code):
    trouble = trouble_of(read_item(item(error={"code": code, "message": "too late"})))
    assert judge(trouble).action is Action.RETRY and judge(trouble).kind is FailureKind.EXHAUSTED
    assert not may_be_paid(trouble)


def test_an_item_without_answer_or_reason_may_be_sent_again():
    assert judge(trouble_of(read_item(item()))).action is Action.RETRY


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"{}", b'{"custom_id": 7}', b'{"custom_id": "xyz"}', item()[:-9]])
def test_a_line_that_is_not_whole_is_a_trouble_and_no_item(line):
    with pytest.raises(Trouble) as caught:
        read_item(line)
    assert judge(caught.value).action is Action.RETRY


def test_a_batch_is_closed_when_it_is_quiet_and_at_last_when_it_is_not():
    rule = Rule(quiet_s=3, longest_s=60)
    assert rule.wait_s(100, 100, 100) == 3
    assert rule.wait_s(100, 102, 104) == 1
    assert rule.wait_s(100, 102, 105) == rule.wait_s(100, 102, 500) == 0
    assert rule.wait_s(100, 159, 159) == 1 and rule.wait_s(100, 160, 160) == 0


def test_a_batch_takes_so_many_calls_and_bytes_and_one_of_any_size():
    rule = Rule(requests=2, bytes=100)
    assert rule.fits(1, 60, 40) and not rule.fits(1, 60, 41) and not rule.fits(2, 2, 1)
    assert rule.fits(0, 0, 1000)


def test_a_batch_that_was_too_large_is_halved_down_to_one_call():
    assert Rule().smaller(1000).requests == 500
    assert Rule().smaller(1).requests == 1


def test_a_batch_is_asked_after_less_and_less_often():
    rule = Rule(poll_s=(1, 60))
    assert [rule.poll_after_s(age) for age in (0, 5, 100, 10_000)] == [1, 1, 10, 60]


def test_batches_have_half_the_price_where_one_is_known():
    others = {"other": Price(1.0, 2.0)}
    priced = Endpoint("e", "u", "m", [("k", Secret("s"))], price=Price(3.0, 8.0, 0.5), role_prices=others)
    assert discounted(priced).price_for("m") == Price(1.5, 4.0, 0.25)
    assert discounted(priced).price_for("other") == Price(0.5, 1.0)
    assert discounted(Endpoint("e", "u", "m", [])).price is None
