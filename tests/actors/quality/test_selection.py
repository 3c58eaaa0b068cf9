"""Which dialogue is kept, with a judge that goes by what was said."""

import asyncio
import json
from collections.abc import Callable

import pytest

from actors.logic.dialogue import Context, Dialogue, DialogueRule, Scene
from actors.logic.quality import CRITERIA, QualityRule, Quest, Refusal, Selection, Why, select
from cluster.chat import ChatRequest, Role, ScriptedChat
from cluster.errors import CallFailed, FailureKind, Halt

SCENE = Scene("c" * 24, "doc", "p" * 24, "A baker in Paris who rises early", 1, "A text about bread.")
DIALOGUE = Dialogue(SCENE, DialogueRule("You answer.", 2, Context.DOCUMENT, seed=7))

Scores = Callable[[str], float | Exception]


class Model:
    """Says the item of the request. The judge goes by the place of what it reads: "", "attempt2/candidate3"."""

    def __init__(self, scores: Scores = lambda place: 1.0, spoils: str = "nothing") -> None:
        self.scores, self.spoils, self.asked = scores, spoils, list[ChatRequest]()
        self.chat = ScriptedChat(self.answer)

    def answer(self, request: ChatRequest) -> str:
        self.asked.append(request)
        if request.role is not Role.JUDGE:
            if self.spoils in request.item:
                raise CallFailed(FailureKind.FILTERED, f"no answer to {request.item}")
            return f"says {request.item}"
        place = request.item.removeprefix(SCENE.conversation_id).removesuffix("/judge").strip("/")
        score = self.scores(place)
        if isinstance(score, Exception):
            raise score
        return json.dumps({name: {"reason": f"{name} of <{place}>", "score": score} for name in CRITERIA})

    def of(self, role: Role) -> list[ChatRequest]:
        return [request for request in self.asked if request.role is role]

    def select(self, gate=None, **rule: object) -> Selection:
        async def ask(program):
            return await program.run(self.chat)

        return asyncio.run(select(DIALOGUE, QualityRule(**{"judged": True, "threshold": 0.7} | rule), ask, gate))


def told(request: ChatRequest) -> str:
    return "\n".join(message["content"] for message in request.messages)


def test_without_a_judge_a_dialogue_is_kept_as_it_is():
    model = Model()
    found = asyncio.run(Quest(DIALOGUE, QualityRule()).run(model.chat))
    plain = asyncio.run(DIALOGUE.run(Model().chat))
    assert found == Selection(plain, None, [], 1, 1, 0) and not model.of(Role.JUDGE)


def test_a_good_dialogue_is_kept_with_its_scores_at_once():
    model = Model(lambda place: 0.7)
    found = model.select(attempts=3)
    assert found.kept and found.rating.overall == 0.7 and (found.attempts, found.refused) == (1, [])
    assert found.kept.usage.calls == len(model.asked) == 5


def test_a_bad_one_is_refused_with_its_score_and_its_reasons():
    found = Model(lambda place: 0.69).select()
    [refused] = found.refused
    assert (found.kept, found.why, refused.why) == (None, Why.JUDGE, Why.JUDGE)
    assert refused.rating.overall == 0.69 and refused.rating.reasons["coherence"] == "coherence of <>"
    assert [turn.role for turn in refused.turns] == ["system", *["user", "assistant"] * 2]


def test_a_next_attempt_is_told_why_and_the_first_good_one_is_kept():
    model = Model(lambda place: {"": 0.3, "attempt2": 0.6, "attempt3": 0.9}[place])
    found = model.select(attempts=5)
    assert (found.attempts, found.rating.overall) == (3, 0.9)
    assert [(one.attempt, one.rating.overall, one.why) for one in found.refused] == [
        (1, 0.3, Why.JUDGE),
        (2, 0.6, Why.JUDGE),
    ]
    assert "/attempt3/" in found.kept.turns[1].content, "the opening is made anew too"
    second = [request for request in model.asked if "/attempt2/" in request.item]
    for request in second:
        notes = told(request)
        match request.role:
            case Role.RESPONDENT:
                assert "helpfulness of <>" in notes and "persona_consistency of" not in notes
            case Role.CORRESPONDENT:
                assert "persona_consistency of <>" in notes and "groundedness of" not in notes
            case Role.JUDGE:
                assert "of <>" not in notes, "who judges does not know what was said before"
    assert not any("of <" in turn.content for turn in found.kept.turns), "no note gets into a row"
    assert found.kept.usage.calls == len(model.asked) == 15


def test_a_judge_that_always_says_no_ends_after_the_last_attempt():
    model = Model(lambda place: 0.1)
    found = model.select(attempts=3)
    assert (found.kept, found.why, found.attempts, len(found.refused)) == (None, Why.JUDGE, 3, 3)
    assert len(model.of(Role.JUDGE)) == 3


def test_candidates_share_their_opening_and_the_best_is_kept():
    model = Model(lambda place: {"": 0.8, "candidate2": 0.95, "candidate3": 0.4}[place])
    found = model.select(candidates=3)
    assert found.rating.overall == 0.95
    assert [(one.why, one.rating.overall) for one in found.refused] == [(Why.CANDIDATE, 0.8), (Why.JUDGE, 0.4)]
    openings = {one.turns[1].content for one in [found.kept, *found.refused]}
    answers = {one.turns[2].content for one in [found.kept, *found.refused]}
    assert (len(openings), len(answers)) == (1, 3)
    assert found.kept.usage.calls == len(model.asked) == 1 + 3 * 3 + 3


