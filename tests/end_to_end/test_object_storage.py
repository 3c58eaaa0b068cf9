"""Runs in an object store: what they are on disk, whatever the store answers now and then, wherever they go on."""

from __future__ import annotations

import json
import os
import signal
import time
import uuid

import pytest
from jobs import KEY, conversation_ids, metrics, persona_ids, rows, wait_for, write_config, write_corpus

from cluster.local_copies import on_this_machine
from cluster.object_path import ObjectPath, path_of

ENV = {"POPULACE_TEST_KEY": KEY}


@pytest.fixture
def place(object_store) -> ObjectPath:
    return path_of(f"s3://bucket/runs/{uuid.uuid4().hex}")


def prepared(tmp_path, server, place: ObjectPath, documents: int, **sections):
    """A config of a run in the store, whose documents are there too."""
    corpus = place.parent / f"{place.name}-corpus" / "corpus.jsonl"
    corpus.put_file(write_corpus(tmp_path, documents))
    endpoint = {"base_url": server.base_url, "model": "m", "keys": ["env:POPULACE_TEST_KEY"], "max_concurrency": 16}
    config = write_config(
        tmp_path, server.base_url, f"{corpus.parent}/*.jsonl", llm={"endpoints": [endpoint]}, **sections
    )
    config.write_text(config.read_text().replace(f"run_dir: {tmp_path / 'run'}", f"run_dir: {place}"))
    return config


