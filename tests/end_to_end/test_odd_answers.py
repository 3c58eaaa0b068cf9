"""A model that answers other people than it was asked for: each document gets what can be had, the others theirs."""

from __future__ import annotations

import json

import pytest
from jobs import KEY, rows, write_config

ENV = {"POPULACE_TEST_KEY": KEY}
TEXT = "A notice about {topic}. What is known of {topic} in this place is told here to those who come to the harbour."
ANSWERS = {
    "barley": "",
    "copper": "fewer",
    "driftwood": "fifty",
    "elders": "twin",
    "flint": "prose",
    "granite": "markdown",
    "heather": "parrot",
}


@pytest.mark.slow
def test_each_document_gets_its_people_or_a_failure_that_says_why(tmp_path, model_server, shared_ray, run_populace):
    server = model_server(keys=[KEY], marker={f"about {topic}": fault for topic, fault in ANSWERS.items() if fault})
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text("".join(json.dumps({"id": one, "text": TEXT.format(topic=one)}) + "\n" for one in ANSWERS))
    config = write_config(
        tmp_path,
        server.base_url,
        corpus,
        documents={"id_field": "id"},
        cluster={"address": shared_ray.address},
    )
    done = run_populace("personas", config, env=ENV)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    found: dict[str, set[str]] = {topic: set() for topic in ANSWERS}
    for row in rows(tmp_path / "run", "personas"):
        found[row["document_id"]].add(row["text"])
    assert {topic: len(people) for topic, people in found.items()} == {
        topic: 0 if fault in ("prose", "parrot") else 5 for topic, fault in ANSWERS.items()
    }
    assert not any("*" in text or "notice" in text for people in found.values() for text in people)
    failed = {row["item_id"]: (row["kind"], row["message"]) for row in rows(tmp_path / "run", "failures")}
    assert failed.keys() == {"flint/document", "heather/document"}
    assert all(kind == "malformed" and "0 of 5 personas" in message for kind, message in failed.values())
    assert "A notice about heather" in failed["heather/document"][1]
