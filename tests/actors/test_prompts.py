import asyncio
from dataclasses import replace
from importlib.resources import files

import pytest

from actors import prompts
from actors.logic.dialogue import Context, Dialogue, DialogueRule, Scene
from actors.logic.persona import Granularity
from actors.logic.persona_call import PersonaCall
from actors.prompts import load, parse, render
from cluster.chat import ChatRequest, ScriptedChat
from cluster.errors import CallFailed, UserError

PACKAGED = sorted(path.name.removesuffix(".txt") for path in files(prompts).iterdir() if path.name.endswith(".txt"))
CALL = PersonaCall("doc", None, 0, "A text about bread.", 2, Granularity.MEDIUM, 7)
SCENE = Scene("c", "doc", "p", "a baker", 0, "A text about bread.")


def refusal(prompt: prompts.Prompt, **values: str) -> str:
    with pytest.raises(UserError) as caught:
        render(prompt, **values)
    return str(caught.value)


def test_there_are_prompts_in_the_package():
    assert {"text_to_persona", "persona_to_persona", "correspondent"} <= set(PACKAGED)


@pytest.mark.parametrize("name", PACKAGED)
def test_a_packaged_prompt_renders_with_its_fields_and_leaves_no_brace_of_its_own_open(name):
    prompt = load(name)
    messages = render(prompt, **{field: f"<{field}>" for field in prompt.fields})
    whole = "\n".join(message["content"] for message in messages)
    assert all(f"<{field}>" in whole for field in prompt.fields)
    assert all(message["content"].strip() for message in messages)
    assert "{{" not in whole and "}}" not in whole
    assert "---" not in whole


@pytest.mark.parametrize("name", PACKAGED)
def test_the_fields_of_a_packaged_prompt_are_plain_names(name):
    assert all(field.isidentifier() for field in load(name).fields)


@pytest.mark.parametrize("name", PACKAGED)
def test_a_packaged_prompt_ends_its_file_with_a_line_and_has_no_space_at_line_ends(name):
    text = files(prompts).joinpath(f"{name}.txt").read_text(encoding="utf-8")
    assert text.endswith("\n") and not text.endswith("\n\n")
    assert all(line == line.rstrip() for line in text.splitlines())


@pytest.mark.parametrize(
    "call",
    [
        CALL,
        replace(CALL, parent_id="a" * 24),
        replace(CALL, one_per_request=True),
        replace(CALL, parent_id="a" * 24, one_per_request=True),
    ],
    ids=["document", "parent", "document, one", "parent, one"],
)
@pytest.mark.parametrize("granularity", Granularity)
def test_every_persona_call_finds_a_prompt_that_takes_its_fields(call, granularity):
    asked: list[ChatRequest] = []

    def script(request: ChatRequest) -> str:
        asked.append(request)
        return "nobody"

    with pytest.raises(CallFailed):
        asyncio.run(replace(call, granularity=granularity).run(ScriptedChat(script)))
    assert all(any(call.text in message["content"] for message in request.messages) for request in asked)


@pytest.mark.parametrize("context", Context)
def test_every_dialogue_finds_prompts_that_take_its_fields(context):
    dialogue = Dialogue(SCENE, DialogueRule("You help.", 2, context, 7))
    conversation = asyncio.run(dialogue.run(ScriptedChat(lambda request: request.item)))
    assert len(conversation.turns) == 5


def test_what_is_asked_for_in_json_names_the_fields_that_are_read():
    for name in ("text_to_persona", "persona_to_persona"):
        prompt = load(name)
        text = render(prompt, **dict.fromkeys(prompt.fields, "x"))[-1]["content"]
        assert '{"personas": [{"relation": ' in text and '"persona": "A … who …"}' in text


def test_a_prompt_with_a_divider_is_a_system_and_a_user_message():
    assert render(parse("p", "You are {who}.\n---\nSay {what}."), who="a baker", what="hello") == [
        {"role": "system", "content": "You are a baker."},
        {"role": "user", "content": "Say hello."},
    ]


def test_a_prompt_without_a_divider_is_a_user_message():
    assert render(parse("p", "Say {what}."), what="hello") == [{"role": "user", "content": "Say hello."}]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"who": "x"}, "prompt p lacks what"),
        ({}, "prompt p lacks what, who"),
        ({"who": "x", "what": "y", "why": "z"}, "prompt p does not use why"),
        ({"who": "x", "why": "z"}, "prompt p lacks what and does not use why"),
    ],
)
def test_a_missing_or_unused_field_is_named(values, said):
    assert refusal(parse("p", "{who} and {what}"), **values) == said


def test_doubled_braces_are_literal_ones():
    assert render(parse("p", 'Answer {{"a": [{x}]}}'), x="1") == [{"role": "user", "content": 'Answer {"a": [1]}'}]
    assert parse("p", "{{x}}").fields == frozenset()


@pytest.mark.parametrize("odd", ["{x}", "{", "}", "{{x}}", "{0}", "%s", "$x", "\\", "---", "a\n---\nb"])
def test_what_is_filled_in_stays_as_it_is(odd):
    messages = render(parse("p", "system {a}\n---\nuser {b}"), a=odd, b=odd)
    assert [message["content"] for message in messages] == [f"system {odd}", f"user {odd}"]


@pytest.mark.parametrize("text", ["a { b", "a } b", "{x", 'Answer {"a": 1'])
def test_braces_that_do_not_pair_up_are_refused_with_the_way_out(text):
    with pytest.raises(UserError) as caught:
        parse("mine", text)
    assert "prompt mine" in str(caught.value)
    assert "{{ or }}" in str(caught.value)


@pytest.mark.parametrize("text", ["{}", "{0}", "{a.b}", "{a[0]}", '{"persona": "…"}'])
def test_a_place_that_is_no_plain_field_is_refused_and_not_an_accident_later(text):
    with pytest.raises(UserError) as caught:
        render(parse("mine", text), a="x")
    assert "mine" in str(caught.value)


def test_the_sha_follows_the_text():
    assert parse("p", "a").sha == parse("q", "a").sha != parse("p", "b").sha
    assert len(parse("p", "a").sha) == 12
