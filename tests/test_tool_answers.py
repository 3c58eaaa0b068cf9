"""The model server's calls of tools: valid ones, each fault, and the results that it plays."""

from __future__ import annotations

import json
import urllib.request

import jsonschema
import pytest

PARAMETERS = {
    "type": "object",
    "properties": {"day": {"type": "string", "enum": ["friday", "sunday"]}, "cars": {"type": "integer"}},
    "required": ["day", "cars"],
    "additionalProperties": False,
}
TOOLS = [{"type": "function", "function": {"name": "find", "description": "Finds.", "parameters": PARAMETERS}}]
ERROR = {"role": "tool", "tool_call_id": "c", "content": '{"error": "no such day"}'}
FOUND = {"role": "tool", "tool_call_id": "c", "content": '{"at": "9:00"}'}


def message(server, *after, text="When does it sail?", seed=0, **fields):
    messages = [{"role": "user", "content": text}, *after]
    body = {"model": "m", "messages": messages, "seed": seed, "tools": TOOLS} | fields
    request = urllib.request.Request(f"{server.base_url}/chat/completions", json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=20) as response:
        return json.loads(response.read())["choices"][0]["message"]


def calls(answered):
    return [(one["function"]["name"], one["function"]["arguments"]) for one in answered.get("tool_calls", [])]


def are_valid(found):
    check = jsonschema.Draft202012Validator(PARAMETERS)
    return all(name == "find" and check.is_valid(json.loads(said)) for name, said in found)


def test_a_user_is_answered_by_valid_calls_and_the_same_request_by_the_same(shared_server):
    server = shared_server()
    found = [message(server, seed=seed) for seed in range(8)]
    assert all(calls(one) and are_valid(calls(one)) and one["content"] is None for one in found)
    assert message(server, seed=3) == found[3] != found[4]


def test_after_results_it_answers_or_calls_again_and_with_none_it_answers(shared_server):
    server = shared_server()
    made = {"role": "assistant", "content": None, "tool_calls": message(server)["tool_calls"]}
    kinds = {bool(calls(message(server, made, FOUND, seed=seed))) for seed in range(12)}
    assert kinds == {True, False}
    assert not calls(message(server, tool_choice="none")) and message(server, tool_choice="none")["content"]
    assert calls(message(server, made, FOUND, tool_choice="required"))


@pytest.mark.parametrize("fault", ["unknown_tool", "misfit_call", "misfit_once"])
def test_a_planted_call_does_not_fit(shared_server, fault):
    server = shared_server(share={fault: 1.0})
    assert not any(are_valid(calls(message(server, seed=seed))) for seed in range(6))


def test_arguments_may_be_no_json(shared_server):
    [*_, (_, arguments)] = calls(message(shared_server(share={"bad_json_call": 1.0}), seed=1))
    with pytest.raises(ValueError):
        json.loads(arguments)


def test_what_is_wrong_once_is_right_after_an_error(shared_server):
    server = shared_server(share={"misfit_once": 1.0})
    made = {"role": "assistant", "content": None, "tool_calls": message(server)["tool_calls"]}
    again = calls(message(server, made, ERROR))
    assert again and are_valid(again)


def test_calls_may_come_together_as_text_or_not_at_all(shared_server):
    server = shared_server()
    server.set(share={"parallel_calls": 1.0})
    assert len(calls(message(server))) == 3
    server.set(share={"text_call": 1.0})
    assert "<tool_call>" in message(server)["content"] and not calls(message(server))
    server.set(share={"no_call": 1.0})
    assert message(server)["content"] and not calls(message(server))


def test_it_plays_a_tool_and_its_failure(shared_server):
    server = shared_server()
    asked = '<call>\nfind({"day": "friday"})\n</call>\n\nAnswer with one JSON object alone'
    assert json.loads(message(server, text=asked, tools=None)["content"])["tool"] == "find"
    asked = '<call>\nfind({})\n</call>\n\nAnswer with JSON alone: {"error": "…"}'
    assert json.loads(message(server, text=asked, tools=None)["content"]) == {"error": "503: find is down"}
