import asyncio
import json

import pytest

from actors.logic.baseline import BaselineCall, baseline_calls
from actors.logic.persona import Granularity
from actors.logic.persona_call import PersonaCall
from cluster.chat import ScriptedChat

MEDIUM = Granularity.MEDIUM
PEOPLE = ["A nurse in Leeds with two sons.", "A judge in Lagos who sails.", "A baker in Lima who sings."]
ANSWER = json.dumps({"personas": [{"persona": one} for one in PEOPLE]})


@pytest.mark.parametrize(("people", "calls"), [(1, 1), (5, 1), (6, 2), (1000, 200)])
def test_as_many_calls_are_made_as_bring_so_many_people(people, calls):
    assert len(baseline_calls(people, 5, MEDIUM, 0, False)) == calls
    assert len(baseline_calls(people, 5, MEDIUM, 0, True)) == people, "a small model names one at a time"


def test_calls_differ_by_their_item_and_seed_alone_and_are_the_same_in_every_run():
    one, other = (call.request() for call in baseline_calls(10, 5, MEDIUM, 0, False))
    assert one.messages == other.messages and one.schema == other.schema
    assert one.item != other.item and one.seed != other.seed
    assert one == BaselineCall(0, 5, MEDIUM, 0).request()
    assert one.seed != BaselineCall(0, 5, MEDIUM, 1).request().seed


@pytest.mark.parametrize("one_per_request", [False, True])
def test_but_for_the_text_it_is_asked_as_a_persona_call_is(one_per_request):
    persona = PersonaCall("doc", None, 0, "A text about bread.", 5, MEDIUM, 0, one_per_request).first_request()
    [baseline, *_] = baseline_calls(5, 5, MEDIUM, 0, one_per_request)
    asked = baseline.request()
    assert (asked.role, asked.temperature, asked.max_tokens) == (persona.role, persona.temperature, persona.max_tokens)
    assert "text" not in "".join(message["content"] for message in asked.messages).lower()


def test_the_people_of_an_answer_are_told_and_no_more_than_were_asked_for():
    chat = ScriptedChat(lambda request: "I cannot do that." if "/2" in request.item else ANSWER)
    assert asyncio.run(BaselineCall(0, 5, MEDIUM, 0).run(chat)) == PEOPLE
    assert asyncio.run(BaselineCall(1, 2, MEDIUM, 0).run(chat)) == PEOPLE[:2]
    assert asyncio.run(BaselineCall(2, 2, MEDIUM, 0).run(chat)) == []
