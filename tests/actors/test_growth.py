import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from itertools import count

import pytest

from actors.logic.growth import Admit, Ask, GrowthRule, Tree, grow
from actors.logic.near_duplicates import Candidate, Reason, Verdict
from actors.logic.persona import Found, Granularity, persona_id
from actors.logic.persona_call import PersonaAnswer, PersonaCall, Wording
from cluster.chat import Usage
from cluster.errors import FailureKind
from cluster.program import Done, Failed, Halted, Outcome

TEXT = "A text about bread."


def names(call: PersonaCall) -> list[str]:
    """The people of a call, named by their line: the children of "1" are "1.0" and "1.1"."""
    stem = "" if call.parent_id is None else f"{call.text}."
    return [f"{stem}{number}" for number in range(call.per_call)]


def answered(people: Iterable[str], shortfall: str = "") -> Done:
    return Done(PersonaAnswer([Found(name, "read") for name in people], "m", "sha", Usage(), 2, shortfall))


class Callers:
    """Answers calls with their `names`, except where `outcomes` has another one for the call's text."""

    def __init__(self, outcomes: dict[str, Outcome] | None = None, delay: Callable[[str], float] | None = None) -> None:
        self.outcomes, self.delay = outcomes or {}, delay
        self.asked: list[PersonaCall] = []
        self.finished: list[str] = []

    async def ask(self, call: PersonaCall) -> Outcome:
        self.asked.append(call)
        if self.delay:
            await asyncio.sleep(self.delay(call.text))
        self.finished.append(call.text)
        return self.outcomes.get(call.text, answered(names(call)))


class Admission:
    """Admits all but the refused; keeps the batches that it was asked about."""

    def __init__(self, *refused: str) -> None:
        self.refused, self.batches = refused, []

    async def admit(self, candidates: Sequence[Candidate]) -> list[Verdict]:
        self.batches.append([one.text for one in candidates])
        return [
            Verdict(one.persona_id, Reason.EMBEDDING, "f" * 24, 0.95)
            if one.text in self.refused
            else Verdict(one.persona_id)
            for one in candidates
        ]


def tree_of(depth: int, ask: Ask | None = None, admit: Admit | None = None, per_call: int = 2) -> Tree:
    rule = GrowthRule(depth, per_call, Granularity.MEDIUM, seed=7)
    ticks = count(100.0)
    return asyncio.run(grow("doc", TEXT, rule, ask or Callers().ask, admit or Admission().admit, lambda: next(ticks)))


def texts(tree: Tree) -> list[str]:
    return [one.text for one in tree.personas]


@pytest.mark.parametrize(("depth", "per_call", "size"), [(0, 2, 2), (1, 2, 6), (2, 2, 14), (2, 5, 155), (1, 1, 2)])
def test_a_tree_of_which_all_survive_is_as_large_as_its_depth_says(depth, per_call, size):
    tree = tree_of(depth, per_call=per_call)
    assert len(tree.personas) == len({one.persona_id for one in tree.personas}) == size


def test_personas_come_layer_by_layer_in_the_order_of_their_parents():
    tree = tree_of(2)
    assert texts(tree) == [
        "0",
        "1",
        "0.0",
        "0.1",
        "1.0",
        "1.1",
        *[f"{a}.{b}.{c}" for a in "01" for b in "01" for c in "01"],
    ]
    assert [one.depth for one in tree.personas] == [0] * 2 + [1] * 4 + [2] * 8


def test_a_persona_knows_where_it_comes_from():
    tree = tree_of(1)
    seed, child = tree.personas[0], tree.personas[2]
    assert (seed.parent_id, child.parent_id) == (None, seed.persona_id)
    assert seed.persona_id == persona_id("doc", None, "0")
    assert child.persona_id == persona_id("doc", seed.persona_id, "0.0")
    assert {(one.document_id, one.relation, one.model, one.prompt_sha) for one in tree.personas} == {
        ("doc", "read", "m", "sha")
    }
    assert [one.created_at for one in tree.personas] == [100.0 + tick for tick in range(6)]


def test_the_document_is_asked_about_once_and_each_survivor_once():
    callers = Callers()
    tree_of(1, callers.ask)
    assert [call.text for call in callers.asked] == [TEXT, "0", "1"]
    assert [call.depth for call in callers.asked] == [0, 1, 1]
    assert {(call.per_call, call.seed, call.granularity) for call in callers.asked} == {(2, 7, Granularity.MEDIUM)}


def test_the_last_layer_has_no_children():
    callers = Callers()
    tree_of(0, callers.ask)
    assert len(callers.asked) == 1


