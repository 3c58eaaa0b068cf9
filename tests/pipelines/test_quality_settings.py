import pytest

from actors.logic.quality import QualityRule
from cluster.errors import UserError
from pipelines.batching import batches_dialogues
from pipelines.run_folder import lasting
from pipelines.settings import Settings, parse, quality_rule

CONTENT = {
    "run_dir": "runs/x",
    "documents": {"path": ["a.txt"]},
    "llm": {"endpoints": [{"base_url": "http://h/v1", "model": "m"}]},
}


def settings(**talk: object) -> Settings:
    scope = talk.pop("scope", "corpus")
    return parse(CONTENT | {"conversations": talk, "personas": {"dedup": {"scope": scope}}})


def refusal(**talk: object) -> str:
    with pytest.raises(UserError) as caught:
        settings(**talk)
    return str(caught.value)


def rule(**talk: object) -> QualityRule:
    return quality_rule(settings(**talk).conversations)


def test_nothing_is_judged_unless_asked_for():
    assert rule() == QualityRule() and not rule().judged


def test_each_way_of_judging_has_its_rule():
    assert rule(judge=True) == QualityRule(True, 0.7, 1, 1)
    assert rule(auto_improve=True) == QualityRule(True, 0.7, 3, 1)
    assert rule(candidates=4) == QualityRule(True, 0.7, 1, 4)
    assert rule(auto_improve=True, candidates=2, max_attempts=5, threshold=0.9) == QualityRule(True, 0.9, 5, 2)
    assert rule(judge=True).decides and not rule(judge=True, threshold=0).decides


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"threshold": 70}, "conversations.threshold must be in [0, 1], got 70"),
        ({"threshold": "high"}, "conversations.threshold must be a number, got 'high'"),
        ({"max_attempts": 0}, "conversations.max_attempts must be in [1, 10], got 0"),
        ({"candidates": 0}, "conversations.candidates must be in [1, 16], got 0"),
        ({"candidates": 17}, "conversations.candidates must be in [1, 16], got 17"),
        ({"candidates": 1.5}, "conversations.candidates must be a whole number, got 1.5"),
        ({"judge": "gpt"}, "conversations.judge must be true or false, got 'gpt'"),
        ({"auto_improve": "yes please"}, "conversations.auto_improve must be true or false, got 'yes please'"),
        ({"min_coherence": 2}, "conversations.min_coherence must be in [0, 1], got 2"),
        ({"opening_threshold": 0}, "conversations.opening_threshold must be in (0, 1], got 0"),
        ({"candidate": 2}, "conversations.candidate is no setting; did you mean candidates?"),
    ],
)
def test_a_value_out_of_its_range_is_refused(given, said):
    assert refusal(**given) == said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"auto_improve": True, "max_attempts": 1}, "has auto_improve, but max_attempts is 1"),
        ({"auto_improve": True, "threshold": 0}, "has auto_improve, but threshold is 0"),
        ({"judge": True, "max_attempts": 5}, "has max_attempts, which auto_improve alone makes"),
        ({"threshold": 0.9}, "has a threshold, but nothing is judged; set judge: true, or leave it out"),
        ({"rubric": "mine.txt"}, "has a rubric, but nothing is judged; set judge: true, or leave it out"),
        ({"strategy": "math", "answer": False, "candidates": 2}, "has candidates, which differ in their answers"),
        (
            {"strategy": "npc", "opening_threshold": 0.9},
            "has opening_threshold, but strategy npc opens with a template",
        ),
        ({"persona_in": "answer", "min_coherence": 0.1}, "has min_coherence, but persona_in: answer"),
    ],
)
def test_settings_that_would_do_nothing_are_refused_in_one_line(given, said):
    found = refusal(**given)
    assert said in found and found.startswith("conversations") and len(found.splitlines()) == 1


@pytest.mark.parametrize("scope", ["corpus", "document", "none"])
def test_openings_may_be_compared_whether_personas_are_or_not(scope):
    assert settings(scope=scope, opening_threshold=0.95).conversations.checks_openings
    assert settings(scope=scope, min_coherence=0.0).conversations.checks_openings
    assert not settings(scope=scope).conversations.checks_openings


def test_a_rubric_is_read_from_its_file(tmp_path):
    path = tmp_path / "rubric.txt"
    path.write_text("groundedness, persona_consistency, helpfulness, coherence: all of them in French.\n")
    assert rule(judge=True, rubric=str(path)).rubric.endswith("in French.")
    for content, said in ((b"\xff", "is not UTF-8 text"), (b"helpfulness {x}", "{x}"), (b"", "empty")):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"conversations\.rubric") as caught:
            rule(judge=True, rubric=str(path))
        assert said in str(caught.value)
    with pytest.raises(UserError, match="No such file"):
        rule(judge=True, rubric=str(tmp_path / "none.txt"))


def test_what_decides_may_change_while_a_run_lasts_and_who_judges_by_what_may_not(tmp_path):
    path = tmp_path / "rubric.txt"
    path.write_text("one")
    before = lasting(settings(judge=True, rubric=str(path)))
    assert not before.keys() & {"conversations.threshold", "conversations.max_attempts"}
    path.write_text("another")
    after = lasting(settings(judge=True, rubric=str(path)))
    assert [name for name in before if before[name] != after[name]] == ["conversations.rubric"]
    assert before["conversations.judge"] and before["conversations.candidates"] == 1


@pytest.mark.parametrize(
    ("talk", "is_batched"), [({}, True), ({"judge": True}, False), ({"min_coherence": 0.1}, False)]
)
def test_what_is_judged_or_checked_does_not_wait_for_batches(talk, is_batched):
    endpoint = {"base_url": "http://h/v1", "model": "m", "keys": ["env:K"], "batch": True}
    found = parse(CONTENT | {"llm": {"endpoints": [endpoint]}, "conversations": {"max_turns": 1} | talk})
    assert batches_dialogues(found) is is_batched
