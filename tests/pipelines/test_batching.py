"""Which work goes through batches, what it is said to cost, and what is refused before anything is paid."""

from __future__ import annotations

import asyncio

import pytest

from actors.llm_caller import LLMCaller
from actors.logic.dialogue import Context, Dialogue, DialogueRule, Scene
from actors.logic.persona import Granularity
from actors.logic.persona_call import PersonaCall
from cluster.batch_folder import BatchFolder
from cluster.chat import ChatRequest, Role
from cluster.errors import UserError
from cluster.program import Done, Outcome, Program
from pipelines.batching import (
    batches_dialogues,
    batches_personas,
    check_batches,
    check_under_way,
    in_flight,
    warnings,
)
from pipelines.chat_making import Wiring, batch_chat_maker
from pipelines.endpoints import endpoints
from pipelines.plan import estimate
from pipelines.settings import Settings, parse

REQUEST = ChatRequest(Role.PERSONA, [{"role": "user", "content": "?"}], "item", 10, 0.9, 1)


def settings(folder, *overrides: str, url: str = "http://first/v1") -> Settings:
    (folder / "corpus.txt").write_text("A text about bread, long enough to be one.")
    endpoint = {"base_url": url, "model": "m", "price": {"input": 1.0, "output": 2.0}}
    content = {
        "run_dir": str(folder / "run"),
        "documents": {"path": [str(folder / "corpus.txt")]},
        "llm": {"endpoints": [endpoint | {"batch": True}, endpoint | {"base_url": "http://second/v1"}]},
        "conversations": {"count": 100, "max_turns": 1},
    }
    return parse(content, overrides)


def test_dialogues_of_one_exchange_go_through_batches_and_longer_ones_do_not(tmp_path):
    short, longer = settings(tmp_path), settings(tmp_path, "conversations.max_turns=2")
    assert batches_personas(short) and batches_dialogues(short)
    assert batches_personas(longer) and not batches_dialogues(longer)


def test_the_first_endpoint_decides_and_another_one_is_told_to_do_nothing(tmp_path):
    second = settings(tmp_path, "llm.endpoints.0.batch=false", "llm.endpoints.1.batch=true")
    assert not batches_personas(second) and not batches_dialogues(second)
    assert warnings(second) == ["llm.endpoints[1].batch does nothing: batches are of the first endpoint alone"]
    assert warnings(settings(tmp_path)) == []


def test_more_is_in_flight_where_it_waits_for_batches_shared_by_the_pools():
    assert in_flight(2, False, 1) == 2
    assert in_flight(2, True, 1) == 20 and in_flight(2, True, 4) == 5 and in_flight(2, True, 100) == 2


def test_a_plan_halves_the_price_of_what_goes_through_batches(tmp_path):
    online = estimate(settings(tmp_path, "llm.endpoints.0.batch=false"))
    batched = estimate(settings(tmp_path))
    assert (online.batch_calls, batched.batch_calls) == (0, online.calls)
    assert batched.cost_usd == pytest.approx(online.cost_usd / 2, abs=1e-4)
    turns = "conversations.max_turns=2"
    partly, fully = estimate(settings(tmp_path, turns)), estimate(settings(tmp_path, turns, "llm.endpoints.0.batch=0"))
    assert fully.cost_usd / 2 < partly.cost_usd < fully.cost_usd
    assert partly.batch_calls == fully.calls - 100 * 4


def test_batches_under_way_are_not_left_behind(tmp_path):
    folder = BatchFolder(tmp_path / "run" / "batches", "run")
    folder.begin("m", "http://first/v1", [REQUEST] * 3)
    check_under_way(settings(tmp_path))
    for changed in ("llm.endpoints.0.batch=false", "llm.endpoints.0.base_url=http://other/v1"):
        with pytest.raises(UserError, match="3 calls in batches under way at http://first/v1"):
            check_under_way(settings(tmp_path, changed))


def test_a_run_without_batches_may_have_any_endpoint(tmp_path):
    check_under_way(settings(tmp_path, "llm.endpoints.0.batch=false"))


def test_a_caller_makes_personas_and_dialogues_through_batches(tmp_path, model_server):
    server = model_server()
    (tmp_path / "manifest.json").touch()  # of a run, which its callers look for
    make = batch_chat_maker(Wiring(endpoints(settings(tmp_path, url=server.base_url)), 1, tmp_path, 20.0), "run")
    calls: list[Program[object]] = [
        PersonaCall(f"doc-{number}", None, 0, f"A text about bread {number}.", 5, Granularity.MEDIUM, 0)
        for number in range(6)
    ]
    calls += [
        Dialogue(
            Scene(f"talk-{number}", "doc", "p", "A baker.", 0, "Bread."),
            DialogueRule("Help.", 1, Context.DOCUMENT, number),
        )
        for number in range(6)
    ]

    async def main() -> list[Outcome]:
        caller = LLMCaller(make)
        await caller.take(list(enumerate(calls)))
        outcomes: list[Outcome] = []
        while len(outcomes) < len(calls):
            outcomes += [outcome for _, outcome in (await caller.finished())[1]]
        await caller.close()
        return outcomes

    assert [type(one) for one in asyncio.run(main())] == [Done] * 12
    stats = server.stats()
    assert (stats["paid"], stats["repaid"]) == (18, 0)
    assert stats["batches"]["requests"] == 17, "the first went online, and told how to ask without a schema too"
    assert stats["batches"]["files"] == []


def test_an_endpoint_without_batches_is_refused_in_one_line_before_anything_is_paid(tmp_path, model_server):
    server = model_server(batches=False)
    one = settings(tmp_path, url=server.base_url)
    with pytest.raises(UserError) as caught:
        check_batches(endpoints(one))
    assert str(caught.value) == (
        f"llm.endpoints[0] {server.base_url} has no /batches (HTTP 404); leave out its batch: true"
    )
    assert server.stats()["requests"] == 0


def test_an_endpoint_with_batches_passes(tmp_path, model_server):
    check_batches(endpoints(settings(tmp_path, url=model_server().base_url)))


def test_an_endpoint_that_makes_none_is_not_asked(tmp_path):
    check_batches(endpoints(settings(tmp_path, "llm.endpoints.0.batch=false", url="http://127.0.0.1:9/v1")))
