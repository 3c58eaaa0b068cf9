"""What a judge model is asked, and how its answers are held against the lexicon's."""

import asyncio
import json

import pytest

from actors.logic.audit.judging import UNSAID, JudgeCall, judge_figures
from actors.logic.audit.lexicon import attributes
from actors.logic.audit.reading import label
from cluster.chat import Role, ScriptedChat
from cluster.errors import CallFailed


def answer(**groups):
    return json.dumps(dict.fromkeys(attributes(), UNSAID) | groups)


def judged(script):
    return asyncio.run(JudgeCall("p1", "A woman in Lagos.", 0).run(ScriptedChat(script)))


def test_the_judge_is_asked_for_the_groups_of_one_description():
    asked = []
    found = judged(lambda request: asked.append(request) or answer(gender="woman", region="Sub-Saharan Africa"))
    assert found == {"gender": "woman", "region": "Sub-Saharan Africa"}
    [request] = asked
    assert request.role is Role.JUDGE and request.item == "audit/p1" and request.temperature == 0
    assert request.messages[-1]["content"] == "A woman in Lagos."
    assert request.schema["properties"]["gender"]["enum"] == ["woman", "man", "nonbinary", UNSAID]


def test_the_judge_is_told_all_groups_and_shown_descriptions_that_the_lexicon_reads_as_it_should():
    told, *examples, _ = JudgeCall("p1", "A woman in Lagos.", 0).request().messages
    assert all(name in told["content"] for one in attributes().values() for name in one.names)
    for description, answered in zip(examples[::2], examples[1::2], strict=True):
        groups = json.loads(answered["content"])
        assert groups.keys() == attributes().keys()
        said = {name: group for name, group in groups.items() if group != UNSAID}
        assert said == {name: one.group for name, one in label(description["content"]).of.items()}


def test_a_group_that_there_is_not_is_corrected_or_lost():
    answers = iter([answer(gender="lady"), answer(gender="woman")])
    assert judged(lambda _: next(answers)) == {"gender": "woman"}
    with pytest.raises(CallFailed):
        judged(lambda _: answer(gender="lady"))


def test_how_often_the_lexicon_is_right_and_what_it_overlooks():
    lexicon = [{"gender": "woman"}] * 6 + [{"gender": "man"}] * 2 + [{}] * 4
    model = [{"gender": "woman"}] * 7 + [{}] + [{"gender": "man"}] * 3 + [{}]
    [found] = [one for one in judge_figures(lexicon, model) if one.attribute == "gender"]
    assert (found.agreed, found.differed, found.lexicon_only, found.judge_only) == (6, 1, 1, 3)
    assert found.right == pytest.approx(6 / 8) and found.found == pytest.approx(6 / 10)
    assert found.right_bounds.low < 6 / 8 < found.right_bounds.high


def test_where_nobody_says_anything_there_is_no_share():
    assert all(one.right is None and one.found is None for one in judge_figures([{}], [{}]))