def found(tmp_path, place: ObjectPath):
    """The run's outputs, on this machine."""
    copy = tmp_path / f"copy-{uuid.uuid4().hex}"
    for one in place.store().list(place.key).collect():
        target = copy / one["path"].removeprefix(f"{place.key}/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(place.store().get(one["path"]).bytes().to_bytes())
    return copy


def test_a_run_is_made_told_of_and_exported_though_every_seventh_request_fails(
    tmp_path, place, object_store, model_server, shared_ray, run_populace
):
    server = model_server(keys=[KEY])
    joined = {"address": shared_ray.address}
    config = prepared(tmp_path, server, place, 4, conversations={"count": 8, "max_turns": 1}, cluster=joined)
    object_store.answer(every=7)
    done = run_populace("run", config, env=ENV)
    assert done.returncode == 0, done.stderr
    paid = server.stats()["requests"]
    for command in (["status", place], ["export", place, "--format", "messages"]):
        told = run_populace(*command, env=ENV)
        assert told.returncode == 0, told.stderr
        assert str(place) in told.stdout and "Traceback" not in told.stderr
    run = found(tmp_path, place)
    assert len(conversation_ids(run)) == 8 and len(set(persona_ids(run))) == 20
    assert metrics(run)["documents"] == 4
    lines = (run / "exports" / "messages" / "train.jsonl").read_text().splitlines()
    assert len([json.loads(line)["messages"] for line in lines]) == 8
    assert server.stats()["requests"] == paid and not (run / ".lock").exists()


@pytest.mark.parametrize(
    ("fault", "bucket", "said"),
    [
        ({}, "nowhere", "cannot be listed: there is no such bucket"),
        ({"status": 403, "code": "InvalidAccessKeyId"}, "bucket", "does not take the credentials"),
    ],
)
def test_a_store_that_cannot_be_used_is_one_line_before_anything_is_paid(
    tmp_path, place, object_store, model_server, run_populace, fault, bucket, said
):
    server = model_server(keys=[KEY])
    config = prepared(tmp_path, server, place, 3)
    object_store.answer(**fault)
    done = run_populace("run", config, "--set", f"run_dir=s3://{bucket}/run", env=ENV)
    assert done.returncode == 2, done.stderr
    [line] = done.stderr.splitlines()
    assert line.startswith(f"populace: s3://{bucket}/run") and said in line
    assert not server.stats()["requests"]


def test_there_is_nothing_to_be_told_of_a_run_in_no_bucket(object_store, run_populace):
    told = run_populace("status", "s3://nowhere/run")
    assert (told.returncode, told.stderr.count("\n")) == (2, 1) and "there is no such bucket" in told.stderr


CALLS, COUNT = 30 + 90 * 4, 90


def stored(place: ObjectPath) -> int:
    """Answers in the journal, once no more come: callers may outlive their driver by a moment."""

    def lines() -> int:
        return sum(path.read_bytes().count(b"\n") for path in (place / "journal").glob("*.jsonl"))

    before = -1
    while before != (now := lines()):
        before = now
        time.sleep(2)
    return now


@pytest.mark.slow
def test_a_killed_driver_resumes_on_another_machine_to_the_ids_of_a_run_on_disk(
    tmp_path, place, object_store, model_server, start_populace, run_populace
):
    server = model_server(keys=[KEY], latency=0.05)
    config = prepared(tmp_path, server, place, 30, conversations={"count": COUNT})
    object_store.answer(every=11)
    lost, kept = list[int](), 0
    for calls in (20, 150):  # once among the personas, once among the dialogues
        before = server.stats()["requests"]
        driver = start_populace("run", config, env=ENV | {"POPULACE_CACHE": str(tmp_path / f"machine-{calls}")})
        wait_for(lambda calls=calls: server.stats()["requests"] >= calls)
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
        wait_for(lambda: not server.stats()["in_flight"])
        now = stored(place)
        lost.append(server.stats()["requests"] - before - (now - kept))
        kept = now
    done = run_populace("run", config, env=ENV | {"POPULACE_CACHE": str(tmp_path / "machine-3")})
    assert done.returncode == 0, done.stderr
    asked = server.stats()["requests"]
    print(f"{asked} requests for {CALLS} calls; {lost} were in flight or came in the last second before the kills")
    run = found(tmp_path, place)
    assert asked <= CALLS + sum(lost), "paid again: what was in the journal"
    assert lost[0] <= 30 and lost[1] <= COUNT, "each document and dialogue waits for one call at most"
    assert len(conversation_ids(run)) == COUNT and metrics(run)["journal_hits"] > 0
    disk = run_populace("run", config, "--set", f"run_dir={tmp_path / 'disk'}", env=ENV)
    assert disk.returncode == 0, disk.stderr
    assert (persona_ids(run), conversation_ids(run)) == (
        persona_ids(tmp_path / "disk"),
        conversation_ids(tmp_path / "disk"),
    )


@pytest.mark.slow
def test_a_second_job_on_the_run_is_refused_and_the_first_goes_on(
    tmp_path, place, object_store, model_server, start_populace, run_populace
):
    server = model_server(keys=[KEY], latency=0.2)
    config = prepared(tmp_path, server, place, 10, conversations={"count": 30})
    first = start_populace("run", config, env=ENV)
    wait_for(lambda: server.stats()["requests"] >= 5)
    second = run_populace("run", config, env=ENV)
    assert second.returncode == 2 and f"{place} is in use by process {first.pid}" in second.stderr
    told = run_populace("status", place, env=ENV)
    assert "running" in told.stdout
    assert first.wait(240) == 0, first.said()
    assert len(conversation_ids(found(tmp_path, place))) == 30


@pytest.mark.slow
def test_all_that_a_run_keeps_is_gone_on_with_on_another_machine(
    tmp_path, place, object_store, model_server, start_populace, run_populace
):
    """Near-duplicates, densities, openings, passages, a budget: what is searched, and what is counted."""
    server = model_server(keys=[KEY], latency=0.05, alike=0.3)
    config = prepared(
        tmp_path,
        server,
        place,
        12,
        cluster={"embedders": {"max": 1}},
        personas={"dedup": {"scope": "corpus", "shards": 2, "minhash": 0.95}, "depth": 0},
        conversations={
            "count": 20,
            "max_turns": 2,
            "sampling": "coverage",
            "context": "rag",
            "opening_threshold": 0.99,
            "stop": {"personas": 10_000},
        },
    )
    more = ["--set", "llm.budget_usd=5", "--set", "llm.endpoints.0.price={input: 1.0, output: 2.0}"]
    driver = start_populace("run", config, *more, env=ENV | {"POPULACE_CACHE": str(tmp_path / "one")})
    wait_for(lambda: server.stats()["requests"] >= 30, seconds=480)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    done = run_populace("run", config, *more, env=ENV | {"POPULACE_CACHE": str(tmp_path / "another")}, timeout=600)
    assert done.returncode == 0, done.stderr
    run = found(tmp_path, place)
    kept, refused = rows(run, "personas"), rows(run, "rejected")
    assert len({row["persona_id"] for row in kept}) == len(kept)
    assert refused and {row["neighbour_id"] for row in refused} <= {row["persona_id"] for row in kept}
    talks = rows(run, "conversations")
    assert len({row["conversation_id"] for row in talks}) == 20 and all(row["context_ids"] for row in talks)
    assert {path.name for path in run.iterdir()} >= {"dedup", "openings", "retrieval", "budget.json", "report.html"}
    fresh = run_populace(
        "run", config, *more, "--fresh", "--yes", "--set", "conversations.count=4", env=ENV, timeout=600
    )
    assert fresh.returncode == 0, fresh.stderr
    assert len(conversation_ids(found(tmp_path, place))) == 4


@pytest.mark.slow
def test_an_export_in_the_store_is_read_as_a_dataset(tmp_path, place, object_store, model_server, run_populace):
    from datasets import load_dataset

    server = model_server(keys=[KEY])
    config = prepared(tmp_path, server, place, 6, conversations={"count": 12, "max_turns": 1})
    assert run_populace("run", config, env=ENV).returncode == 0
    assert run_populace("export", place, "--format", "messages", "--as", "parquet", env=ENV).returncode == 0
    with on_this_machine(place / "exports" / "messages") as folder:
        assert load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "datasets")).num_rows == 12