def test_of_equals_the_first_is_kept():
    found = Model(lambda place: 0.8).select(candidates=3)
    assert "candidate" not in found.kept.turns[2].content


def test_each_attempt_makes_its_candidates_and_the_notes_are_of_its_best():
    scores = {"": 0.2, "candidate2": 0.5, "attempt2": 0.9, "attempt2/candidate2": 0.8}
    model = Model(lambda place: scores[place])
    found = model.select(attempts=3, candidates=2)
    assert (found.attempts, found.rating.overall) == (2, 0.9)
    assert [(one.attempt, one.why) for one in found.refused] == [
        (1, Why.JUDGE),
        (1, Why.JUDGE),
        (2, Why.CANDIDATE),
    ]
    later = [told(request) for request in model.of(Role.RESPONDENT) if "attempt2" in request.item]
    assert later and all("of <candidate2>" in one and "of <>" not in one for one in later)


def test_candidates_alone_keep_the_best_where_nothing_is_refused():
    found = Model(lambda place: {"": 0.1, "candidate2": 0.2}[place]).select(candidates=2, threshold=0.0)
    assert found.rating.overall == 0.2 and [one.why for one in found.refused] == [Why.CANDIDATE]


JUDGE_FAILS = CallFailed(FailureKind.MALFORMED, "nonsense", 2)


def test_a_judge_that_only_scores_loses_no_dialogue():
    found = Model(lambda place: JUDGE_FAILS).select(threshold=0.0)
    assert found.kept and found.rating is None and not found.refused


def test_a_judge_that_decides_and_fails_gives_the_dialogue_up_by_name():
    with pytest.raises(CallFailed) as caught:
        Model(lambda place: JUDGE_FAILS).select(attempts=2)
    assert caught.value.message == "the judge: nonsense" and caught.value.kind is FailureKind.MALFORMED


def test_a_candidate_without_a_score_loses_to_one_that_has_some():
    found = Model(lambda place: JUDGE_FAILS if not place else 0.75).select(candidates=2)
    assert found.rating.overall == 0.75 and [one.why for one in found.refused] == [Why.UNJUDGED]


def test_a_candidate_that_fails_leaves_the_others():
    model = Model(spoils="/candidate2/1/")
    found = model.select(candidates=3)
    assert found.kept and len(found.refused) == 1


def test_an_attempt_that_fails_is_followed_by_the_next_and_counts():
    model = Model(lambda place: 0.1 if not place else 0.9, spoils="/attempt2/")
    found = model.select(attempts=3)
    assert found.attempts == 3 and found.rating.overall == 0.9


def test_a_dialogue_of_which_nothing_comes_fails_as_it_would_alone():
    with pytest.raises(CallFailed) as caught:
        Model(spoils="respondent").select(attempts=3, candidates=2)
    assert caught.value.kind is FailureKind.FILTERED


def test_a_halt_ends_the_search():
    with pytest.raises(Halt):
        Model(lambda place: Halt("the budget is spent")).select(attempts=3)


class Gate:
    """Refuses the openings whose place contains one of these words."""

    def __init__(self, *refused: str) -> None:
        self.refused, self.seen = refused, []

    async def __call__(self, scene: Scene, opening: str) -> Refusal | None:
        self.seen.append(opening)
        near = any(word in opening for word in self.refused)
        return Refusal(Why.OPENING, 0.97, "d" * 24) if near else None


def test_a_near_duplicate_opening_is_asked_for_again_before_the_rest_is_paid_for():
    model, gate = Model(), Gate("c/0/")
    found = model.select(gate)
    assert found.kept.turns[1].content == gate.seen[1] and "/opening2/" in gate.seen[1]
    assert (found.openings, found.refused) == (2, [])
    again = model.of(Role.CORRESPONDENT)[1]
    assert gate.seen[0] in told(again), "it is told what was refused"
    assert len(model.of(Role.RESPONDENT)) == 2


def test_after_three_openings_the_dialogue_is_refused_with_the_neighbour_and_the_score():
    model = Model()
    found = model.select(Gate("says"), attempts=3)
    [refused] = found.refused
    assert (found.kept, found.why, found.attempts) == (None, Why.OPENING, 1)
    assert (refused.why, refused.neighbour_id, refused.score) == (Why.OPENING, "d" * 24, 0.97)
    assert [turn.role for turn in refused.turns] == ["user"]
    assert len(model.asked) == 3 and not model.of(Role.RESPONDENT)


def test_a_later_attempt_whose_opening_is_refused_goes_on_from_the_one_before():
    model = Model(lambda place: 0.9 if place else 0.1)
    found = model.select(Gate("attempt2"), attempts=2)
    assert found.attempts == 2 and found.rating.overall == 0.9
    assert found.kept.turns[1].content == found.refused[0].turns[1].content
    assert found.kept.turns[2].content != found.refused[0].turns[2].content


def test_openings_that_give_the_persona_away_are_counted():
    def answer(request: ChatRequest) -> str:
        gives = "correspondent/1" in request.item and "/0/" in request.item
        return "Hi, as a nurse I wonder." if gives else f"says {request.item}"

    found = asyncio.run(Quest(DIALOGUE, QualityRule()).run(ScriptedChat(answer)))
    assert (found.openings, found.gave_away) == (1, 1) and found.kept.turns[1].content.startswith("says")


def test_the_same_search_asks_the_same_in_every_run():
    one, two = (Model(lambda place: 0.1) for _ in range(2))
    assert one.select(attempts=3, candidates=2) == two.select(attempts=3, candidates=2)
    assert sorted(a.item for a in one.asked) == sorted(b.item for b in two.asked)
    assert len({request.item for request in one.asked}) == len(one.asked)
