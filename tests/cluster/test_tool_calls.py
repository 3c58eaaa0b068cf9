"""Calls of tools: in an endpoint's messages, in a model's text, in the prompt of an endpoint that takes none."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import jsonschema
import pytest

from cluster.batch_folder import BatchFolder
from cluster.chat import ChatAnswer, ChatRequest, Role, ToolChoice, Usage
from cluster.dialect import Dialect, Known, next_dialect
from cluster.errors import CallFailed
from cluster.journal import JournalReader, JournalWriter, call_key, index_segments
from cluster.journaled_chat import JournaledChat
from cluster.keys import Endpoint, Secret
from cluster.lanes import Lanes
from cluster.meter import Tally
from cluster.retry import Trouble
from cluster.spending import prompt_tokens
from cluster.tool_calls import ToolCall, calls_in_text
from cluster.tools_in_prompt import asked_in_words, calls_schema
from cluster.transport import OpenAITransport
from cluster.wire import body_of, read_answer

WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1, "maximum": 7}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOLS = [
    {"type": "function", "function": {"name": "weather", "description": "The weather.", "parameters": WEATHER}},
    {"type": "function", "function": {"name": "now", "description": "The time."}},
]
CALLED = {
    "role": "assistant",
    "content": "",
    "tool_calls": [ToolCall("c1", "weather", '{"city": "Oban"}').as_message()],
}
TOLD = {"role": "tool", "content": '{"sky": "grey"}', "tool_call_id": "c1"}


def request(number: int = 0, **changes: object) -> ChatRequest:
    messages = [{"role": "system", "content": "You help."}, {"role": "user", "content": f"How is Oban? ({number})"}]
    plain = ChatRequest(Role.RESPONDENT, messages, f"item-{number}", 500, 0.5, number, tools=TOOLS)
    return replace(plain, **changes)


def asked(server, *requests: ChatRequest) -> list[ChatAnswer]:
    """What each brings, one after the other, over one transport."""
    [lane] = Lanes([Endpoint("e", server.base_url, "m", [("one", Secret("sk-1"))])])

    async def main() -> list[ChatAnswer]:
        transport = OpenAITransport(10.0)
        try:
            return [await transport.send(lane, one) for one in requests]
        finally:
            await transport.close()

    return asyncio.run(main())


def statuses(server) -> list[int]:
    return [row["status"] for row in server.log()]


def fits(answer: ChatAnswer) -> bool:
    schemas = {"weather": WEATHER, "now": {"type": "object"}}
    for call in answer.tool_calls:
        jsonschema.validate(json.loads(call.arguments), schemas[call.name])
    return bool(answer.tool_calls)


# --- in the text


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>\n{"name": "weather", "arguments": {"city": "Oban"}}\n</tool_call>',
        '<think>The user wants {"name": "now"}.</think><tool_call>{"name": "weather", "arguments": {"city": "Oban"}}',
        '```json\n{"name": "weather", "arguments": {"city": "Oban"}}\n```',
        '{"name": "weather", "parameters": {"city": "Oban"}}',
        '<|python_tag|>{"name": "weather", "parameters": {"city": "Oban"}}',
        '[TOOL_CALLS] [{"name": "weather", "arguments": {"city": "Oban"}}]',
        '{"tool_calls": [{"name": "weather", "arguments": {"city": "Oban"}}], "answer": ""}',
        '{"type": "function", "function": {"name": "weather", "arguments": "{\\"city\\": \\"Oban\\"}"}}',
        "<tool_call>{'name': 'weather', 'arguments': {'city': 'Oban',}}</tool_call>",
    ],
)
def test_a_call_that_a_model_wrote_as_text_is_a_call(text):
    [call], rest = calls_in_text(text)
    assert (call.name, json.loads(call.arguments), call.id, rest) == ("weather", {"city": "Oban"}, "", "")


def test_several_tags_are_several_calls_and_the_rest_is_said():
    text = 'Let me see. <tool_call>{"name": "now", "arguments": {}}</tool_call>'
    calls, rest = calls_in_text(text + '\n<tool_call>{"name": "weather", "arguments": {"city": "Oban"}}</tool_call>')
    assert [call.name for call in calls] == ["now", "weather"] and rest == "Let me see."


def test_a_line_each_is_a_call_each():
    calls, rest = calls_in_text('{"name": "now", "arguments": {}}\n{"name": "weather", "parameters": {"city": "Oban"}}')
    assert [call.name for call in calls] == ["now", "weather"] and rest == ""


@pytest.mark.parametrize("text", ['{{"name": "now", "arguments": {}}}', '[{"name": "now", "arguments": {"a": ]'])
def test_what_looks_like_a_call_is_no_message_though_it_be_broken(text):
    calls, rest = calls_in_text(text)
    assert calls and rest == ""


def test_a_tag_that_cannot_be_read_is_a_call_without_a_name():
    [call], _ = calls_in_text("<tool_call>weather in Oban</tool_call>")
    assert (call.name, call.arguments) == ("", "weather in Oban")


@pytest.mark.parametrize(
    "text", ["It rains.", '{"name": "Ann"}', "```json\n[1, 2]\n```", '{"a": {"name": 1}}', "{", "", '{"arguments": {}}']
)
def test_other_texts_are_no_calls(text):
    assert calls_in_text(text) == ((), text)


@pytest.mark.parametrize("text", ['{"tool_calls": [], "answer": "It rains."}', '{"answer": "It rains."}'])
def test_an_answer_beside_no_calls_is_the_text(text):
    assert calls_in_text(text) == ((), "It rains.")


# --- on the wire


def test_tools_and_the_choice_go_along_and_calls_come_back(shared_server):
    server = shared_server()
    body = json.loads(body_of(request(), "m", Dialect()))
    assert (body["tools"], body["tool_choice"]) == (TOOLS, "auto")
    [answer] = asked(server, request())
    assert fits(answer) and answer.text == "" and answer.finish_reason == "tool_calls"
    assert answer.usage.completion_tokens > 0 and statuses(server) == [200]


def test_a_request_without_tools_says_nothing_of_them():
    body = json.loads(body_of(request(tools=None), "m", Dialect()))
    assert not {"tools", "tool_choice"} & body.keys()
    assert not {"tools", "tool_choice"} & request(tools=None).canonical().keys()
    said = json.dumps({"choices": [{"message": {"content": '{"name": "now", "arguments": {}}'}}]}).encode()
    answer, _ = read_answer(said, request(tools=None), "m", Endpoint("e", "http://e/v1", "m", []))
    assert answer.text.startswith('{"name"') and answer.tool_calls == ()


def test_what_was_called_and_told_before_goes_along(shared_server):
    [answer] = asked(shared_server(), request(messages=[*request().messages, CALLED, TOLD]))
    assert answer.text or answer.tool_calls


@pytest.mark.parametrize("body", [{"tool_calls": None}, {"tool_calls": "x"}, {"tool_calls": [{"function": None}, 3]}])
def test_calls_that_are_none_are_left_out(body):
    said = json.dumps({"choices": [{"message": {"content": "Grey."} | body}]}).encode()
    answer, counted = read_answer(said, request(), "m", Endpoint("e", "http://e/v1", "m", []))
    assert (answer.text, answer.tool_calls, counted) == ("Grey.", (), False)


def test_the_prompt_of_tools_counts_towards_what_a_call_may_cost():
    longer = request(messages=[*request().messages, CALLED, TOLD])
    assert prompt_tokens(request(tools=None)) < prompt_tokens(request()) < prompt_tokens(longer)


# --- where tools are not taken


def test_where_tools_are_refused_they_stand_in_the_prompt_and_the_refusal_happens_once(shared_server):
    server = shared_server(refuse=["tools"])
    answers = asked(server, *(request(number, tool_choice=ToolChoice.REQUIRED) for number in range(4)))
    assert all(map(fits, answers)) and statuses(server) == [400, 200, 200, 200, 200]


def test_where_neither_tools_nor_a_schema_is_taken_the_prompt_alone_serves(shared_server):
    server = shared_server(refuse=["tools", "json_schema"])
    answers = asked(server, *(request(number, tool_choice=ToolChoice.REQUIRED) for number in range(3)))
    assert all(map(fits, answers)) and statuses(server) == [400, 400, 200, 200, 200]


def test_where_the_choice_is_refused_it_is_left_out(shared_server):
    server = shared_server(refuse=["tool_choice"])
    assert all(map(fits, asked(server, request(1), request(2)))) and statuses(server) == [400, 200, 200]


def test_an_endpoint_that_never_shows_tools_to_its_model_is_found_out_when_a_call_is_required(shared_server):
    server = shared_server(script=["0-1=no_call"])
    free, forced, after = asked(server, request(0), request(1, tool_choice=ToolChoice.REQUIRED), request(2))
    assert not free.tool_calls and fits(forced)
    assert forced.usage.calls == 2
    assert len(statuses(server)) == 4 and (after.tool_calls or after.text)


def test_an_endpoint_that_has_called_once_is_not_doubted(shared_server):
    server = shared_server(script=["1=no_call"])
    called, not_called = asked(server, request(0), request(1, tool_choice=ToolChoice.REQUIRED))
    assert fits(called) and not not_called.tool_calls and len(statuses(server)) == 2


def test_a_model_that_writes_calls_as_text_is_understood(shared_server):
    [answer] = asked(shared_server(share={"text_call": 1.0}), request())
    assert fits(answer) and answer.text == ""


def test_what_tools_said_is_the_users_in_the_prompt_and_the_list_the_systems():
    messages, schema = asked_in_words(request(messages=[*request().messages, CALLED, TOLD, TOLD]))
    assert [one["role"] for one in messages] == ["system", "user", "assistant", "user"]
    assert messages[0]["content"].startswith("You help.") and '"name": "weather"' in messages[0]["content"]
    assert json.loads(messages[2]["content"])["tool_calls"] == [{"name": "weather", "arguments": {"city": "Oban"}}]
    assert messages[3]["content"].count('Result of weather: {"sky": "grey"}') == 2
    jsonschema.Draft202012Validator.check_schema(schema)


def test_where_none_may_be_called_the_prompt_asks_for_an_answer_alone():
    _, schema = asked_in_words(request(tool_choice=ToolChoice.NONE))
    assert list(schema["properties"]) == ["answer"]


@pytest.mark.parametrize("choice", ToolChoice)
def test_what_the_prompt_brings_is_what_was_asked_for(shared_server, choice):
    server = shared_server(refuse=["tools"])
    for answer in asked(server, *(request(number, tool_choice=choice) for number in range(6))):
        assert bool(answer.tool_calls) != bool(answer.text) and not answer.text.startswith("{")
        assert choice is ToolChoice.AUTO or bool(answer.tool_calls) == (choice is ToolChoice.REQUIRED)


def test_the_schema_of_calls_takes_those_that_fit_and_no_others():
    check = jsonschema.Draft202012Validator(calls_schema(TOOLS, ToolChoice.REQUIRED))
    assert check.is_valid({"tool_calls": [{"name": "weather", "arguments": {"city": "Oban"}}], "answer": ""})
    for call in ({"name": "weather", "arguments": {"town": "Oban"}}, {"name": "clock", "arguments": {}}):
        assert not check.is_valid({"tool_calls": [call], "answer": ""})
    assert not check.is_valid({"tool_calls": [], "answer": "No."})


def test_a_bad_request_that_has_tools_is_refused_as_it_was_once_tools_have_worked():
    known = Known()
    known.worked(Dialect(), structured=False, tooled=True, called=True)
    assert next_dialect(known, [Dialect()], None, structured=False, tooled=True) is None
    assert next_dialect(Known(), [Dialect()], None, structured=False, tooled=True) == Dialect(tools=False)


def test_an_answer_without_a_call_leaves_it_open_whether_tools_are_taken():
    known = Known()
    known.worked(Dialect(), structured=False, tooled=True)
    assert known.is_open(False, tooled=True) and not known.is_open(False)


# --- kept


def test_calls_are_kept_in_the_journal_and_an_answer_of_calls_alone_is_not_empty(tmp_path, shared_server):
    server = shared_server()
    [lane] = Lanes([Endpoint("e", server.base_url, "m", [("one", Secret("sk-1"))])])

    class Straight:
        """Over HTTP, without lanes."""

        def __init__(self) -> None:
            self.transport = OpenAITransport(10.0)

        async def answer(self, asked: ChatRequest) -> ChatAnswer:
            return await self.transport.send(lane, asked)

        async def stop(self, reason: str) -> None:
            return None

        async def close(self) -> None:
            await self.transport.close()

    async def once() -> ChatAnswer:
        index_segments(tmp_path)
        chat = JournaledChat(Straight(), JournalReader(tmp_path), JournalWriter(tmp_path, "w"), Tally(None))
        try:
            return await chat.answer(request())
        finally:
            await chat.close()

    first, again = asyncio.run(once()), asyncio.run(once())
    assert first == again and fits(first)
    assert server.stats()["requests"] == 1


def test_the_record_of_an_answer_without_calls_is_as_it_always_was():
    assert set(ChatAnswer("Grey.", "m", usage=Usage(1)).record()) == {"text", "model", "finish_reason", "usage"}


def test_calls_with_tools_go_through_the_files_of_batches(tmp_path):
    folder = BatchFolder(tmp_path / "batches", "run")
    sent = [request(0), request(1, tool_choice=ToolChoice.REQUIRED), request(2, tools=None)]
    found = list(folder.requests(folder.begin("m", "http://e/v1", sent)))
    assert found == sent
    keys = [[call_key(one.canonical(), one.item) for one in some] for some in (found, sent)]
    assert keys[0] == keys[1] and len(set(keys[0])) == 3


def test_a_refusal_of_tools_by_a_bad_key_is_no_question_of_dialect(shared_server):
    with pytest.raises((Trouble, CallFailed)) as caught:
        asked(shared_server(keys=["other"]), request())
    assert caught.value.status == 401


def test_a_text_that_loses_itself_in_empty_lines_is_read_at_once():
    text = "Here ```" + "\n" * 500_000 + "x"
    assert calls_in_text(text) == ((), text)


def test_a_call_that_is_nested_too_deeply_is_one_that_cannot_be_read():
    text = '{"a":' * 3000
    assert calls_in_text(f"<tool_call>{text}") == ((ToolCall("", "", text),), "")