def test_a_refused_persona_is_no_parent_and_is_kept_with_what_refused_it():
    callers = Callers()
    tree = tree_of(1, callers.ask, Admission("0").admit)
    assert texts(tree) == ["1", "1.0", "1.1"]
    assert [call.text for call in callers.asked] == [TEXT, "1"]
    [rejection] = tree.rejected
    assert rejection.persona.text == "0"
    assert (rejection.reason, rejection.neighbour_id, rejection.score) == (Reason.EMBEDDING, "f" * 24, 0.95)


def test_a_layer_is_admitted_as_a_whole():
    admission = Admission()
    tree_of(1, admit=admission.admit)
    assert admission.batches == [["0", "1"], ["0.0", "0.1", "1.0", "1.1"]]


def test_growth_ends_where_a_layer_is_refused_whole():
    admission, callers = Admission("0.0", "0.1", "1.0", "1.1"), Callers()
    tree = tree_of(5, callers.ask, admission.admit)
    assert texts(tree) == ["0", "1"]
    assert len(tree.rejected) == 4
    assert len(callers.asked) == 3


def test_the_children_of_others_grow_on_when_a_call_fails():
    failed = Failed(FailureKind.REFUSED, "too long", 1)
    tree = tree_of(2, Callers({"0": failed}).ask)
    assert texts(tree) == ["0", "1", "1.0", "1.1", "1.0.0", "1.0.1", "1.1.0", "1.1.1"]
    [failure] = tree.failures
    assert failure.item_id == f"doc/{persona_id('doc', None, '0')}"
    assert (failure.stage, failure.kind, failure.message, failure.attempts) == ("personas", "refused", "too long", 1)


def test_a_document_whose_first_call_fails_has_a_failure_and_nobody():
    admission = Admission()
    tree = tree_of(3, Callers({TEXT: Failed(FailureKind.MALFORMED, "no list", 3)}).ask, admission.admit)
    assert (tree.personas, tree.rejected, tree.halted) == ([], [], "")
    assert [failure.item_id for failure in tree.failures] == ["doc/document"]
    assert admission.batches == []


def test_a_shortfall_is_told_and_its_people_are_kept():
    tree = tree_of(0, Callers({TEXT: answered(["0"], "1 of 2")}).ask)
    assert texts(tree) == ["0"]
    [failure] = tree.failures
    assert (failure.kind, failure.message, failure.attempts) == ("too_few", "1 of 2", 2)


def test_a_call_that_brought_nobody_ends_the_growth_without_asking_for_admission():
    admission = Admission()
    assert tree_of(2, Callers({TEXT: answered([])}).ask, admission.admit).personas == []
    assert admission.batches == []


@pytest.mark.parametrize("at", [TEXT, "0", "1"])
def test_a_halt_stops_the_tree_and_says_why(at):
    callers, admission = Callers({at: Halted("no usable key is left")}), Admission()
    tree = tree_of(3, callers.ask, admission.admit)
    assert tree.halted == "no usable key is left"
    assert len(callers.asked) == (1 if at == TEXT else 3)
    assert len(admission.batches) == (0 if at == TEXT else 1)
    assert tree.failures == []


@pytest.mark.parametrize(
    "delay", [lambda text: 0.02 * (text == "0"), lambda text: 0.02 * (text == "1"), lambda text: 0.01 * (len(text) % 2)]
)
def test_the_tree_does_not_depend_on_which_call_returns_first(delay):
    admission, quick = Admission("0.1"), Admission("0.1")
    assert tree_of(2, Callers(delay=delay).ask, admission.admit) == tree_of(2, Callers().ask, quick.admit)
    assert admission.batches == quick.batches


def test_the_calls_of_a_layer_are_under_way_together():
    callers = Callers(delay=lambda text: {"0": 0.03, "1": 0.01, "2": 0.02}.get(text, 0.0))
    tree_of(1, callers.ask, per_call=3)
    assert callers.finished == [TEXT, "1", "2", "0"]


def test_the_rule_that_asks_for_one_person_per_request_is_passed_on():
    asked: list[PersonaCall] = []

    async def ask(call: PersonaCall) -> Outcome:
        asked.append(call)
        return answered(["0"])

    rule = GrowthRule(1, 1, Granularity.FINE, 7, one_per_request=True)
    asyncio.run(grow("doc", TEXT, rule, ask, Admission().admit, lambda: 0.0))
    assert [call.one_per_request for call in asked] == [True, True]


def test_a_bug_of_ours_is_not_taken_for_an_empty_answer():
    async def ask(call: PersonaCall) -> Outcome:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        tree_of(0, ask)


