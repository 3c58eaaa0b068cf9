"""The judge loop over HTTP: the tests' model server answers as correspondent, respondent and judge."""

import asyncio

import pytest

from actors.logic.dialogue import Context, Dialogue, DialogueRule, Scene
from actors.logic.quality import QualityRule, Quest, Selection, Why
from cluster.errors import CallFailed, FailureKind
from cluster.journal import prepare
from cluster.keys import Endpoint, Secret
from cluster.meter import Tally
from pipelines.chat_making import Wiring, chat_maker

SCENE = Scene("c" * 24, "doc", "p" * 24, "A baker in Paris who rises early", 1, "A text about bread and salt.")
DIALOGUE = Dialogue(SCENE, DialogueRule("You answer.", 2, Context.DOCUMENT, seed=7))


def quest(server, folder, **rule: object) -> Selection:
    async def run() -> Selection:
        prepare(folder / "journal", "r")
        target = Endpoint("e", server.base_url, "m", [("one", Secret("k1"))])
        (folder / "manifest.json").touch()  # of a run, which its callers look for
        chat = chat_maker(Wiring([target], 1, folder, 30.0))(Tally(None))
        try:
            return await Quest(DIALOGUE, QualityRule(**{"judged": True, "threshold": 0.7} | rule)).run(chat)
        finally:
            await chat.close()

    return asyncio.run(run())


def test_a_judge_that_sees_its_notes_heeded_keeps_the_third_draft(shared_server, tmp_path):
    server = shared_server(judge="improving")
    found = quest(server, tmp_path, attempts=5)
    assert [round(one.rating.overall, 6) for one in found.refused] == [0.3, 0.6]
    assert (found.attempts, found.rating.overall) == (3, 0.9)
    said = [turn.content for turn in found.kept.turns[1:]]
    assert all(text.endswith("(draft 3)") for text in said), "both speakers have the notes at every message"
    assert server.stats()["requests"] == found.kept.usage.calls == 3 * 5

    assert quest(server, tmp_path, attempts=5) == found
    assert server.stats()["requests"] == 15, "all of it is in the journal"


def test_attempts_end_before_a_judge_is_pleased_where_they_are_too_few(shared_server, tmp_path):
    found = quest(shared_server(judge="improving"), tmp_path, attempts=2)
    assert (found.kept, found.why, found.attempts) == (None, Why.JUDGE, 2)


def test_a_judge_that_always_says_no_is_asked_as_often_as_there_are_attempts(shared_server, tmp_path):
    server = shared_server(judge="no")
    found = quest(server, tmp_path, attempts=3, candidates=2)
    assert (found.kept, found.why, found.attempts, len(found.refused)) == (None, Why.JUDGE, 3, 6)
    assert server.stats()["requests"] == 3 * (1 + 2 * 3 + 2)


def test_of_candidates_the_judges_best_is_kept(shared_server, tmp_path):
    found = quest(shared_server(judge="fair"), tmp_path, candidates=4)
    assert found.rating.overall >= max(one.rating.overall for one in found.refused)
    assert {one.turns[1] for one in found.refused} == {found.kept.turns[1]}
    assert len({one.turns[2] for one in [found.kept, *found.refused]}) == 4


def test_a_judge_out_of_ten_is_corrected_once(shared_server, tmp_path):
    server = shared_server(judge="of_ten_at_first")
    found = quest(server, tmp_path)
    assert found.kept and 0.75 <= found.rating.overall <= 1
    assert found.rating.usage.calls == 2 and server.stats()["requests"] == 6


@pytest.mark.parametrize("options", [{"judge": "of_ten"}, {"marker": {"You judge conversations": "prose"}}])
def test_a_judge_that_gives_no_score_is_given_up_by_name_or_done_without(shared_server, tmp_path, options):
    server = shared_server(**options)
    with pytest.raises(CallFailed) as caught:
        quest(server, tmp_path)
    assert caught.value.kind is FailureKind.MALFORMED and caught.value.message.startswith("the judge: ")
    found = quest(server, tmp_path, threshold=0.0)
    assert found.kept and found.rating is None
