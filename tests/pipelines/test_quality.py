import time
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from actors.logic import tables
from actors.logic.dialogue import Context, Conversation, Dialogue, DialogueRule, Scene, Turn
from actors.logic.quality import CRITERIA, Rating, Refused, Selection, Why, judge_sha
from actors.logic.quality.fit import Fit
from actors.talk_rows import conversation_row, counts, refused_row
from cluster.chat import Usage
from cluster.manifest import Manifest
from pipelines.quality import measured, quality_totals, shortfall
from pipelines.quality_section import quality_lines, quality_section
from pipelines.settings import parse

SCENE = Scene("c" * 24, "doc", "p" * 24, "A baker in Paris", 1, "A text about bread.")
DIALOGUE = Dialogue(SCENE, DialogueRule("You answer.", 1, Context.NONE, seed=7))
TURNS = [Turn("system", "You answer."), Turn("user", "How long?"), Turn("assistant", "An hour.")]
TALK = Conversation(TURNS, "m1", "m2", Usage(4, 40, 20, 0.5))


def rating(score: float) -> Rating:
    return Rating(dict.fromkeys(CRITERIA, score), dict.fromkeys(CRITERIA, "so"), "m3", Usage(1, 9, 9))


def kept(score: float | None, attempts: int = 1, **changes: object) -> Selection:
    found = Selection(TALK, None if score is None else rating(score), [], attempts, attempts, 0)
    return replace(found, **changes)


def table(*found: tuple[Selection, list[float] | None]) -> pa.Table:
    rows = [
        conversation_row(DIALOGUE, one, TALK, Fit(cosines) if cosines else None, "", time.time())
        for one, cosines in found
    ]
    return pa.Table.from_pylist(rows, tables.CONVERSATIONS)


def manifest(rows: int, failures: int = 0, **refused: int) -> Manifest:
    found = Manifest(Path("manifest.json"), "r", {})
    told = {f"refused {why}": count for why, count in refused.items()}
    asked = rows + failures + sum(refused.values())
    extra = {"asked": asked, "attempts": asked, "openings": asked, "gave_away": 1, "candidates": sum(refused.values())}
    found.conversations.parts["0-a-0000"] = {"rows": rows, "failures": failures} | told | extra
    return found


def settings(**talk: object):
    content = {"run_dir": "x", "documents": {"path": ["a"]}, "conversations": {"count": 100} | talk}
    return parse(content | {"llm": {"endpoints": [{"base_url": "http://h/v1", "model": "m"}]}})


def test_a_row_says_who_judged_it_how_and_why():
    [row] = table((kept(0.75, attempts=2), [0.5, 0.25])).to_pylist()
    assert row["scores"] == dict.fromkeys((*CRITERIA, "overall"), 0.75) and row["reasons"]["coherence"] == "so"
    assert row["models"] == {"correspondent": "m1", "respondent": "m2", "judge": "m3"}
    assert row["prompt_sha"]["judge"] == judge_sha("")
    assert (row["attempts"], row["opening_coherence"], row["consistency"]) == (2, 0.5, [0.5, 0.25])
    assert row["usage"]["calls"] == 4


def test_a_row_that_nobody_judged_or_measured_says_so():
    [row] = table((kept(None), None)).to_pylist()
    names = ("scores", "reasons", "opening_coherence", "consistency")
    assert [row[name] for name in names] == [None] * 4
    assert row["models"]["judge"] is None and row["prompt_sha"]["judge"] is None


def test_a_refused_candidate_keeps_its_evidence():
    judged = refused_row(DIALOGUE, Refused(TURNS, Why.JUDGE, 2, rating(0.5)), time.time())
    near = refused_row(DIALOGUE, Refused(TURNS[1:2], Why.OPENING, 1, None, 0.97, "d" * 24), time.time())
    one, other = pa.Table.from_pylist([judged, near], tables.REJECTED_CONVERSATIONS).to_pylist()
    assert (one["reason"], one["attempt"], one["scores"]["overall"]) == ("judge", 2, 0.5)
    assert one["conversation_id"] == SCENE.conversation_id and len(one["messages"]) == 3
    assert (other["reason"], other["neighbour_id"]) == ("opening", "d" * 24)
    assert other["score"] == pytest.approx(0.97) and other["scores"] is None


