"""Traces of a caller that works over HTTP, as a collector gets them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from collector import collector

from actors.llm_caller import LLMCaller
from actors.logic.dialogue import Context, Dialogue, DialogueRule, Scene
from cluster.journal import prepare
from cluster.keys import Endpoint, Secret
from cluster.program import Done, Failed, Outcome
from cluster.run_log import run_log
from cluster.tracing import Traces
from pipelines.chat_making import Wiring, chat_maker

KEY = "sk-Zx81vTq0LmW4rK7p"
SCENE = Scene("c" * 24, "doc", "p" * 24, "A baker in Paris who rises early", 1, "A text about bread and salt.")
DIALOGUE = Dialogue(SCENE, DialogueRule("You answer.", 2, Context.DOCUMENT, seed=7))
TESTS = Path(__file__).parents[1]
CALLS = 4  # two exchanges


def told(url: str | None, folder: Path, *, base_url: str) -> tuple[Outcome, float]:
    """What one caller makes of the dialogue, and the seconds that it took to send what it still had."""

    async def main() -> tuple[Outcome, float]:
        prepare(folder / "journal", "r")
        (folder / "manifest.json").touch()  # of a run, which its callers look for
        target = Endpoint("llm.endpoints[0]", base_url, "m", [("one", Secret(KEY))], roles={"respondent": "large"})
        traces = Traces(url, "run1") if url else None
        caller = LLMCaller(chat_maker(Wiring([target], 1, folder, 30.0)), traces=traces)
        await caller.take([(0, DIALOGUE)])
        _, [(_, outcome)] = await caller.finished()
        began = time.monotonic()
        await caller.flush()
        await caller.close()
        return outcome, time.monotonic() - began

    with run_log(folder, "run1", "test"):
        return asyncio.run(main())


def test_the_spans_of_a_dialogue_are_one_tree_with_its_ids(shared_server, tmp_path):
    server = shared_server(keys=[KEY], script=["0=500"])
    with collector() as here:
        outcome, _ = told(here.url, tmp_path, base_url=server.base_url)
    assert isinstance(outcome, Done)
    [root] = [one for one in here.spans() if not one.parent]
    calls = [one for one in here.spans() if one.parent]
    assert here.resource()["service.name"] == "populace"
    assert root.name == "Dialogue" and not root.failed
    ids = {name: root.told[f"populace.{name}.id"] for name in ("run", "document", "persona", "conversation")}
    assert ids == {"run": "run1", "document": "doc", "persona": "p" * 24, "conversation": "c" * 24}

    assert len(calls) == CALLS and {(one.parent, one.trace) for one in calls} == {(root.id, root.trace)}
    assert [one.name for one in calls] == ["chat m", "chat large"] * 2
    assert [one.told["populace.role"] for one in calls] == ["correspondent", "respondent"] * 2
    assert [one.told["populace.call.attempts"] for one in calls] == [2, 1, 1, 1], (
        "the first was tried again after a 500"
    )
    assert {one.told["populace.endpoint"] for one in calls} == {"llm.endpoints[0]"}
    assert {one.told["http.response.status_code"] for one in calls} == {200}
    assert sum(one.told["gen_ai.usage.output_tokens"] for one in calls) == outcome.value.usage.completion_tokens > 0
    assert sum(one.told["gen_ai.usage.input_tokens"] for one in calls) == outcome.value.usage.prompt_tokens > 0


def test_a_span_tells_of_a_call_that_the_journal_had(shared_server, tmp_path):
    server = shared_server(keys=[KEY])
    told(None, tmp_path, base_url=server.base_url)
    with collector() as here:
        told(here.url, tmp_path, base_url=server.base_url)
    calls = [one.told for one in here.spans() if one.parent]
    assert [(one["populace.call.journal_hit"], one["populace.call.attempts"]) for one in calls] == [(True, 0)] * CALLS
    assert [one["gen_ai.request.model"] for one in calls] == ["m", "large"] * 2
    assert server.stats()["requests"] == CALLS


def test_a_call_that_is_refused_is_an_error_by_its_kind_and_status(shared_server, tmp_path):
    server = shared_server(keys=[KEY], script=["0-=422"])
    with collector() as here:
        outcome, _ = told(here.url, tmp_path, base_url=server.base_url)
    assert isinstance(outcome, Failed)
    call, root = here.spans()
    assert (call.name, call.failed, call.told["error.type"]) == ("chat", True, "refused")
    assert call.told["http.response.status_code"] == 422
    assert (root.failed, root.told["error.type"]) == (True, "refused")


def test_no_key_and_no_message_is_in_what_is_sent(shared_server, tmp_path):
    server = shared_server(keys=[KEY], script=["0=500"])
    with collector() as here:
        outcome, _ = told(here.url, tmp_path, base_url=server.base_url)
    sent = b"".join(here.raw)
    assert b"c" * 24 in sent
    assert KEY[:8].encode() not in sent and KEY[-8:].encode() not in sent
    words = [SCENE.persona, "bread and salt", "You answer.", *(turn.content[:40] for turn in outcome.value.turns)]
    assert [one for one in words if one.encode() in sent] == []


def test_a_collector_that_is_down_costs_a_warning(shared_server, tmp_path):
    server = shared_server(keys=[KEY])
    outcome, seconds = told("http://127.0.0.1:9", tmp_path, base_url=server.base_url)
    assert isinstance(outcome, Done) and seconds < 15
    lines = [json.loads(line) for path in (tmp_path / "logs").iterdir() for line in path.read_text().splitlines()]
    warned = {one["message"] for one in lines if one["level"] == "warning"}
    assert warned == {"http://127.0.0.1:9 takes no traces; it is tried every 30 s, and spans are lost"}


@pytest.mark.parametrize(
    ("on", "loaded"),
    [("None", ""), ("'http://127.0.0.1:9'", "opentelemetry.exporter opentelemetry.sdk")],
)
def test_without_traces_nothing_of_opentelemetry_is_loaded(on, loaded, shared_server, tmp_path):
    code = f"""
import sys
from pathlib import Path
sys.path[:0] = {[str(TESTS / "cluster"), str(TESTS / "pipelines"), str(TESTS.parent)]!r}
import test_tracing
outcome, _ = test_tracing.told({on}, Path({str(tmp_path)!r}), base_url={shared_server(keys=[KEY]).base_url!r})
assert isinstance(outcome, test_tracing.Done), outcome
print(*sorted({{"opentelemetry.sdk", "opentelemetry.exporter"}} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, loaded), done.stderr
