"""Documents that a model wrote: warned of and counted, or refused before anything is paid."""

from __future__ import annotations

import json

import pytest
from jobs import KEY, metrics, rows, write_config

ENV = {"POPULACE_TEST_KEY": KEY}


@pytest.mark.slow
def test_what_another_run_made_is_warned_of_counted_and_refused(tmp_path, model_server, shared_ray, run_populace):
    server, corpus = model_server(keys=[KEY]), tmp_path / "corpus"
    (corpus / "hub").mkdir(parents=True)
    real = ["A note about tides and the moon.", "A note about bread and salt.", "A note about bells."]
    (corpus / "real.jsonl").write_text("".join(json.dumps({"text": one}) + "\n" for one in real))
    (corpus / "hub" / "README.md").write_text("---\ntags: [synthetic]\n---\n")
    (corpus / "hub" / "stories.jsonl").write_text(json.dumps({"text": "A model's own story."}) + "\n")
    own = {"persona_id": "1", "parent_id": None, "relation": "read", "text": "A nurse of the night shift in Leeds."}
    (corpus / "personas.jsonl").write_text(json.dumps(own) + "\n")
    cluster = {"address": shared_ray.address}
    patterns = {"path": [str(corpus / "*.jsonl"), str(corpus / "hub" / "*.jsonl")]}
    config = write_config(
        tmp_path,
        server.base_url,
        corpus,
        documents=patterns,
        cluster=cluster,
        conversations={"count": 5, "max_turns": 1},
    )

    refused = run_populace("run", config, "--set", "documents.generated=refuse", env=ENV)
    assert refused.returncode == 2 and "documents.generated is refuse" in refused.stderr
    assert "stories.jsonl: a model wrote this" in refused.stderr and not server.stats()["requests"]

    done = run_populace("run", config, env=ENV)
    assert done.returncode == 0, done.stderr
    assert "stories.jsonl: a model wrote this" in done.stdout and "(2 generated)" in done.stdout
    written = {row["text"] for row in rows(tmp_path / "run", "documents") if row["generated"]}
    assert written == {"A model's own story.", own["text"]}
    found = metrics(tmp_path / "run")
    assert (found["documents"], found["documents_generated"]) == (5, 2)
    assert found["characters_generated"] == sum(map(len, written))
    assert found["characters"] == found["characters_generated"] + sum(map(len, real))
    share = 1 - found["characters_generated"] / found["characters"]
    assert f"Fresh real text: {share:.1%} of the characters" in (tmp_path / "run" / "README.md").read_text()

    for row in rows(tmp_path / "run", "conversations"):
        assert row["document_id"] and row["persona_id"] and row["persona_generation_depth"] == 0
        assert all(row["models"].values()) and all(len(one) == 12 for one in row["prompt_sha"].values())
