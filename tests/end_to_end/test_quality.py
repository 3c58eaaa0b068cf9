"""Dialogues that are judged, improved, chosen among, and checked against other openings."""

from __future__ import annotations

from collections import defaultdict

import pytest
from jobs import KEY, conversation_ids, metrics, rows, write_config, write_corpus

ENV = {"POPULACE_TEST_KEY": KEY}


def embedded_by(server) -> dict:
    endpoint = {"base_url": server.base_url, "model": "e", "keys": ["env:POPULACE_TEST_KEY"]}
    return {"dedup": {"scope": "document", "endpoint": endpoint}}


def test_every_row_is_good_enough_and_its_rejected_candidates_are_there(
    tmp_path, model_server, shared_ray, run_populace
):
    server = model_server(keys=[KEY], judge="improving")
    talk = {"count": 6, "max_turns": 2, "auto_improve": True, "candidates": 2, "opening_threshold": 0.97}
    config = write_config(
        tmp_path,
        server.base_url,
        write_corpus(tmp_path, 3),
        personas=embedded_by(server),
        conversations=talk,
        cluster={"address": shared_ray.address},
    )
    done = run_populace("run", config, env=ENV)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "run"

    found = {row["conversation_id"]: row for row in rows(run, "conversations")}
    assert len(found) == 6 and len({row["messages"][1]["content"] for row in found.values()}) == 6
    for row in found.values():
        assert row["scores"]["overall"] == pytest.approx(0.9) and row["attempts"] == 3
        assert row["reasons"]["coherence"] == "This is draft 3 of it." and row["models"]["judge"] == "test-model"
        assert len(row["consistency"]) == 2 and row["opening_coherence"] == row["consistency"][0]
    rejected = defaultdict(list)
    for row in rows(run, "rejected_conversations"):
        rejected[row["conversation_id"]].append(row)
    for name, row in found.items():
        of_it = rejected[name]
        assert sorted((one["attempt"], one["reason"]) for one in of_it) == [
            *[(1, "judge")] * 2,
            *[(2, "judge")] * 2,
            (3, "candidate"),
        ]
        [other] = [one for one in of_it if one["attempt"] == 3]
        assert other["messages"][:2] == row["messages"][:2] and other["messages"][2] != row["messages"][2]

    quality = metrics(run)["quality"]
    assert quality["accepted"] == 6 and quality["scores"]["overall"] == pytest.approx(0.9)
    assert quality["rejected"] == len(rows(run, "rejected_conversations"))
    assert [one["rows"] for one in quality["consistency"]] == [6, 6]
    assert "## How good the conversations are" in (run / "README.md").read_text()
    assert any((run / "openings").iterdir()) and "quality" in done.stdout


@pytest.mark.slow
def test_a_judge_that_always_says_no_ends_with_a_named_shortfall(tmp_path, model_server, shared_ray, run_populace):
    server = model_server(keys=[KEY], judge="no")
    config = write_config(
        tmp_path,
        server.base_url,
        write_corpus(tmp_path, 4),
        conversations={"count": 30, "max_turns": 1, "auto_improve": True, "max_attempts": 2},
        cluster={"address": shared_ray.address},
    )
    done = run_populace("run", config, env=ENV)
    assert done.returncode == 1
    assert "0 of 30 conversations were made, 30 were refused by the judge (below 0.70" in done.stderr
    assert "lower conversations.threshold" in done.stderr and "Traceback" not in done.stderr
    assert len(rows(tmp_path / "run", "rejected_conversations")) == 60
    assert metrics(tmp_path / "run")["quality"]["refused"] == {"judge": 30}
    assert server.stats()["requests"] == 4 + 30 * 2 * 3

    more = run_populace("run", config, "--set", "conversations.threshold=0.01", env=ENV)
    assert more.returncode == 0, more.stderr
    assert len(set(conversation_ids(tmp_path / "run"))) == 30


@pytest.mark.slow
def test_openings_like_others_are_refused_with_their_neighbour(tmp_path, model_server, shared_ray, run_populace):
    server = model_server(keys=[KEY])
    config = write_config(
        tmp_path,
        server.base_url,
        write_corpus(tmp_path, 4),
        personas=embedded_by(server),
        conversations={"count": 40, "max_turns": 1, "opening_threshold": 0.6},
        cluster={"address": shared_ray.address},
    )
    done = run_populace("run", config, env=ENV)
    run = tmp_path / "run"
    refused = [row for row in rows(run, "rejected_conversations") if row["reason"] == "opening"]
    assert refused, done.stderr
    for row in refused:
        assert row["score"] >= 0.6 and len(row["messages"]) == 1 and row["neighbour_id"] != row["conversation_id"]
    assert done.returncode == 0 and len(rows(run, "conversations")) == 40, "others are asked in their place"
