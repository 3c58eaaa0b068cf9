"""The main job over HTTP: the command as a user starts it, against the tests' model server."""

from __future__ import annotations

from collections import Counter

import datasets
import pytest
import yaml
from jobs import KEY, conversation_ids, metrics, rows, write_config, write_corpus

ENV = {"POPULACE_TEST_KEY": KEY}


@pytest.fixture
def joined(shared_ray):
    """The section of a config whose run joins the Ray of the session."""
    return {"cluster": {"address": shared_ray.address}}


def test_a_run_makes_what_was_asked_for_and_a_second_one_nothing(tmp_path, model_server, shared_ray, run_populace):
    server = model_server(keys=[KEY])
    dedup = {"dedup": {"scope": "corpus"}, "depth": "auto", "per_call": 5}
    config = write_config(tmp_path, server.base_url, write_corpus(tmp_path, 12), personas=dedup)
    done = run_populace("run", config, env=ENV)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "run"

    conversations, personas = rows(run, "conversations"), rows(run, "personas")
    assert len(set(conversation_ids(run))) == len(conversations) == 60
    by_id = {row["persona_id"]: row for row in personas}
    assert len(by_id) == len(personas) and {row["depth"] for row in personas} == {0}
    for row in conversations:
        persona = by_id[row["persona_id"]]
        assert (row["persona"], row["document_id"]) == (persona["text"], persona["document_id"])
        assert row["persona_generation_depth"] == persona["depth"]
        assert [message["role"] for message in row["messages"]] == ["system", *["user", "assistant"] * 2]
    spoken = [row["document_id"] for row in conversations]
    assert {spoken.count(one) for one in set(spoken)} == {5}, "every document owes the same"

    found = datasets.load_dataset("parquet", data_files=str(run / "conversations" / "*.parquet"), split="train")
    assert found.num_rows == 60 and found[0]["messages"][1]["role"] == "user"
    header, _ = (run / "README.md").read_text().removeprefix("---\n").split("\n---\n", 1)
    assert {one["config_name"] for one in yaml.safe_load(header)["configs"]} >= {"conversations", "personas"}

    calls = server.stats()["requests"]
    assert metrics(run)["calls"] == calls == 12 + 60 * 4
    again = run_populace("run", config, env=ENV)
    assert again.returncode == 0 and "nothing to do" in again.stdout
    assert server.stats()["requests"] == calls

    elsewhere = ("--set", f"cluster.address={shared_ray.address}")
    more = run_populace("run", config, "--set", "conversations.count=70", *elsewhere, env=ENV)
    assert more.returncode == 0, more.stderr
    assert len(set(conversation_ids(run))) == len(rows(run, "conversations")) == 70
    assert server.stats()["requests"] == calls + 10 * 4

    status = run_populace("status", run)
    assert status.returncode == 0 and "finished" in status.stdout and "70" in status.stdout


def test_documents_that_came_are_grown_alone_and_catch_up(tmp_path, model_server, joined, run_populace):
    server = model_server(keys=[KEY])
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    write_corpus(corpus, 6)
    config = write_config(tmp_path, server.base_url, corpus, conversations={"count": 12, "max_turns": 1}, **joined)
    done = run_populace("run", config, env=ENV)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "run"
    before = {kind: rows(run, kind) for kind in ("documents", "personas", "conversations")}
    calls = server.stats()["requests"]

    write_corpus(corpus, 8)
    for name in ("0.txt", "z.txt"):
        (corpus / name).write_text(f"What {name} tells is of hills.")
    more = run_populace("run", config, "--set", "conversations.count=23", env=ENV)
    assert more.returncode == 0, more.stderr
    assert server.stats()["requests"] == calls + 4 + 11 * 2
    for kind, some in before.items():
        now = rows(run, kind)
        assert all(row in now for row in some), f"{kind} that were there are there"
    assert len(rows(run, "documents")) == 10
    assert len(set(conversation_ids(run))) == len(rows(run, "conversations")) == 23
    spoken = Counter(row["document_id"] for row in rows(run, "conversations"))
    assert sorted(spoken.values()) == [2] * 7 + [3] * 3

    finished = run_populace("run", config, "--set", "conversations.count=23", env=ENV)
    assert "nothing to do" in finished.stdout and server.stats()["requests"] == calls + 4 + 11 * 2