def test_what_became_of_dialogues_is_counted():
    refused = Refused(TURNS, Why.JUDGE, 1, rating(0.1))
    found = [kept(0.9, 2, refused=[refused], gave_away=1), Selection(None, None, [refused] * 3, 3, 3, 0, Why.JUDGE)]
    assert counts(found) == {"attempts": 5, "openings": 5, "gave_away": 1, "candidates": 4, "refused judge": 1}


def test_means_are_over_the_rows_of_all_parts_and_by_message():
    parts = [
        table((kept(0.5), [0.8, 0.6]), (kept(None), None)),
        table((kept(1.0, 3), [0.6]), (kept(None), None)),
        table(),
    ]
    found = measured(parts)
    assert found["scored"] == 2 and found["scores"]["overall"] == 0.75
    assert found["attempts_taken"] == {"1": 3, "3": 1}
    assert found["opening_coherence"] == 0.7
    assert found["consistency"] == [
        {"message": 1, "mean": 0.7, "rows": 2},
        {"message": 2, "mean": 0.6, "rows": 1},
    ]


def test_a_run_without_judge_and_embedder_has_no_means():
    found = measured([table((kept(None), None))])
    assert (found["scored"], found["scores"], found["consistency"]) == (0, None, [])
    assert measured([])["opening_coherence"] is None


def test_the_funnel_goes_from_asked_to_accepted():
    found = quality_totals(manifest(90, 4, judge=5, opening=1))
    assert (found["asked"], found["accepted"], found["failed"]) == (100, 90, 4)
    assert found["refused"] == {"judge": 5, "opening": 1} and found["rejected"] == 6
    assert found["share_gave_away"] == 0.01


def test_a_shortfall_names_who_refused_and_the_way_out():
    said = shortfall(settings(judge=True), manifest(12, judge=88))
    assert said == (
        "12 of 100 conversations were made, 88 were refused by the judge (below 0.70; see rejected_conversations/); "
        "lower conversations.threshold; run again for more"
    )
    assert "or raise conversations.max_attempts" in shortfall(settings(auto_improve=True), manifest(12, judge=88))
    said = shortfall(settings(opening_threshold=0.95, min_coherence=0.2), manifest(1, 2, opening=3, coherence=4))
    assert "3 for an opening like another's (0.95 or more" in said and "4 for an opening unlike the persona" in said
    assert "2 failed (see failures/)" in said and "more documents or personas" in said


def test_a_shortfall_of_failures_alone_is_told_as_such():
    said = shortfall(settings(), manifest(12, 88))
    assert said == "12 of 100 conversations were made, 88 failed (see failures/); run again for more"


def test_summary_and_card_tell_what_was_refused_and_how_the_persona_held():
    found = manifest(2, judge=1)
    found.conversations.parts["0-a-0000"]["attempts"] = 6
    found.facts["quality"] = measured([table((kept(0.8), [0.75, 0.5]), (kept(1.0), [0.75, 0.5]))])
    told = quality_totals(found)
    [(_, line)] = quality_lines(told)
    assert "1 refused by the judge" in line and "0.90 on average" in line
    assert "2.0 attempts each" in line
    assert "persona held from 0.75 (message 1) to 0.50 (2)" in line and "33.3% of openings gave" in line
    section = quality_section(told)
    for row in ("| accepted | 2 |", "| refused by the judge | 1 |", "| overall | 0.90 |", "| 2 | 0.500 (2 rows) |"):
        assert row in section
    assert quality_section(quality_totals(Manifest(Path("m"), "r", {}))) == ""
