"""A budget over a whole run: it stops there, says so, and goes on when there is more."""

from __future__ import annotations

import pytest
from jobs import KEY, conversation_ids, metrics, persona_ids, rows, write_config, write_corpus

ENV = {"POPULACE_TEST_KEY": KEY}
PRICE = {"input": 1.0, "output": 2.0}


@pytest.fixture
def prepared(tmp_path, model_server, shared_ray):
    server = model_server(keys=[KEY], latency=0.02)
    endpoint = {"base_url": server.base_url, "model": "m", "keys": ["env:POPULACE_TEST_KEY"], "price": PRICE}
    config = write_config(
        tmp_path,
        server.base_url,
        write_corpus(tmp_path, 12),
        llm={"endpoints": [endpoint | {"max_concurrency": 512}]},  # two callers
        conversations={"max_tokens": 256},
        cluster={"address": shared_ray.address},
    )
    return server, config, tmp_path / "run"


def paid(server) -> float:
    """USD by the server's own account."""
    stats = server.stats()
    return (stats["prompt_tokens"] * PRICE["input"] + stats["completion_tokens"] * PRICE["output"]) / 1e6


@pytest.mark.slow
def test_a_run_stops_at_its_budget_and_goes_on_when_it_is_raised(prepared, run_populace, tmp_path):
    server, config, run = prepared
    free = run_populace("run", config, "--set", f"run_dir={tmp_path / 'free'}", env=ENV)
    assert free.returncode == 0, free.stderr
    whole = metrics(tmp_path / "free")["cost_usd"]
    assert whole == pytest.approx(paid(server), rel=1e-4)
    server.reset()

    stopped = run_populace("run", config, "--set", f"llm.budget_usd={whole * 0.6:.6f}", env=ENV)
    assert stopped.returncode == 1, stopped.stdout
    assert "is spent" in stopped.stderr and "raise llm.budget_usd" in stopped.stderr
    assert "Traceback" not in stopped.stdout + stopped.stderr
    assert whole * 0.4 < paid(server) <= whole * 0.6 + 1e-6
    assert metrics(run)["cost_usd"] == pytest.approx(paid(server), rel=1e-4)
    done = run_populace("run", config, "--set", f"llm.budget_usd={whole * 2:.6f}", env=ENV)
    assert done.returncode == 0, done.stderr
    assert paid(server) == pytest.approx(whole, rel=1e-4), "nothing was paid for twice"
    assert persona_ids(run) == persona_ids(tmp_path / "free")
    assert conversation_ids(run) == conversation_ids(tmp_path / "free")
    assert len(set(conversation_ids(run))) == 60 and not rows(run, "failures")


def test_a_budget_smaller_than_one_call_pays_for_none(prepared, run_populace):
    server, config, _ = prepared
    stopped = run_populace("run", config, "--set", "llm.budget_usd=0.0000001", env=ENV)
    assert stopped.returncode == 2
    [line] = stopped.stderr.splitlines()
    assert "llm.budget_usd is $1e-07, but one call may cost $0.00" in line and line.endswith("or more; raise it")
    assert server.stats()["requests"] == 0


def test_a_plan_beyond_the_budget_says_so(prepared, run_populace):
    _, config, _ = prepared
    told = run_populace("plan", config, "--set", "llm.budget_usd=0.001", env=ENV)
    assert told.returncode == 0 and "less than that" in told.stdout
    assert "budget" not in run_populace("plan", config, "--set", "llm.budget_usd=1000", env=ENV).stdout


@pytest.mark.slow
def test_each_role_is_paid_by_the_price_of_its_model(prepared, run_populace):
    server, config, run = prepared
    told = ["llm.endpoints.0.price={input: 1, output: 2, models: {big: {input: 10, output: 30}}}"]
    told += ["llm.roles.respondent=big", "llm.budget_usd=50", "conversations.count=12"]
    done = run_populace("run", config, *(part for one in told for part in ("--set", one)), env=ENV)
    assert done.returncode == 0, done.stderr
    prices = {"m": (1, 2), "big": (10, 30)}
    spent = sum(
        prices[row["model"]][0] * row["prompt_tokens"] + prices[row["model"]][1] * row["completion_tokens"]
        for row in server.log()
    )
    assert {row["model"] for row in server.log()} == set(prices)
    assert metrics(run)["cost_usd"] == pytest.approx(spent / 1e6, rel=1e-4)