def test_bad_documents_become_failures_and_the_rest_goes_on(tmp_path, model_server, joined, run_populace):
    server = model_server()
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    write_corpus(corpus, 5)
    with (corpus / "corpus.jsonl").open("ab") as file:
        file.write(b'{"text": broken}\n{"text": "caf\xe9"}\n{"other": "x"}\n')
    (corpus / "empty.txt").write_bytes(b"")
    (corpus / "latin.txt").write_bytes("déjà vu à Besançon".encode("latin-1"))
    (corpus / "huge.txt").write_text("A paragraph about the sea and its tides.\n\n" * 250_000)
    config = write_config(tmp_path, server.base_url, corpus, conversations={"count": 12, "max_turns": 1}, **joined)
    done = run_populace("run", config, env=ENV)
    assert done.returncode == 0, done.stderr

    documents = {row["source"].rpartition("/")[2]: row for row in rows(tmp_path / "run", "documents")}
    assert len(documents) == 6
    assert documents["huge.txt"]["truncated"] and documents["huge.txt"]["characters"] > 10_000_000
    assert len(documents["huge.txt"]["text"]) <= 12_000
    failed = {row["item_id"].rpartition("/")[2]: row for row in rows(tmp_path / "run", "failures")}
    assert set(failed) == {"corpus.jsonl:6", "corpus.jsonl:7", "corpus.jsonl:8", "empty.txt", "latin.txt"}
    assert len(rows(tmp_path / "run", "conversations")) == 12
    assert "5 unreadable" in done.stdout


@pytest.mark.slow
def test_a_hostile_endpoint_costs_time_and_no_rows(tmp_path, model_server, joined, run_populace):
    share = {"429": 0.1, "500": 0.1, "reset": 0.05, "truncated": 0.05, "html_502": 0.05, "prose": 0.1, "short": 0.1}
    server = model_server(keys=[KEY], share=share | {"empty": 0.05, "html_200": 0.03}, retry_after=0.5)
    config = write_config(tmp_path, server.base_url, write_corpus(tmp_path, 20), conversations={"count": 40}, **joined)
    done = run_populace("run", config, env=ENV)
    assert done.returncode == 0, done.stderr
    assert len(set(conversation_ids(tmp_path / "run"))) == len(rows(tmp_path / "run", "conversations")) == 40
    found = metrics(tmp_path / "run")
    assert found["retries"] > 0 and found["throttled"] > 0
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.slow
def test_items_that_fail_for_good_are_owed_again(tmp_path, model_server, joined, run_populace):
    server = model_server(keys=[KEY], share={"400": 0.04}, sticky=True)
    config = write_config(tmp_path, server.base_url, write_corpus(tmp_path, 20), conversations={"count": 50}, **joined)
    done = run_populace("run", config, env=ENV)
    assert done.returncode == 0, done.stderr
    assert len(set(conversation_ids(tmp_path / "run"))) == len(rows(tmp_path / "run", "conversations")) == 50
    assert {row["kind"] for row in rows(tmp_path / "run", "failures")} == {"refused"}


@pytest.mark.slow
def test_a_model_that_answers_prose_ends_with_named_failures(tmp_path, model_server, joined, run_populace):
    server = model_server(share={"prose": 1.0})
    config = write_config(tmp_path, server.base_url, write_corpus(tmp_path, 4), **joined)
    done = run_populace("personas", config, env=ENV)
    assert done.returncode == 1
    assert "no document has a persona" in done.stderr and "Traceback" not in done.stderr
    failed = rows(tmp_path / "run", "failures")
    assert [row["kind"] for row in failed] == ["malformed"] * 4 and failed[0]["attempts"] == 3
    status = run_populace("status", tmp_path / "run")
    assert "malformed" in status.stdout
    calls = server.stats()["requests"]
    for command in ("personas", "run"):
        again = run_populace(command, config)
        assert again.returncode == 1 and "no document has a persona; see failures/" in again.stderr
    assert server.stats()["requests"] == calls


@pytest.mark.slow
@pytest.mark.parametrize(("scope", "shards"), [("document", 1), ("corpus", 1), ("corpus", 3)])
def test_near_duplicates_are_refused_with_their_neighbour(scope, shards, tmp_path, model_server, joined, run_populace):
    server = model_server(alike=0.5)
    personas = {"dedup": {"scope": scope, "threshold": 0.85, "shards": shards}, "depth": 1}
    config = write_config(tmp_path, server.base_url, write_corpus(tmp_path, 4), personas=personas, **joined)
    done = run_populace("personas", config, env=ENV)
    assert done.returncode == 0, done.stderr
    kept = {row["persona_id"]: row for row in rows(tmp_path / "run", "personas")}
    refused = rows(tmp_path / "run", "rejected")
    assert refused
    for row in refused:
        assert row["reason"] in ("exact", "embedding") and row["score"] >= 0.85
        near = kept[row["neighbour_id"]]
        assert scope == "corpus" or near["document_id"] == row["document_id"]
    funnel = metrics(tmp_path / "run")["funnel"]
    for row in funnel:
        here = [one["reason"] for one in refused if one["depth"] == row["depth"]]
        admitted = [one for one in kept.values() if one["depth"] == row["depth"]]
        assert (row["exact"], row["embedding"]) == (here.count("exact"), here.count("embedding"))
        assert row["candidates"] == row["admitted"] + len(here) and row["admitted"] == len(admitted)
    assert [row["depth"] for row in funnel] == [0, 1]
    assert "## Personas by depth" in (tmp_path / "run" / "README.md").read_text()
    assert "embedding)" in done.stdout
