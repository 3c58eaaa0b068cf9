import asyncio
from dataclasses import replace
from itertools import product

import pytest

from actors.logic.dialogue import Context, Conversation, Dialogue, DialogueRule, PersonaIn, Scene, Task
from actors.logic.dialogue.manner import MannerCall
from actors.logic.dialogue.tasks import QUESTIONS, TEXTS
from cluster.chat import ChatRequest, Role, ScriptedChat
from cluster.errors import CallFailed, UserError

SCENE = Scene("c" * 24, "doc", "p" * 24, "A baker in Paris who rises early", 1, "A text about rye bread.")


def rule(task: Task | None, **changes: object) -> DialogueRule:
    return replace(DialogueRule("You help.", 1, Context.NONE, seed=7, task=task), **changes)


def make(made: DialogueRule, scene: Scene = SCENE) -> tuple[Conversation, list[ChatRequest]]:
    asked: list[ChatRequest] = []

    def script(request: ChatRequest) -> str:
        asked.append(request)
        return f"says {request.item}"

    return asyncio.run(Dialogue(scene, made).run(ScriptedChat(script))), asked


def whole(request: ChatRequest) -> str:
    return "\n".join(message["content"] for message in request.messages)


@pytest.mark.parametrize("name", QUESTIONS)
def test_the_question_of_a_task_is_written_from_the_persona_and_answered_without_it(name):
    conversation, [asks, answers] = make(rule(Task(name)))
    assert [turn.role for turn in conversation.turns] == ["system", "user", "assistant"]
    assert (asks.role, answers.role) == (Role.CORRESPONDENT, Role.RESPONDENT)
    assert SCENE.persona in whole(asks) and SCENE.persona not in whole(answers)
    assert answers.messages[-1]["content"] == conversation.turns[1].content == f"says {asks.item}"


@pytest.mark.parametrize("name", TEXTS)
def test_the_text_of_a_task_is_what_the_assistant_answers_to_the_task_itself(name):
    conversation, [answers] = make(rule(Task(name)))
    assert [turn.role for turn in conversation.turns] == ["system", "user", "assistant"]
    assert answers.role is Role.RESPONDENT
    assert SCENE.persona in conversation.turns[1].content
    assert conversation.correspondent_model == ""


def test_a_question_may_go_without_an_answer():
    conversation, [_] = make(rule(Task("math"), is_answered=False))
    assert [turn.role for turn in conversation.turns] == ["user"]
    assert conversation.respondent_model == "" and conversation.usage.calls == 1


@pytest.mark.parametrize(("name", "persona_in"), list(product(["instruction", None], PersonaIn)))
def test_the_persona_is_known_to_those_who_are_told_of_it(name, persona_in):
    task = Task(name) if name else None
    _, [asks, answers] = make(rule(task, persona_in=persona_in))
    assert (SCENE.persona in whole(asks)) == (persona_in in (PersonaIn.QUESTION, PersonaIn.BOTH))
    assert (SCENE.persona in whole(answers)) == (persona_in in (PersonaIn.ANSWER, PersonaIn.BOTH))


def test_the_document_is_known_to_both_where_it_is_the_context():
    for context, known in ((Context.NONE, False), (Context.DOCUMENT, True)):
        for request in make(rule(Task("reasoning"), context=context))[1]:
            assert (SCENE.document in whole(request)) == known


def test_with_neither_persona_nor_document_the_subject_is_free():
    _, [asks, _] = make(rule(Task("math"), persona_in=PersonaIn.NONE))
    assert "Choose the subject yourself" in whole(asks)


def test_after_the_task_the_persona_asks_on():
    conversation, [_, _, on, _] = make(rule(Task("math"), max_turns=2))
    assert [turn.role for turn in conversation.turns] == ["system", *["user", "assistant"] * 2]
    assert SCENE.persona in on.messages[0]["content"]


def test_a_refused_question_is_asked_for_again():
    said = iter(["I'm sorry, but I can't help with that.", "What is 2 + 2?", "4"])
    chat = ScriptedChat(lambda request: next(said))
    assert asyncio.run(Dialogue(SCENE, rule(Task("math"))).run(chat)).turns[1].content == "What is 2 + 2?"


OWN = "Write a haiku that {persona} would like.\n{document}"


def test_a_task_of_ones_own_is_a_template():
    conversation, [asks, _] = make(rule(Task("haiku", OWN)))
    assert f"a haiku that {SCENE.persona} would like.\n{SCENE.document}" in whole(asks)
    assert len(conversation.turns) == 3


@pytest.mark.parametrize(
    ("template", "is_conditioned", "named"),
    [
        ("Write a haiku.", True, "lacks {persona}"),
        ("Write of {person}.", True, "{person}"),
        ("Write of {persona} as {0}.", True, "{0}"),
        ('Write {"haiku"} of {persona}.', True, "haiku"),
        ("Write of {persona", True, "literal brace"),
        ("Write of {persona}.", False, "{persona}"),
        ("Write of {persona}. " * 2000, True, "characters"),
    ],
)
def test_a_template_that_cannot_be_used_is_named_with_its_fault(template, is_conditioned, named):
    with pytest.raises(UserError, match="haiku") as caught:
        Task("haiku", template, is_conditioned).prompt()
    assert named in str(caught.value)


def test_what_asks_is_told_apart_by_its_templates():
    rules = [rule(Task(name)) for name in (*QUESTIONS, *TEXTS)]
    rules += [rule(Task("own", OWN)), rule(None), rule(None, manner="You write in haste.")]
    rules += [rule(Task("math"), persona_in=PersonaIn.NONE), rule(Task("math"), context=Context.DOCUMENT)]
    assert len({Dialogue(SCENE, one).prompt_shas()["correspondent"] for one in rules}) == len(rules)
    answers = [rule(None, persona_in=one) for one in (PersonaIn.QUESTION, PersonaIn.BOTH)]
    assert len({Dialogue(SCENE, one).prompt_shas()["respondent"] for one in answers}) == 2


# --- nobody in particular


@pytest.mark.parametrize("small_model", [False, True])
def test_without_a_persona_somebody_asks_about_the_document(small_model):
    made = rule(None, persona_in=PersonaIn.NONE, small_model=small_model, context=Context.DOCUMENT)
    said = iter(['{"message": "What is rye?"}', "A grain. It grows."])
    asked: list[ChatRequest] = []
    chat = ScriptedChat(lambda request: asked.append(request) or next(said))
    asyncio.run(Dialogue(replace(SCENE, persona="", persona_id=""), made).run(chat))
    assert SCENE.document in whole(asked[0])
    assert "<person>" not in whole(asked[0])


# --- who talks to the assistant


def test_the_manner_stands_before_every_correspondent_and_nobody_else():
    made = rule(None, max_turns=2, manner="You write in haste.")
    for request in make(made)[1]:
        assert ("You write in haste." in whole(request)) == (request.role is Role.CORRESPONDENT)


def test_a_manner_is_written_from_the_instructions_of_the_assistant():
    asked: list[ChatRequest] = []
    chat = ScriptedChat(lambda request: asked.append(request) or "You are in a hurry.")
    assert asyncio.run(MannerCall("You repair bicycles.", 7, 99).run(chat)) == "You are in a hurry."
    assert "You repair bicycles." in whole(asked[0])
    with pytest.raises(CallFailed):
        asyncio.run(MannerCall("You repair bicycles.", 7, 99).run(ScriptedChat(lambda request: "  ")))
