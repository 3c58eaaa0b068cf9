"""The program of one person: how it asks, corrects, gives up, and what it hands back."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from actors.logic.bio_call import BioCall
from actors.logic.bio_rule import BioRule, bio_id
from actors.logic.bio_text import BioKind
from actors.logic.prose import words
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


STORY = replace(CALL, rule=replace(RULE, kind=BioKind.BACKSTORY))
OPENING = GOOD["bio"]
EVENTS = [" ".join(["In", *(f"{what}{at}" for what in "abcdefghijk"), "of the town."]) for at in range(40)]


def test_a_backstory_that_will_do_is_one_call():
    made, asked = run(STORY, {"backstory": " ".join([OPENING, *EVENTS[:12]])})
    assert made.prompt_sha == STORY.rule.template().sha and made.usage.calls == len(asked) == 1


def test_a_backstory_that_is_too_short_is_gone_on_with_from_where_it_ends():
    short = " ".join([OPENING, *EVENTS[:8]])
    made, asked = run(STORY, {"backstory": short}, {"more": " ".join(EVENTS[8:11])}, {"more": " ".join(EVENTS[10:30])})
    assert made.text.startswith(f"{short} {EVENTS[8]}") and 150 <= words(made.text) <= 250
    assert [short in request.messages[-1]["content"] for request in asked] == [False, True]
    assert {request.model for request in asked} == {"model-b"} and len({request.item for request in asked}) == 2
    assert made.prompt_sha not in ("", STORY.rule.template().sha) and made.usage.calls == 2


def test_a_backstory_that_is_too_long_ends_with_the_last_sentence_that_fits():
    made, asked = run(STORY, {"backstory": " ".join([OPENING, *EVENTS])})
    assert len(asked) == 1 and made.text.endswith("of the town.") and 230 <= words(made.text) <= 250


def test_a_beginning_that_contradicts_a_trait_is_not_gone_on_with():
    landless = replace(STORY, traits=TRAITS | {"owns_land": "no"})
    wrong = f"{OPENING} She is proud that she owns land."
    good = " ".join([OPENING, *EVENTS[:12]])
    made, asked = run(landless, {"backstory": wrong}, {"backstory": good})
    assert made.text == good and len(asked) == 2
    assert "it says owns land" in asked[1].messages[-1]["content"]


SMALL = replace(STORY, rule=replace(STORY.rule, small_model=True))


def test_a_small_model_begins_a_backstory_with_the_bio_that_says_the_traits():
    made, [first, second] = run(SMALL, GOOD, {"more": " ".join(EVENTS[:12])})
    assert made.text.startswith(f"{OPENING} {EVENTS[0]}") and OPENING in second.messages[-1]["content"]
    assert list(first.schema["properties"]) == ["bio"] and list(second.schema["properties"]) == ["more"]
    assert {first.model, second.model} == {"model-b"} and first.item != second.item
    assert made.said == 1 and made.usage.calls == 2
    other = replace(SMALL, rule=replace(SMALL.rule, prompt="Tell of {traits}."))
    assert made.prompt_sha not in (SMALL.rule.opening().template().sha, other.rule.template().sha)


def test_a_small_model_is_asked_for_a_bio_of_every_trait_until_the_last_try():
    part = {"bio": "Eira, a weaver of the old town, sells her cloth at the gates."}
    small = replace(CALL, rule=replace(RULE, small_model=True))
    assert [len(asked) for _, asked in (run(small, part, GOOD), run(small, part), run(CALL, part))] == [2, 3, 1]
    assert run(small, part)[0].said == 0.5


def test_a_small_model_whose_story_contradicts_its_opening_goes_on_from_the_opening_anew():
    landless = replace(SMALL, traits=TRAITS | {"owns_land": "no"})
    bad, good = (" ".join(EVENTS[:12] + more) for more in (["Now she owns land."], ["She is old."]))
    opening = "Eira, a 34-year-old weaver who owns no land, sells her cloth at the gates."
    made, asked = run(landless, {"bio": opening}, {"more": bad}, {"more": good})
    assert made.text == f"{opening} {good}" and len(asked) == 3
    assert "she owns land" not in asked[2].messages[-1]["content"] and asked[2].seed != asked[1].seed


def test_a_small_model_writes_by_a_prompt_of_the_users_own_in_one_call():
    own = replace(SMALL, rule=replace(SMALL.rule, prompt="Tell of {traits}."))
    _, [request] = run(own, {"backstory": " ".join([OPENING, *EVENTS[:12]])})
    assert request.messages[-1]["content"].startswith("Tell of age: 34")


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
