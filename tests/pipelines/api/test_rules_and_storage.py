"""Stopping rules, storages and keys of scripts."""

import asyncio
import json
import os
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from cluster.errors import UserError
from pipelines import (
    AndStoppingCallback,
    BaseStoppingCallback,
    BudgetStoppingCallback,
    ContextCoverageStoppingCallback,
    ErrorRateStoppingCallback,
    FixedNumberStoppingCallback,
    GenerationState,
    JSONLStorage,
    OrStoppingCallback,
    PersonaUsageStoppingCallback,
    SmartKeyPool,
)
from pipelines.api.keys import pool_of, references
from pipelines.api.stopping import Rules
from pipelines.api.storage import save
from pipelines.endpoints import resolve_keys
from pipelines.settings import EndpointSettings

STATE = GenerationState(100, 40, 10, 20, 5, 10, 3000, 1000, 0.5, 60.0)


class Never(BaseStoppingCallback):
    async def should_stop(self, state):
        return False


@pytest.mark.parametrize(
    ("rule", "stops"),
    [
        (FixedNumberStoppingCallback(40), True),
        (FixedNumberStoppingCallback(41), False),
        (PersonaUsageStoppingCallback(20), True),
        (PersonaUsageStoppingCallback(21), False),
        (ContextCoverageStoppingCallback(0.5), True),
        (ContextCoverageStoppingCallback(), False),
        (BudgetStoppingCallback(max_usd=0.5), True),
        (BudgetStoppingCallback(max_usd=0.6), False),
        (BudgetStoppingCallback(max_total_tokens=4000), True),
        (BudgetStoppingCallback(max_completion_tokens=1001), False),
        (ErrorRateStoppingCallback(0.19, min_samples=50), True),
        (ErrorRateStoppingCallback(0.19, min_samples=51), False),
        (ErrorRateStoppingCallback(0.2, min_samples=1), False),
        (AndStoppingCallback([PersonaUsageStoppingCallback(1), FixedNumberStoppingCallback(1)]), True),
        (AndStoppingCallback([PersonaUsageStoppingCallback(1), Never()]), False),
        (OrStoppingCallback([Never(), FixedNumberStoppingCallback(1)]), True),
        (Never(), False),
    ],
    ids=lambda one: str(one),
)
def test_a_rule_stops_where_it_is_met(rule, stops):
    rules = Rules([rule])
    assert bool(rules(STATE)) is stops
    assert rules.said == (str(rule) if stops else "")


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: PersonaUsageStoppingCallback(0), "n_personas must be a whole number of at least 1, got 0"),
        (lambda: FixedNumberStoppingCallback("5"), "n must be a whole number"),
        (lambda: ContextCoverageStoppingCallback(1.5), "coverage_threshold must be in"),
        (lambda: BudgetStoppingCallback(), "has no limit"),
        (lambda: OrStoppingCallback([]), "OrStoppingCallback has no rule"),
    ],
)
def test_a_rule_that_can_never_be_met_is_refused(make, told):
    with pytest.raises(UserError, match=told):
        make()


def part(*names):
    when = [datetime(2026, 5, 4, tzinfo=UTC)] * len(names)
    return pa.table({"conversation_id": list(names), "text": ["ä\n"] * len(names), "created_at": when})


def test_json_lines_have_each_row_once_however_often_it_comes(tmp_path):
    path = tmp_path / "deep" / "rows.jsonl"
    save(JSONLStorage(path), part("a", "b"))
    with path.open("a") as file:
        file.write('{"conversation_id": "c", "te')  # a crash
    storage = JSONLStorage(path)
    save(storage, part("b", "c"))
    save(storage, part("c", "d"))
    rows = list(storage.load_conversations())
    assert [row["conversation_id"] for row in rows] == ["a", "b", "c", "d"]
    assert rows[0]["text"] == "ä\n" and rows[0]["created_at"].startswith("2026-05-04T")


def test_a_file_of_something_else_is_left_alone(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "mine"}\n')
    with pytest.raises(UserError, match="holds something else than conversations"):
        save(JSONLStorage(path), part("a"))
    assert path.read_text() == '{"text": "mine"}\n'


def test_a_storage_may_be_slow_and_asynchronous():
    class Slow:
        rows = 0

        async def save_conversations(self, conversations):
            await asyncio.sleep(0)
            self.rows += len(conversations)

    save(storage := Slow(), part("a", "b"))
    assert storage.rows == 2


def endpoint(*keys):
    return EndpointSettings(base_url="http://127.0.0.1:1/v1", model="m", keys=list(keys))


def test_keys_of_a_script_reach_the_endpoint_and_no_text():
    pool = SmartKeyPool(["sk-one-1234567", "sk-two-1234567"], requests_per_minute=60)
    named = references(pool)
    found = resolve_keys(endpoint(*named), "llm.endpoints[0]")
    assert [secret.reveal() for _, secret in found] == ["sk-one-1234567", "sk-two-1234567"]
    assert not any("sk-" in text for text in (repr(pool), json.dumps(named), repr(found)))
    assert references(pool) == named, "the same keys are the same reference"


def test_a_key_that_is_in_the_environment_is_named_by_its_variable(monkeypatch):
    monkeypatch.setitem(os.environ, "A_KEY_OF_THE_TEST", "sk-env-1234567")
    assert references(pool_of("sk-env-1234567")) == ["env:A_KEY_OF_THE_TEST"]


def test_keys_of_several_places_are_one_pool_with_the_first_limits():
    pool = pool_of("a", ["b", "a"], SmartKeyPool(["c"], 5.0), None)
    assert list(pool.api_keys) == ["a", "b", "c"] and pool.requests_per_minute == 5.0


def test_a_reference_that_another_process_made_is_refused():
    with pytest.raises(UserError, match="was in the memory of a script"):
        resolve_keys(endpoint("given:999"), "llm.endpoints[0]")
