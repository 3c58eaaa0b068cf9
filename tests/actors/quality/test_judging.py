import asyncio
import json
from dataclasses import replace

import pytest

from actors.logic.dialogue import Context, Dialogue, DialogueRule, PersonaIn, Scene, ToolCall, Turn
from actors.logic.quality import CRITERIA, Rating, judge, judge_sha, own_rubric
from cluster.chat import ChatRequest, Role, ScriptedChat, Usage
from cluster.errors import CallFailed, FailureKind, UserError

SCENE = Scene("c" * 24, "doc", "p" * 24, "A baker in Paris who rises early", 1, "A text about bread.")
DIALOGUE = Dialogue(SCENE, DialogueRule("You answer.", 1, Context.DOCUMENT, seed=7))
GIVEN = "You answer.\n\nThe document: A text about bread."
TURNS = [Turn("system", GIVEN), Turn("user", "How long does dough rest?"), Turn("assistant", "An hour.")]


def said(score: object, **others: object) -> str:
    return json.dumps({name: {"reason": f"about {name}", "score": others.get(name, score)} for name in CRITERIA})


def rated(*answers: str, dialogue=DIALOGUE, turns=TURNS, rubric: str = "") -> tuple[Rating, list[ChatRequest]]:
    """The rating by a judge that gives these answers in turn, and what it was asked."""
    left, asked = list(answers), []

    def script(request: ChatRequest) -> str:
        asked.append(request)
        return left.pop(0)

    return asyncio.run(judge(dialogue.voice(ScriptedChat(script)), dialogue, turns, rubric)), asked


def failure(*answers: str) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        rated(*answers)
    return caught.value


def read(request: ChatRequest) -> str:
    return "\n".join(message["content"] for message in request.messages)


def test_a_rating_has_each_score_with_its_reason_and_their_mean():
    rating, [request] = rated(said(0.5, groundedness=0.9, coherence=0))
    assert rating.scores == {"groundedness": 0.9, "persona_consistency": 0.5, "helpfulness": 0.5, "coherence": 0}
    assert rating.reasons["coherence"] == "about coherence"
    assert rating.overall == 0.475 and rating.row() == {**rating.scores, "overall": 0.475}
    assert request.role is Role.JUDGE and request.temperature == 0 and request.item == f"{SCENE.conversation_id}/judge"


def test_a_mean_on_the_threshold_is_on_it():
    rating = Rating(dict.fromkeys(CRITERIA, 0.1) | {"coherence": 0.3, "helpfulness": 0.3}, {}, "m", Usage())
    assert rating.overall == 0.2


def test_the_judge_reads_the_persona_the_document_and_all_that_was_said():
    calls = (ToolCall("call_1", "look_up", '{"word": "rye"}'),)
    turns = [*TURNS[:2], Turn("assistant", "", calls), Turn("tool", "a grain", tool_call_id="call_1"), TURNS[2]]
    _, [request] = rated(said(1), turns=turns)
    text = read(request)
    for part in (SCENE.persona, GIVEN, "user: How long", 'calls look_up({"word": "rye"})', "tool: a grain"):
        assert part in text


def test_who_asks_as_nobody_in_particular_is_not_held_against_a_persona():
    nobody = replace(DIALOGUE, rule=replace(DIALOGUE.rule, persona_in=PersonaIn.ANSWER))
    _, [request] = rated(said(1), dialogue=nobody)
    assert "(nobody in particular)" in read(request) and SCENE.persona not in read(request)


def test_an_assistant_is_held_against_what_it_was_given_alone():
    _, [request] = rated(said(1), turns=[Turn("system", "You answer."), *TURNS[1:]])
    assert SCENE.document not in read(request)


def test_a_task_that_nobody_answers_is_read_from_its_question():
    _, [request] = rated(said(1), turns=[Turn("user", "Solve this.")])
    assert "user: Solve this." in read(request) and "(nothing)" in read(request)


def test_what_the_judge_reads_is_bounded_whatever_was_said():
    turns = [
        Turn("system", "d" * 10**6),
        *[Turn("user", "q" * 10**6), Turn("tool", "t" * 10**7)] * 20,
        Turn("assistant", "The end."),
    ]
    _, [request] = rated(said(1), turns=turns)
    assert len(read(request)) < 45_000
    assert "characters are left out" in read(request) and "The end." in read(request)


@pytest.mark.parametrize("score", [8, 80, 1.01, -0.5, True, 7.5])
def test_another_scale_is_told_to_the_judge_as_wrong_and_never_made_to_fit(score):
    rating, [_, again] = rated(said(score), said(0.8))
    assert set(rating.scores.values()) == {0.8}
    assert "scores are from 0 (worst) to 1 (best), not out of 5, 10 or 100" in again.messages[-1]["content"]
    assert again.item == f"{SCENE.conversation_id}/judge/corrected"
    assert rating.usage.calls == 2


@pytest.mark.parametrize("answer", [said(8), said("NaN"), said("good"), said(None), "I liked it a lot.", "{}", ""])
def test_a_judge_that_stays_off_the_scale_is_given_up_by_name(answer):
    fault = failure(said(80), answer)
    assert fault.kind is FailureKind.MALFORMED and fault.message.startswith("the judge: ")


def test_a_number_that_is_not_one_is_no_score():
    fault = failure(said(0.5).replace("0.5", "NaN"), said(0.5).replace("0.5", "Infinity"))
    assert fault.kind is FailureKind.MALFORMED


def test_a_rubric_of_the_users_own_takes_the_place_of_ours():
    own = own_rubric("groundedness, helpfulness, coherence: as always. persona_consistency: speaks {{Breton}}.")
    _, [request] = rated(said(1), rubric=own)
    assert "speaks {Breton}." in read(request) and "borne out by what" not in read(request)
    assert judge_sha(own) != judge_sha("")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("groundedness by {document}", "has {document}, but no field is filled in there; double braces"),
        ("groundedness {", "brace"),
        (" \n", "empty"),
        ("groundedness, helpfulness and coherence", "says nothing of persona_consistency"),
        ("x" * 20_001, "20,000 are the most"),
    ],
)
def test_a_rubric_that_cannot_be_used_is_refused_with_the_way_out(text, told):
    with pytest.raises(UserError) as caught:
        own_rubric(text)
    assert told in str(caught.value) and "conversations.rubric" in str(caught.value)
