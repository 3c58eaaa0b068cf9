"""The names under which Prometheus hears of a run, and the dashboard that asks for them."""

import json
import re
from pathlib import Path

from cluster.vocabulary import _COUNTED, SERIES, Kind, counted
from pipelines.live.state import KeyState, Pace, Stage, gauges, live_state

DASHBOARD = Path(__file__).resolve().parents[2] / "ray_configs" / "grafana-dashboard.json"
UNITS = ("usd", "seconds", "tokens", "calls", "retries", "throttled", "hits", "documents", "personas", "conversations")
UNITS += ("bios", "failures", "keys", "done", "total")


def queries() -> list[str]:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def test_every_name_is_told_once_and_ends_with_what_it_counts():
    names = [one.name for one in SERIES]
    assert len(set(names)) == len(names)
    assert all(name.startswith("populace_") and name.rpartition("_")[2] in UNITS for name in names)
    assert {name for name, _ in _COUNTED.values()} == {one.name for one in SERIES if one.kind is Kind.COUNTER}


def test_the_dashboard_asks_for_every_series_and_for_no_other():
    asked = set(re.findall(r"ray_populace_\w+", " ".join(queries())))
    assert asked == {one.exported for one in SERIES}


def test_the_dashboard_tells_parts_apart_by_labels_that_there_are():
    labels = {one.exported: one.label for one in SERIES}
    for query in queries():
        for label in re.findall(r"by \((\w+)\)", query):
            assert label in {labels[name] for name in re.findall(r"ray_populace_\w+", query)}
        assert all(part == 'run=~"$run"' for part in re.findall(r"\{(.*?)\}", query))


def test_what_the_meter_counts_is_told_under_these_names():
    told = counted({"calls": 3, "completion_tokens": 7, "trouble_cool": 2, "failures": 0})
    assert told == {("populace_calls", ""): 3.0, ("populace_tokens", "completion"): 7.0}


def test_a_document_that_failed_is_told_once():
    told = counted({"documents_done": 5, "documents_failed": 2})
    assert told == {("populace_documents", "done"): 3.0, ("populace_documents", "failed"): 2.0}


def test_gauges_say_what_the_live_view_shows():
    stages = [Stage("personas", 5, None), Stage("conversations", 3, 10)]
    keys = [KeyState("a"), KeyState("b", "retired", "HTTP 401")]
    found = gauges(live_state(stages, Pace(), {}, 0.5, 2.0, keys, {}))
    assert found["populace_stage_done", "personas"] == 5 and ("populace_stage_total", "personas") not in found
    assert found["populace_stage_total", "conversations"] == 10
    assert found["populace_spent_usd", ""] == 0.5 and found["populace_budget_usd", ""] == 2.0
    assert found["populace_keys", "in use"] == found["populace_keys", "retired"] == 1
    assert {name for name, _ in found} == {one.name for one in SERIES if one.kind is Kind.GAUGE}