def test_verdicts_that_are_too_few_are_our_mistake_and_not_swallowed():
    async def admit(candidates: Sequence[Candidate]) -> list[Verdict]:
        return [Verdict(candidates[0].persona_id)]

    with pytest.raises(ValueError):
        tree_of(0, admit=admit)


# --- personas that were given

BAKER = "A baker in Paris who rises early"


def tree_of_given(depth: int, ask: Ask | None = None, admit: Admit | None = None) -> Tree:
    rule = GrowthRule(depth, 2, Granularity.MEDIUM, seed=7, given=True)
    ticks = count(100.0)
    return asyncio.run(grow("doc", BAKER, rule, ask or Callers().ask, admit or Admission().admit, lambda: next(ticks)))


def test_a_given_persona_enters_as_itself_and_nobody_is_asked():
    callers = Callers()
    tree = tree_of_given(0, callers.ask)
    [seed] = tree.personas
    assert (seed.document_id, seed.parent_id, seed.depth, seed.text) == ("doc", None, 0, BAKER)
    assert (seed.relation, seed.model, seed.prompt_sha, seed.created_at) == ("given", "", "", 100.0)
    assert seed.persona_id == persona_id("doc", None, BAKER)
    assert callers.asked == []


def test_a_given_persona_grows_by_its_relations():
    callers = Callers()
    tree = tree_of_given(2, callers.ask)
    seed = tree.personas[0]
    assert [one.depth for one in tree.personas] == [0] + [1] * 2 + [2] * 4
    assert texts(tree)[1:4] == [f"{BAKER}.0", f"{BAKER}.1", f"{BAKER}.0.0"]
    assert [call.parent_id for call in callers.asked] == [
        seed.persona_id,
        *(one.persona_id for one in tree.personas[1:3]),
    ]
    assert [call.depth for call in callers.asked] == [1, 2, 2]
    assert tree.personas[1].parent_id == seed.persona_id


def test_a_given_persona_is_admitted_alone_and_before_its_relations():
    admission = Admission()
    tree_of_given(1, admit=admission.admit)
    assert admission.batches == [[BAKER], [f"{BAKER}.0", f"{BAKER}.1"]]


def test_a_given_persona_that_is_refused_is_kept_with_what_refused_it_and_grows_nothing():
    callers = Callers()
    tree = tree_of_given(3, callers.ask, Admission(BAKER).admit)
    assert (tree.personas, tree.failures, tree.halted) == ([], [], "")
    [rejection] = tree.rejected
    assert (rejection.persona.text, rejection.reason, rejection.neighbour_id) == (BAKER, Reason.EMBEDDING, "f" * 24)
    assert callers.asked == []


def test_a_given_persona_stays_when_nobody_of_its_relations_is_found():
    tree = tree_of_given(2, Callers({BAKER: Failed(FailureKind.MALFORMED, "no list", 3)}).ask)
    assert texts(tree) == [BAKER]
    assert [failure.item_id for failure in tree.failures] == [f"doc/{tree.personas[0].persona_id}"]


# --- asked again, filtered, and what a call is told


class Rounds:
    """Answers each call with as many people as it asks for, named by parent, round and number."""

    def __init__(self, *first: str) -> None:
        self.first, self.asked = list(first), []

    async def ask(self, call: PersonaCall) -> Outcome:
        self.asked.append(call)
        if call.parent_id is None and call.round == 0 and self.first:
            return answered(self.first)
        return answered(f"{call.text} {call.round}.{number}" for number in range(call.per_call))


def refilled(
    ask: Ask, admit: Admit, refills: int, depth: int = 0, filters: tuple[str, ...] = (), per_call: int = 3
) -> Tree:
    rule = GrowthRule(depth, per_call, Granularity.MEDIUM, 7, refills=refills, filters=filters)
    return asyncio.run(grow("doc", "T", rule, ask, admit, lambda: 0.0))


@pytest.mark.parametrize("refills", [0, 1, 2])
def test_refused_ones_are_asked_for_again_so_many_times(refills):
    callers = Rounds()
    tree = refilled(callers.ask, Admission("T 0.0", "T 1.0").admit, refills)
    assert [(call.per_call, call.round) for call in callers.asked] == [(3, 0), (1, 1), (1, 2)][: refills + 1]
    assert texts(tree) == ["T 0.1", "T 0.2", *["T 2.0"][: refills - 1]] if refills else ["T 0.1", "T 0.2"]
    assert tree.wanted == {0: 3}


