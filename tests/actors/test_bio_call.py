"""The program of one person: how it asks, corrects, gives up, and what it hands back."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from actors.logic.bio_call import BioCall
from actors.logic.bio_rule import BioRule, bio_id
from actors.logic.bio_text import BioKind
from cluster.chat import ChatRequest, ScriptedChat
from cluster.errors import CallFailed, UserError

RULE = BioRule(BioKind.BIO, "A medieval village.", "", 3)
TRAITS = {"age": 34, "work": "weaver"}
CALL = BioCall("b" * 24, RULE, "model-b", TRAITS)
GOOD = {"bio": "Eira, a 34-year-old weaver, sells her cloth at the gates."}


def run(call: BioCall, *answers: object) -> tuple[object, list[ChatRequest]]:
    """What comes of the answers, given in turn, the last one again and again; and what was asked."""
    asked: list[ChatRequest] = []

    def script(request: ChatRequest) -> str:
        asked.append(request)
        answer = answers[min(len(asked), len(answers)) - 1]
        return answer if isinstance(answer, str) else json.dumps(answer)

    try:
        return asyncio.run(call.run(ScriptedChat(script, "told"))), asked
    except CallFailed as failure:
        return failure, asked


def test_the_prompt_holds_the_simulation_and_every_trait_and_names_the_model():
    made, [request] = run(CALL, GOOD)
    whole = "\n".join(message["content"] for message in request.messages)
    assert "A medieval village." in whole and "age: 34\nwork: weaver" in whole
    assert (request.model, request.canonical()["model"]) == ("model-b", "model-b")
    assert (made.text, made.traits, made.model, made.said) == (GOOD["bio"], TRAITS, "told", 1.0)


def test_a_request_that_names_no_model_is_hashed_as_before():
    assert "model" not in run(replace(CALL, model=None), GOOD)[1][0].canonical()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("Here is Eira, a weaver of 34.", "no JSON object"),
        ("# Eira\n- age: 34", "no JSON object"),
        ({"biography": "Eira, a weaver of 34."}, "field required"),
        ({"bio": "Eira is a weaver in the town. She is 34."}, "2 sentences"),
        ({"bio": "Joran is a fisherman who sails around the islands."}, "age: 34; work: weaver"),
    ],
    ids=["prose", "markdown", "shape", "sentences", "traits"],
)
def test_what_will_not_do_is_told_to_the_model_in_the_same_conversation(wrong, said):
    made, asked = run(CALL, wrong, GOOD)
    assert made.text == GOOD["bio"] and len(asked) == 2
    assert said in asked[1].messages[-1]["content"].lower() or said in asked[1].messages[-1]["content"]
    assert asked[1].item != asked[0].item


def test_after_a_correction_in_vain_it_is_asked_afresh_and_then_given_up_with_the_reason():
    failure, asked = run(CALL, "no")
    assert [len(request.messages) for request in asked] == [2, 4, 2] and asked[2].seed != asked[0].seed
    assert "no JSON object" in failure.message and failure.attempts == 3


def test_a_backstory_out_of_bounds_is_asked_again_with_its_count():
    call = replace(CALL, rule=replace(RULE, kind=BioKind.BACKSTORY))
    long, good = ("Eira the weaver is 34. " + "word " * count for count in (300, 180))
    made, asked = run(call, {"backstory": long}, {"backstory": good})
    assert "305 words; write between 150 and 250" in asked[1].messages[-1]["content"]
    assert made.text == " ".join(good.split())


def test_in_a_language_of_its_own_a_text_is_not_searched_for_the_words_of_the_traits():
    made, [request] = run(
        replace(CALL, rule=replace(RULE, language="Turkish")),
        {"bio": "Eira köyde kumaş dokuyan otuz dört yaşında biri."},
    )
    assert made.said is None and "Write in Turkish." in request.messages[-1]["content"]


def test_traits_of_a_persona_are_read_first_and_paid_for_in_the_same_row():
    traits = {"traits": [{"name": "work", "value": "weaver"}, {"name": "age", "value": "34"}]}
    call = replace(CALL, traits=None, persona_id="p", persona="A weaver of 34 in Inverness.")
    made, asked = run(call, traits, GOOD)
    assert made.traits == {"work": "weaver", "age": "34"} and made.usage.calls == 2
    assert all("A weaver of 34 in Inverness." in request.messages[-1]["content"] for request in asked)


def test_ids_hang_on_seed_kind_source_and_number_alone():
    ours = bio_id(0, BioKind.BIO, "x", 1)
    others = [bio_id(1, BioKind.BIO, "x", 1), bio_id(0, BioKind.BACKSTORY, "x", 1), bio_id(0, BioKind.BIO, "x", 2)]
    assert ours == bio_id(0, BioKind.BIO, "x", 1) and ours not in others and len(ours) == 24


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Write of {person} with {traits}", "has {person}, but the fields are"),
        ("Write of somebody.", "lacks {traits}"),
        ('Answer {"bio": {traits}}', "bios.prompt"),
        ("{traits} }", "{{ or }}"),
        ("{traits}" + "x" * 20_000, "20,008 characters"),
        ("{} {traits}", "has {}"),
    ],
    ids=["unknown", "missing", "literal", "unpaired", "huge", "unnamed"],
)
def test_a_prompt_of_the_users_own_that_cannot_be_used_is_refused_in_one_line(text, said):
    with pytest.raises(UserError) as caught:
        replace(RULE, prompt=text).template()
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_prompt_of_the_users_own_is_filled_in_and_its_hash_stands_in_the_row():
    own = replace(RULE, prompt='Say who lives in "{description}" with {traits} as {{"bio": "…"}}.')
    made, [request] = run(replace(CALL, rule=own), GOOD)
    assert request.messages[0]["content"].startswith('Say who lives in "A medieval village." with age: 34')
    assert made.prompt_sha == own.template().sha != RULE.template().sha
