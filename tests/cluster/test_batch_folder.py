import uuid
from dataclasses import replace

import pytest

from cluster.batch import Stage
from cluster.batch_folder import BatchFolder, outstanding
from cluster.chat import ChatRequest, Role
from cluster.errors import Halt
from cluster.journal import call_key
from cluster.object_path import path_of

SCHEMA = {"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "string"}}}
REQUESTS = [
    ChatRequest(Role.PERSONA, [{"role": "user", "content": "déjà\nvu \ud800"}], "doc/1", 100, 0.9, 7, SCHEMA),
    ChatRequest(Role.JUDGE, [{"role": "system", "content": ""}, {"role": "user", "content": "?"}], "doc/2", 1, 0.0, -1),
]


@pytest.fixture
def folder(tmp_path):
    return BatchFolder(tmp_path / "batches", "run")


def test_calls_come_back_as_they_were_under_the_same_keys(folder):
    batch = folder.begin("m", "http://e/v1", REQUESTS)
    found = list(folder.requests(batch))
    assert found == REQUESTS
    keys = [[call_key(one.canonical(), one.item) for one in some] for some in (found, REQUESTS)]
    assert keys[0] == keys[1]


def test_a_state_comes_back_as_it_was(folder, tmp_path):
    first, second = (folder.begin("m", "http://e/v1", REQUESTS) for _ in range(2))
    second = replace(second, stage=Stage.CREATED, batch_id="batch_1", submitted_at=17.5)
    folder.save(second)
    assert BatchFolder(tmp_path / "batches", "run").load() == [first, second]


def test_no_two_batches_have_a_name_in_common_though_numbers_begin_anew(folder, tmp_path):
    first = folder.begin("m", "http://e/v1", REQUESTS)
    folder.forget(first)
    again = BatchFolder(tmp_path / "batches", "run").begin("m", "http://e/v1", REQUESTS)
    assert again.number == first.number and again.name != first.name


def test_what_a_killed_process_left_half_written_is_removed(folder, tmp_path):
    batch = folder.begin("m", "http://e/v1", REQUESTS)
    for name in ("00007.calls.jsonl", "00001.upload.jsonl", ".00008.json.1-ab.tmp"):
        (tmp_path / "batches" / name).write_text("half")
    assert folder.load() == [batch]
    assert sorted(path.name for path in (tmp_path / "batches").iterdir()) == ["00001.calls.jsonl", "00001.json"]


def test_a_batch_that_is_over_leaves_nothing(folder, tmp_path):
    batch = folder.begin("m", "http://e/v1", REQUESTS)
    assert folder.write_upload(batch, lambda request: request.item.encode()).read_bytes() == b"doc/1doc/2"
    folder.forget(batch)
    assert list((tmp_path / "batches").iterdir()) == [] == outstanding(tmp_path / "batches")


def test_an_unreadable_state_is_named_and_not_passed_over(folder, tmp_path):
    folder.begin("m", "http://e/v1", REQUESTS)
    (tmp_path / "batches" / "00001.json").write_text("{")
    with pytest.raises(Halt, match=r"00001\.json is no state of a batch"):
        folder.load()


def test_one_process_at_a_time_has_the_folder(folder, tmp_path):
    other = BatchFolder(tmp_path / "batches", "run")
    assert folder.lock() and folder.lock() and not other.lock()
    folder.release()
    assert other.lock()


def test_batches_in_an_object_store_are_gone_on_with_elsewhere(object_store, tmp_path, monkeypatch):
    place = path_of(f"s3://bucket/{uuid.uuid4().hex}/batches")
    first = BatchFolder(place, "run")
    assert first.lock()
    batch = first.begin("m", "http://e/v1", REQUESTS)
    upload = first.write_upload(batch, lambda request: request.item.encode() + b"\n")
    assert upload.read_bytes() == b"doc/1\ndoc/2\n"
    second = BatchFolder(place, "run")
    assert not second.lock()
    first.release()
    monkeypatch.setenv("POPULACE_CACHE", str(tmp_path / "another machine"))
    assert second.lock() and second.load() == [batch] == outstanding(place)
    assert list(second.requests(batch)) == REQUESTS
    second.forget(batch)
    second.release()
    assert not place.exists()