def test_who_was_named_is_told_to_the_call_that_asks_again_refused_ones_too():
    callers = Rounds()
    refilled(callers.ask, Admission("T 0.0").admit, 1)
    assert [call.known for call in callers.asked] == [(), ("T 0.0", "T 0.1", "T 0.2")]
    assert [call.item_id for call in callers.asked] == ["doc/document", "doc/document/1"]


def test_children_are_asked_for_with_the_siblings_of_their_parent_named():
    callers = Rounds()
    refilled(callers.ask, Admission().admit, 0, depth=2, per_call=2)
    known = {call.text: call.known for call in callers.asked if call.depth == 2}
    assert known["T 0.0 0.0"] == ("T 0.0 0.1",)
    assert known["T 0.1 0.1"] == ("T 0.1 0.0",)


def test_only_parents_who_are_short_of_children_are_asked_about_again():
    callers = Rounds()
    tree = refilled(callers.ask, Admission("T 0.1 0.0").admit, 1, depth=1, per_call=2)
    again = [call for call in callers.asked if call.round]
    assert [(call.text, call.per_call) for call in again] == [("T 0.1", 1)]
    assert len(tree.personas) == 6 and tree.wanted == {0: 2, 1: 4}


@pytest.mark.parametrize("outcome", [Failed(FailureKind.MALFORMED, "no list", 3), answered(["a"], "1 of 3 personas")])
def test_what_three_tries_did_not_bring_is_not_asked_for_again(outcome):
    asked = []

    async def ask(call: PersonaCall) -> Outcome:
        asked.append(call)
        return outcome

    tree = refilled(ask, Admission().admit, 1)
    assert (len(asked), len(tree.failures)) == (1, 1)


def test_a_child_that_is_named_twice_is_one_row_and_is_still_owed():
    async def ask(call: PersonaCall) -> Outcome:
        return answered(["a man", "a woman", "a child"][: call.per_call])

    tree = refilled(ask, Admission("a child").admit, 2, depth=1)
    ids = [one.persona_id for one in tree.personas]
    assert len(ids) == len(set(ids))
    assert texts(tree)[:2] == ["a man", "a woman"]
    assert {one.reason for one in tree.rejected} == {Reason.EMBEDDING, Reason.EXACT}


def test_filtered_ones_are_rejected_by_name_are_never_admitted_and_are_asked_for_again():
    admission, callers = Admission(), Rounds("People who like the sea and ships", "A clerk, jane@example.org, who rows")
    chosen = ("list", "personal_data")
    tree = refilled(callers.ask, admission.admit, 1, filters=chosen, per_call=2)
    assert [one.reason for one in tree.rejected] == ["list", "personal_data"]
    assert admission.batches == [["T 1.0", "T 1.1"]] == [texts(tree)]


def test_answers_that_are_too_short_are_rejected_where_length_is_filtered():
    async def ask(call: PersonaCall) -> Outcome:
        return Done(
            PersonaAnswer([Found("A man who rows", "read")], "m", "sha", Usage(), 1, "", [Found("nurse", "like")])
        )

    for chosen, reasons in ((("length",), ["length"]), ((), [])):
        tree = refilled(ask, Admission().admit, 1, filters=chosen, per_call=1)
        assert [one.reason for one in tree.rejected] == reasons and len(tree.personas) == 1


def test_a_rule_is_the_same_after_a_turn_through_json():
    rule = GrowthRule(
        2, 5, Granularity.FINE, 7, refills=2, filters=("echo",), wording=Wording("German", "{text}", "{persona}")
    )
    assert GrowthRule.of(json.loads(json.dumps(asdict(rule)))) == rule
    assert GrowthRule.of({"depth": 1, "per_call": 5, "granularity": "medium", "seed": 0}).wording == Wording()


def test_a_document_of_which_all_personas_are_refused_says_why_and_what_to_do():
    async def ask(call: PersonaCall) -> Outcome:
        text = "who used to play in the old concert hall of the town and is glad that it is open again"
        return answered([f"A retired violinist from Leeds {text} in round {call.round}."])

    rule = GrowthRule(1, 1, Granularity.MEDIUM, 7, refills=1, filters=("language",))
    text = "Die Fähre zur Insel fährt von Mai bis September viermal am Tag. Autos müssen am Vortag angemeldet werden."
    tree = asyncio.run(grow("doc", text, rule, ask, Admission().admit, lambda: 0.0))
    [failure] = tree.failures
    assert (failure.item_id, failure.kind, failure.attempts) == ("doc/document", "too_few", 2)
    assert "all 2 personas were refused (2 language); the text is in 'de'" in failure.message
    assert "personas.language" in failure.message
