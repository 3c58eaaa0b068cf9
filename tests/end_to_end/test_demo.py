"""The demo on the embedded model: real documents, real weights, no key; minutes long."""

from __future__ import annotations

import pytest
from jobs import conversation_ids, metrics, rows


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_demo_makes_personas_and_dialogues_without_key_or_network(tmp_path, run_populace):
    done = run_populace("demo", "--run-dir", tmp_path / "demo", timeout=800)
    assert done.returncode == 0, done.stderr
    personas, conversations = rows(tmp_path / "demo", "personas"), rows(tmp_path / "demo", "conversations")
    assert len(personas) >= 30 and {row["depth"] for row in personas} == {0, 1}
    assert len(set(conversation_ids(tmp_path / "demo"))) == len(conversations) == 20
    assert {row["models"]["respondent"] for row in conversations} == {"smollm2-135m-instruct"}
    assert metrics(tmp_path / "demo")["seconds"] < 300
