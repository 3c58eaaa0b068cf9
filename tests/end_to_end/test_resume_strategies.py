"""Stopping runs of every kind of dialogue anywhere: what comes out, and what is paid, is that of an undisturbed run."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from pathlib import Path

import pytest
from jobs import KEY, conversation_ids, rows, wait_for, write_config, write_corpus
from test_tools import TOOLS

from cluster.journal import read_records, segments

ENV = {"POPULACE_TEST_KEY": KEY}
IN_FLIGHT = 16
OTHERWISE = """
import uuid

def find_ferry(day, cars=0): return {"day": day, "booking": uuid.uuid4().hex}

def clock(): return {"now": uuid.uuid4().hex}

def shelf(query, top_k): return [f"Passage {uuid.uuid4().hex} of {query[:20]}" for _ in range(top_k)]
"""


@pytest.fixture
def prepare(tmp_path, model_server, shared_ray):
    """Writes the config of `count` dialogues about 12 documents; returns the server and the config."""

    def prepared(talk: dict, judge: str = "fair", count: int = 36, shared: bool = True):
        server = model_server(keys=[KEY], latency=0.05, judge=judge)
        endpoint = {"base_url": server.base_url, "model": "m", "keys": ["env:POPULACE_TEST_KEY"]}
        (tmp_path / "tools.json").write_text(json.dumps(TOOLS))
        (tmp_path / "otherwise.py").write_text(OTHERWISE)
        config = write_config(
            tmp_path,
            server.base_url,
            write_corpus(tmp_path, 12),
            llm={"endpoints": [endpoint | {"max_concurrency": IN_FLIGHT}]},
            conversations={"count": count} | talk,
            cluster={"address": shared_ray.address if shared else None, "embedders": {"min": 1, "max": 1}},
        )
        return server, config

    return prepared


def kill(driver) -> None:
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()


def said(run: Path) -> dict[str, list]:
    return {row["conversation_id"]: row["messages"] for row in rows(run, "conversations")}


def calls(run: Path) -> Counter[str]:
    """How often the journal has each item."""
    return Counter(record.item for path in segments(run / "journal") for record in read_records(path))


def test_functions_that_answer_otherwise_each_time_are_heard_as_before(tmp_path, prepare, start_populace, run_populace):
    tools = {"path": str(tmp_path / "tools.json"), "functions": str(tmp_path / "otherwise.py")}
    server, config = prepare({"strategy": "tools", "max_turns": 2, "tools": tools})
    run = tmp_path / "run"
    driver = start_populace("run", config, env=ENV)
    wait_for(lambda: server.stats()["requests"] >= 12 + 60)
    kill(driver)
    wait_for(lambda: not server.stats()["in_flight"])
    told = {item for item in calls(run) if "/tool/" in item}
    assert told, "functions were called before the kill"
    done = run_populace("run", config, env=ENV)
    assert done.returncode == 0, done.stderr
    items = calls(run)
    assert set(items.values()) == {1}, "a dialogue that is made again asks what it has asked"
    paid = [item for item in items if "/tool/" not in item]
    assert server.stats()["requests"] <= len(paid) + IN_FLIGHT
    assert len(set(conversation_ids(run))) == len(rows(run, "conversations")) == 36


@pytest.mark.slow
def test_a_retriever_that_answers_otherwise_each_time_is_heard_as_before(
    tmp_path, prepare, start_populace, run_populace
):
    talk = {"context": "rag", "rag": {"top_k": 2, "retriever": "otherwise:shelf"}, "max_turns": 2}
    server, config = prepare(talk, shared=False)
    run, env = tmp_path / "run", ENV | {"PYTHONPATH": str(tmp_path)}
    driver = start_populace("run", config, env=env)
    wait_for(lambda: server.stats()["requests"] >= 12 + 60)
    kill(driver)
    wait_for(lambda: not server.stats()["in_flight"])
    done = run_populace("run", config, env=env)
    assert done.returncode == 0, done.stderr
    items = calls(run)
    assert set(items.values()) == {1} and sum(item.endswith("/passages") for item in items) == 36 * 2
    paid = [item for item in items if not item.endswith("/passages")]
    assert server.stats()["requests"] <= len(paid) + IN_FLIGHT
    for row in rows(run, "conversations"):
        assert all("Passage " in row["messages"][0]["content"] for _ in row["context_ids"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("talk", "judge"),
    [
        ({"strategy": "tools", "max_turns": 2, "tools": {"path": "tools.json", "errors": 0.1}}, "fair"),
        ({"context": "rag", "rag": {"top_k": 2}, "max_turns": 2}, "fair"),
        ({"judge": True, "auto_improve": True, "max_turns": 2}, "improving"),
        ({"candidates": 3, "max_turns": 2}, "fair"),
        ({"strategy": "contextual", "max_turns": 2}, "fair"),
        ({"strategy": "math", "max_turns": 1}, "fair"),
        ({"strategy": "npc", "max_turns": 1, "persona_in": "both"}, "fair"),
    ],
    ids=["tools", "rag", "auto_improve", "candidates", "contextual", "math", "npc"],
)
def test_a_run_that_was_killed_says_and_pays_what_an_undisturbed_one_does(
    tmp_path, prepare, start_populace, run_populace, talk, judge
):
    if tools := talk.get("tools"):
        talk = talk | {"tools": tools | {"path": str(tmp_path / "tools.json")}}
    server, config = prepare(talk, judge)
    undisturbed = tmp_path / "undisturbed"
    done = run_populace("run", config, "--set", f"run_dir={undisturbed}", env=ENV)
    assert done.returncode == 0, done.stderr
    asked = server.stats()["requests"]
    server.reset()
    for share in (0.4, 0.8):
        driver = start_populace("run", config, env=ENV)
        wait_for(lambda share=share: server.stats()["requests"] >= share * asked)
        kill(driver)
        wait_for(lambda: not server.stats()["in_flight"])
    done = run_populace("run", config, env=ENV)
    assert done.returncode == 0, done.stderr
    assert server.stats()["requests"] <= asked + 2 * IN_FLIGHT
    assert said(tmp_path / "run") == said(undisturbed) and len(said(undisturbed)) == 36
    assert rejected(tmp_path / "run") == rejected(undisturbed)


def rejected(run: Path) -> list[tuple]:
    found = rows(run, "rejected_conversations")
    return sorted((one["conversation_id"], one["attempt"], one["reason"], str(one["messages"])) for one in found)
