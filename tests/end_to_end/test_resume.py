"""Stopping a run anywhere: the same command goes on, nothing is lost, doubled, or paid for twice."""

from __future__ import annotations

import os
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
DOCUMENTS, CALLS = 30, 30 + 90 * 4


OWN_RAY = ("--set", "cluster.address=null")


@pytest.fixture
def prepared(tmp_path, model_server, shared_ray):
    """A server, a config, and the folder of its run: 30 documents, 90 dialogues, 390 calls."""
    server = model_server(keys=[KEY], latency=0.05)
    endpoint = {"base_url": server.base_url, "model": "m", "keys": ["env:POPULACE_TEST_KEY"], "max_concurrency": 16}
    config = write_config(
        tmp_path,
        server.base_url,
        write_corpus(tmp_path, DOCUMENTS),
        llm={"endpoints": [endpoint]},
        conversations={"count": 90},
        cluster={"address": shared_ray.address},
    )
    return server, config, tmp_path / "run"


_undisturbed: list[tuple[list[str], list[str]]] = []


def undisturbed(config, run_populace, tmp_path) -> tuple[list[str], list[str]]:
    """Ids of persona and conversation rows of a run that nothing disturbs; made once, they do not hang on the place."""
    if not _undisturbed:
        done = run_populace("run", config, "--set", f"run_dir={tmp_path / 'undisturbed'}", env=ENV)
        assert done.returncode == 0, done.stderr
        _undisturbed.append((persona_ids(tmp_path / "undisturbed"), conversation_ids(tmp_path / "undisturbed")))
    return _undisturbed[0]


def test_a_killed_driver_resumes_to_the_ids_of_an_undisturbed_run(prepared, start_populace, run_populace, tmp_path):
    server, config, run = prepared
    for calls, place in ((20, OWN_RAY), (150, ())):  # once among the personas, once among the dialogues
        driver = start_populace("run", config, *place, env=ENV)
        wait_for(lambda calls=calls: server.stats()["requests"] >= calls)
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
        wait_for(lambda: not server.stats()["in_flight"])
    done = run_populace("run", config, env=ENV)
    assert done.returncode == 0, done.stderr
    assert metrics(run)["journal_hits"] > 0
    assert (metrics(run)["documents"], metrics(run)["documents_repeated"]) == (DOCUMENTS, 0)
    asked = server.stats()["requests"]
    assert asked <= CALLS + 2 * 16, "paid again: more than what was in flight at the two kills"
    assert len(rows(run, "conversations")) == 90
    assert (persona_ids(run), conversation_ids(run)) == undisturbed(config, run_populace, tmp_path)


def test_killed_actors_cost_at_most_the_calls_that_a_caller_had_in_flight(
    prepared, start_populace, run_populace, shared_ray, tmp_path
):
    server, config, run = prepared
    driver = start_populace("run", config, env=ENV)
    for calls, kind in ((10, "PersonaPool"), (100, "LLMCaller"), (250, "MapWorker")):
        wait_for(lambda calls=calls: server.stats()["requests"] >= calls)
        [victim, *_] = actor_processes(shared_ray.pid, kind)
        victim.kill()
    assert driver.wait(240) == 0, driver.said()
    assert server.stats()["requests"] <= CALLS + 16
    assert len(rows(run, "conversations")) == 90
    assert (persona_ids(run), conversation_ids(run)) == undisturbed(config, run_populace, tmp_path)


@pytest.mark.slow
def test_a_killed_dedup_service_gives_the_answers_that_it_gave(tmp_path, model_server, shared_ray, start_populace):
    server = model_server(latency=0.3, alike=0.4)
    personas = {"dedup": {"scope": "corpus"}, "depth": 1}
    joined = {"address": shared_ray.address}
    config = write_config(tmp_path, server.base_url, write_corpus(tmp_path, 6), personas=personas, cluster=joined)
    driver = start_populace("personas", config, env=ENV)
    wait_for(lambda: server.stats()["requests"] >= 15)
    for kind in ("DedupService", "Embedder"):
        actor_processes(shared_ray.pid, kind)[0].kill()
    assert driver.wait(240) == 0, driver.said()
    run = tmp_path / "run"
    kept, refused = rows(run, "personas"), rows(run, "rejected")
    assert len({row["persona_id"] for row in kept}) == len(kept)
    assert refused and {row["neighbour_id"] for row in refused} <= {row["persona_id"] for row in kept}


@pytest.mark.slow
def test_an_interrupt_keeps_the_state_and_says_how_to_go_on(prepared, start_populace, run_populace):
    server, config, run = prepared
    driver = start_populace("run", config, *OWN_RAY, env=ENV)
    wait_for(lambda: server.stats()["requests"] >= 100)
    os.killpg(driver.pid, signal.SIGINT)
    assert driver.wait(120) == 130
    said = driver.said()[1]
    assert "interrupted" in said and "goes on from there" in said and "Traceback" not in said
    done = run_populace("run", config, env=ENV)
    assert done.returncode == 0, done.stderr
    assert server.stats()["requests"] <= CALLS + 16
    assert len(set(conversation_ids(run))) == len(rows(run, "conversations")) == 90


def test_a_run_dir_in_use_is_refused(prepared, start_populace, run_populace):
    server, config, _ = prepared
    server.set(latency=5.0)  # it is still at work when the others have started
    first = start_populace("run", config, env=ENV)
    wait_for(lambda: server.stats()["requests"] >= 1)
    second = run_populace("run", config, env=ENV)
    assert second.returncode == 2
    assert f"in use by process {first.pid}" in second.stderr and len(second.stderr.splitlines()) == 1
    beside = run_populace("status", config.parent / "run")
    assert beside.returncode == 0 and "running" in beside.stdout
