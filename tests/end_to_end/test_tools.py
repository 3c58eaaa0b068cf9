"""Dialogues with tools over HTTP: whatever the model calls, what comes out has only calls that fit."""

from __future__ import annotations

import json

import datasets
import jsonschema
import pytest
from jobs import KEY, metrics, rows, write_config, write_corpus

ENV = {"POPULACE_TEST_KEY": KEY}
FERRY = {
    "type": "object",
    "properties": {"day": {"type": "string", "enum": ["friday", "sunday"]}, "cars": {"type": "integer", "minimum": 0}},
    "required": ["day"],
    "additionalProperties": False,
}
TOOLS = [
    {"type": "function", "function": {"name": "find_ferry", "description": "Ferries of a day.", "parameters": FERRY}},
    {"type": "function", "function": {"name": "clock", "description": "The time."}},
]
FUNCTIONS = """
import asyncio, threading

async def find_ferry(day, cars=0):
    await asyncio.sleep(0)
    return {"day": day, "cars": cars, "at": ["9:00", "12:30"]}

def clock():
    raise ConnectionError("the clock does not answer")
"""


@pytest.fixture
def write(tmp_path, shared_ray):
    """Writes the config of a run with tools on the shared Ray."""

    def written(server, talk: dict, tools: dict, documents: int = 6):
        (tmp_path / "tools.json").write_text(json.dumps(TOOLS))
        (tmp_path / "functions.py").write_text(FUNCTIONS)
        talk = {"strategy": "tools", "tools": {"path": str(tmp_path / "tools.json")} | tools} | talk
        corpus = write_corpus(tmp_path, documents)
        cluster = {"address": shared_ray.address}
        return write_config(tmp_path, server.base_url, corpus, conversations=talk, cluster=cluster)

    return written


def calls_of(row: dict) -> int:
    """How many calls a row has; fails where one does not fit, or is not answered once, right after its message."""
    schemas = {
        tool["function"]["name"]: tool["function"].get("parameters", {"type": "object"})
        for tool in json.loads(row["tools"])
    }
    made, open_calls = 0, []
    for message in row["messages"]:
        if message["role"] == "tool":
            assert message["tool_call_id"] == open_calls.pop(0) and message["content"]
            continue
        assert not open_calls
        for call in message["tool_calls"] or ():
            function = call["function"]
            jsonschema.validate(json.loads(function["arguments"]), schemas[function["name"]])
            open_calls.append(call["id"])
            made += 1
        assert message["content"] or message["tool_calls"]
    assert not open_calls and row["messages"][-1]["role"] == "assistant"
    return made


def test_every_row_has_calls_and_all_of_them_fit(tmp_path, shared_server, write, run_populace):
    share = {"misfit_once": 0.15, "parallel_calls": 0.15, "text_call": 0.15, "no_call": 0.1}
    server = shared_server(keys=[KEY], share=share)
    config = write(server, {"count": 24, "max_turns": 2}, {"functions": str(tmp_path / "functions.py")})
    done = run_populace("run", config, env=ENV)
    assert done.returncode == 0, done.stderr
    found = rows(tmp_path / "run", "conversations")
    assert len(found) == 24 and {row["task"] for row in found} == {"tools"}
    assert all(calls_of(row) for row in found) and max(map(calls_of, found)) >= 3
    told = [message["content"] for row in found for message in row["messages"] if message["role"] == "tool"]
    assert {'{"error": "ConnectionError: the clock does not answer"}'} < set(told)
    read = datasets.load_dataset(
        "parquet",
        data_files=str(tmp_path / "run" / "conversations" / "part-*.parquet"),
        split="train",
        cache_dir=str(tmp_path / "cache"),
    )
    assert read[0]["messages"][2]["tool_calls"][0]["function"]["name"] in ("find_ferry", "clock")
    assert "find_ferry(" in (tmp_path / "run" / "README.md").read_text() + done.stdout
    assert KEY not in done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("refused", [[], ["tools"], ["tools", "json_schema"]], ids=["taken", "in prompt", "in words"])
def test_planted_invalid_calls_are_corrected_or_refused(refused, tmp_path, shared_server, write, run_populace):
    share = {"misfit_call": 0.15, "bad_json_call": 0.1, "unknown_tool": 0.1, "misfit_once": 0.1}
    server = shared_server(keys=[KEY], share={} if refused else share, refuse=refused)
    config = write(server, {"count": 60, "max_turns": 2}, {"errors": 0.2})
    done = run_populace("run", config, env=ENV)
    assert done.returncode == 0, done.stderr
    found = rows(tmp_path / "run", "conversations")
    assert len({row["conversation_id"] for row in found}) == len(found) == 60
    assert all(calls_of(row) for row in found)
    failed = rows(tmp_path / "run", "failures")
    assert {row["kind"] for row in failed} <= {"malformed"}
    assert all("call" in row["message"] and row["attempts"] == 3 for row in failed)
    assert metrics(tmp_path / "run")["failures"] == len(failed)
    told = [message["content"] for row in found for message in row["messages"] if message["role"] == "tool"]
    assert 0 < sum('"error"' in content for content in told) < len(told) / 2


@pytest.mark.slow
def test_a_model_that_never_calls_right_ends_with_named_failures(tmp_path, shared_server, write, run_populace):
    server = shared_server(share={"misfit_call": 1.0})
    done = run_populace("run", write(server, {"count": 6, "max_turns": 1}, {}, documents=2), env=ENV)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert not rows(tmp_path / "run", "conversations")
    failed = rows(tmp_path / "run", "failures")
    assert failed and {row["kind"] for row in failed} == {"malformed"}
    assert all("made a call that is not valid" in row["message"] for row in failed)


@pytest.mark.slow
def test_functions_that_hang_are_told_as_errors(tmp_path, shared_server, write, run_populace):
    config = write(shared_server(), {"count": 6}, {"functions": str(tmp_path / "functions.py"), "timeout_s": 0.2})
    hangs = FUNCTIONS.replace("await asyncio.sleep(0)", "threading.Event().wait()")
    (tmp_path / "functions.py").write_text(hangs)
    done = run_populace("run", config, env=ENV)
    assert done.returncode == 0, done.stderr
    told = [one["content"] for row in rows(tmp_path / "run", "conversations") for one in row["messages"]]
    assert '{"error": "TimeoutError: no result after 0.2 s"}' in told


def test_a_tool_that_is_named_twice_starts_nothing(tmp_path, shared_server, write, run_populace):
    server = shared_server()
    config = write(server, {}, {})
    (tmp_path / "tools.json").write_text(json.dumps([*TOOLS, TOOLS[0]]))
    done = run_populace("run", config, env=ENV)
    assert done.returncode == 2 and server.stats()["requests"] == 0
    assert "tool 3 is named find_ferry, as tool 1 is" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()
