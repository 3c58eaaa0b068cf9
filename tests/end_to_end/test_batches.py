"""A run whose endpoint says `batch: true`: half the price, and no state in which a kill costs anything."""

from __future__ import annotations

import os
import re
import signal

import pytest
from jobs import (
    KEY,
    actor_processes,
    conversation_ids,
    metrics,
    persona_ids,
    rows,
    wait_for,
    write_config,
    write_corpus,
)

ENV = {"POPULACE_TEST_KEY": KEY}
PRICE = {"input": 1000.0, "output": 2000.0}
STATES = {  # what the provider does about the next batch, and what of it is on disk then
    "upload:0=stall": "written",
    "upload:0=hold": "written",
    "create:0=stall": "uploaded",
    "create:0=hold": "uploaded",
    "retrieve:0=stall": "created",
    "content:0=stall": "finished",
    "content:0=half": "finished",
    "delete:0=stall": "collected",
}


@pytest.fixture
def prepared(tmp_path, model_server, shared_ray):
    """A provider, a config with `batch: true`, and the folder of its run: 12 documents, 24 dialogues of a turn each."""
    server = model_server(keys=[KEY])
    endpoint = {"base_url": server.base_url, "model": "m", "keys": ["env:POPULACE_TEST_KEY"], "batch": True}
    config = write_config(
        tmp_path,
        server.base_url,
        write_corpus(tmp_path, 12),
        llm={"endpoints": [endpoint | {"price": PRICE}]},
        conversations={"count": 24, "max_turns": 1},
        cluster={"address": shared_ray.address},
    )
    return server, config, tmp_path / "run"


def undisturbed(config, run_populace, tmp_path) -> tuple[list[str], list[str]]:
    """Ids of persona and conversation rows of a run that nothing disturbs, and that uses no batches."""
    folder = tmp_path / "undisturbed"
    arguments = ("--set", f"run_dir={folder}", "--set", "llm.endpoints.0.batch=false")
    done = run_populace("run", config, *arguments, env=ENV, timeout=250)
    assert done.returncode == 0, done.stderr
    return persona_ids(folder), conversation_ids(folder)


def told(run) -> dict[str, str]:
    """What a person is told beside the counts."""
    return metrics(run).get("notes", {}) if (run / "metrics.json").exists() else {}


def usd(tokens: dict, share: float = 1.0) -> float:
    return share * (tokens["prompt_tokens"] * PRICE["input"] + tokens["completion_tokens"] * PRICE["output"]) / 1e6


@pytest.mark.slow
def test_a_run_of_single_turns_goes_through_batches_at_half_the_price(prepared, run_populace, tmp_path):
    server, config, run = prepared
    done = run_populace("run", config, env=ENV, timeout=250)
    assert done.returncode == 0, done.stderr
    stats = server.stats()
    batches = stats["batches"]
    assert stats["paid"] == 12 + 24 * 2 and stats["repaid"] == 0
    assert batches["requests"] == stats["paid"] - 1, "the first call tells how to ask"
    assert batches["created"] <= 4 and batches["files"] == []
    cost = usd(stats) - usd(batches, 0.5)
    assert metrics(run)["cost_usd"] == pytest.approx(cost, rel=1e-4)
    assert metrics(run)["calls"] == stats["paid"]
    assert [path.name for path in (run / "batches").iterdir()] == [".lock"]
    assert (persona_ids(run), conversation_ids(run)) == undisturbed(config, run_populace, tmp_path)


@pytest.mark.slow
def test_dialogues_of_more_turns_stay_online_and_a_batch_is_told_of_while_it_lasts(prepared, start_populace):
    server, config, run = prepared
    server.set(batch_s=1e6)
    driver = start_populace("run", config, "--set", "conversations.max_turns=2", env=ENV)
    wait_for(lambda: re.fullmatch(r"11 requests, 0 done, submitted \d\d:\d\d", told(run).get("batch 1", "")), 250)
    server.set(batch_s=0.2)
    assert driver.wait(250) == 0, driver.said()
    assert server.stats()["batches"]["requests"] == 12 - 1
    assert len(rows(run, "conversations")) == 24


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_driver_killed_where_nobody_knows_how_far_it_was_goes_on(prepared, start_populace, run_populace, tmp_path):
    server, config, run = prepared
    for fault in ("upload:0=hold", "create:0=hold", "retrieve:0=stall", "content:0=half"):
        server.set(batch_script=[fault])
        driver = start_populace("run", config, env=ENV)
        wait_for(lambda fault=fault: reached(server, run, fault), 250)
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
    server.set(batch_script=[])
    done = run_populace("run", config, env=ENV, timeout=250)
    assert done.returncode == 0, done.stderr
    complete(server, run, undisturbed(config, run_populace, tmp_path))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_batch_caller_killed_in_every_state_of_a_batch_goes_on(
    prepared, shared_ray, start_populace, run_populace, tmp_path
):
    server, config, run = prepared
    faults = list(STATES)
    server.set(batch_script=[faults[0]])
    driver = start_populace("run", config, env=ENV)
    for fault, following in zip(faults, [*faults[1:], ""], strict=True):
        wait_for(lambda fault=fault: reached(server, run, fault), 250)
        [victim] = [one for one in actor_processes(shared_ray.pid, "LLMCaller") if holds_batches(one, run)]
        server.set(batch_script=[following] if following else [])
        victim.kill()
    assert driver.wait(250) == 0, driver.said()
    complete(server, run, undisturbed(config, run_populace, tmp_path))


def reached(server, run, fault: str) -> bool:
    """Whether the call that is to be held has come since the fault was set, and the state before it is on disk."""
    written = "".join(path.read_text() for path in (run / "batches").glob("[0-9]*.json") if path.exists())
    return server.stats()["batches"]["held"] == fault and f'"stage": "{STATES[fault]}"' in written


def holds_batches(process, run) -> bool:
    return any(one.path == str(run / "batches" / ".lock") for one in process.open_files())


def complete(server, run, expected: tuple[list[str], list[str]]) -> None:
    """Nothing was paid for twice, nothing is missing or doubled, and nothing was left behind. The server has answered
    a second run, without batches, in between."""
    stats = server.stats()
    assert stats["paid"] == 2 * (12 + 24 * 2) and stats["repaid"] == 12 + 24 * 2
    assert (persona_ids(run), conversation_ids(run)) == expected
    assert len(rows(run, "conversations")) == 24 and not rows(run, "failures")
    assert [path.name for path in (run / "batches").iterdir()] == [".lock"]
