"""Personas of a hub as the seed layer: admitted as they are, grown by their relations, and killed on the way."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from jobs import KEY, metrics, rows, wait_for, write_config

ENV = {"POPULACE_TEST_KEY": KEY}
VIOLINIST = "A retired violinist in Leeds who teaches the children of her street on Saturdays."
NEAR = "A retired violinist from Leeds who teaches the children of her street on Saturdays."
SHOUTED = "A NURSE on the night shift of a hospital in Nairobi, who studies accounting"
IN_BOTH = "A nurse on the night shift of a hospital in Nairobi who studies accounting."
LINES = [
    VIOLINIST,
    IN_BOTH,
    "A shepherd in the Pyrenees who sells cheese to walkers\nand worries about wolves.",
    "A bus driver in Osaka who writes haiku between two stops.",
    "",
    "x" * 100_000,
    "A nurse",
]
COLUMN = [
    NEAR,
    SHOUTED,
    IN_BOTH,
    "A marine biologist in Hobart who counts seahorses with her pupils.",
    "A locksmith in Lagos whose brother wants to sell the shop.",
    None,
]
FAILURES = {
    "hub.jsonl:5": "empty_document",
    "hub.jsonl:6": "no_persona",
    "hub.jsonl:7": "no_persona",
    "hub.parquet#5": "empty_document",
}
PEOPLE = 8  # different texts, of which two are too near to another one
KEPT = 6


@pytest.fixture
def prepared(tmp_path, model_server, shared_ray):
    """A server, a config of depth 1 with two relations a person, and the folder of its run."""
    hub = tmp_path / "hub"
    hub.mkdir()
    (hub / "hub.jsonl").write_text("".join(json.dumps({"persona": one}) + "\n" for one in LINES))
    pq.write_table(pa.table({"persona": COLUMN, "topic": ["x"] * len(COLUMN)}), hub / "hub.parquet")
    server = model_server(keys=[KEY])
    config = write_config(
        tmp_path,
        server.base_url,
        hub,
        documents={"kind": "persona"},
        personas={"depth": 1, "per_call": 2, "dedup": {"scope": "corpus"}},
        conversations={"count": 20, "max_turns": 1},
        cluster={"address": shared_ray.address},
    )
    return server, config, tmp_path / "run"


def check_seeds(run: Path) -> None:
    """Each different text is a seed or a refused one; of near-duplicates one stays; no model made them."""
    seeds = [row for row in rows(run, "personas") if row["depth"] == 0]
    refused = [row for row in rows(run, "rejected") if row["depth"] == 0]
    texts = {" ".join(one.split()) for one in [*LINES, *COLUMN] if one and 20 < len(one) < 1000}
    assert {row["text"] for row in [*seeds, *refused]} == texts and len(texts) == PEOPLE
    assert (len(seeds), len(refused)) == (KEPT, PEOPLE - KEPT)
    for row in seeds:
        assert (row["parent_id"], row["relation"], row["model"], row["prompt_sha"]) == (None, "given", "", "")
    ids = {row["persona_id"]: row for row in seeds}
    pairs = [{row["text"], ids[row["neighbour_id"]]["text"]} for row in refused]
    assert {VIOLINIST, NEAR} in pairs and {IN_BOTH, SHOUTED} in pairs
    assert sorted(row["reason"] for row in refused) == ["embedding", "exact"]


@pytest.mark.slow
def test_given_personas_are_grown_and_speak_of_their_own_lives(prepared, run_populace):
    server, config, run = prepared
    done = run_populace("run", config, env=ENV)
    assert done.returncode == 0, done.stderr
    check_seeds(run)

    personas = rows(run, "personas")
    by_id = {row["persona_id"]: row for row in personas}
    grown = [row for row in personas if row["depth"] == 1]
    assert {row["parent_id"] for row in grown} == {row["persona_id"] for row in personas if row["depth"] == 0}
    for row in grown:
        assert row["document_id"] == by_id[row["parent_id"]]["document_id"]
        assert row["model"] and row["prompt_sha"]
    failed = {row["item_id"].rpartition("/")[2]: row["kind"] for row in rows(run, "failures")}
    assert failed == FAILURES
    conversations = rows(run, "conversations")
    assert len(conversations) == 20
    for row in conversations:
        assert row["messages"][0]["content"] == "You are a helpful assistant."
        assert row["persona"] == by_id[row["persona_id"]]["text"]
    assert {row["persona_generation_depth"] for row in conversations} == {0, 1}
    assert server.stats()["requests"] == KEPT + 2 * 20

    found = metrics(run)
    assert (found["documents_kind"], found["documents"], found["documents_with_personas"]) == ("persona", PEOPLE, KEPT)
    assert (found["documents_repeated"], found["documents_unreadable"]) == (1, len(FAILURES))
    seeds = found["funnel"][0]
    assert (seeds["candidates"], seeds["admitted"], seeds["exact"], seeds["embedding"]) == (PEOPLE, KEPT, 1, 1)
    card = (run / "README.md").read_text()
    assert (
        "The seed personas were given" in card and "found in documents" not in card and "about one document" not in card
    )
    assert "personas given" in done.stdout
    again = run_populace("run", config, env=ENV)
    assert again.returncode == 0 and "nothing to do" in again.stdout


@pytest.mark.slow
def test_a_run_of_given_personas_that_is_killed_twice_goes_on_and_pays_for_nothing_again(
    prepared, start_populace, run_populace
):
    server, config, run = prepared
    server.set(latency=0.4)
    content = yaml.safe_load(config.read_text())
    content["llm"]["endpoints"][0]["max_concurrency"] = 4
    config.write_text(yaml.safe_dump(content))
    for calls in (2, KEPT + 8):  # once among the relations, once among the dialogues
        driver = start_populace("run", config, env=ENV)
        wait_for(lambda calls=calls: server.stats()["requests"] >= calls)
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
        wait_for(lambda: not server.stats()["in_flight"])
    done = run_populace("run", config, env=ENV)
    assert done.returncode == 0, done.stderr
    check_seeds(run)
    assert len({row["conversation_id"] for row in rows(run, "conversations")}) == len(rows(run, "conversations")) == 20
    assert len({row["persona_id"] for row in rows(run, "personas")}) == len(rows(run, "personas"))
    assert server.stats()["requests"] <= KEPT + 2 * 20 + 2 * 4
    assert (metrics(run)["documents"], metrics(run)["documents_repeated"]) == (PEOPLE, 1)


@pytest.mark.slow
def test_at_depth_0_nobody_is_asked_whatever_the_budget(prepared, run_populace):
    server, config, run = prepared
    least = ["llm.endpoints.0.price={input: 1, output: 2}", "llm.budget_usd=0.0000001"]
    arguments = [part for one in [*least, "documents.limit=3"] for part in ("--set", one)]
    deeper = run_populace("personas", config, *arguments, env=ENV)
    assert deeper.returncode == 2 and "one call may cost" in deeper.stderr
    done = run_populace("personas", config, *arguments, "--set", "personas.depth=0", env=ENV)
    assert done.returncode == 0, done.stderr
    assert [(row["depth"], row["relation"]) for row in rows(run, "personas")] == [(0, "given")] * 3
    assert {row["text"] for row in rows(run, "personas")} == {" ".join(one.split()) for one in LINES[:3]}
    assert server.stats()["requests"] == 0

    arguments[-2:] = ["--fresh", "--yes"]
    whole = run_populace("personas", config, *arguments, "--set", "personas.depth=0", env=ENV)
    assert whole.returncode == 0, whole.stderr
    check_seeds(run)
    assert server.stats()["requests"] == 0
