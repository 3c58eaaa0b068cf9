"""What a run makes besides talks of personas, over HTTP."""

from __future__ import annotations

import pyarrow as pa
import pytest
from jobs import KEY, metrics, rows, write_config, write_corpus

ENV = {"POPULACE_TEST_KEY": KEY}


def test_without_personas_somebody_asks_about_each_document(tmp_path, model_server, shared_ray, run_populace):
    server = model_server(keys=[KEY])
    talk = {"count": 12, "max_turns": 1, "strategy": "contextual", "respondent_prompt": "You keep the notes."}
    place = {"address": shared_ray.address}
    config = write_config(tmp_path, server.base_url, write_corpus(tmp_path, 6), conversations=talk, cluster=place)
    done = run_populace("run", config, env=ENV)
    assert done.returncode == 0, done.stderr
    made = rows(tmp_path / "run", "conversations")
    assert {(row["persona_id"], row["persona"], row["persona_generation_depth"]) for row in made} == {(None,) * 3}
    assert {row["task"] for row in made} == {"contextual"}
    assert len(made) == 12 and len({row["document_id"] for row in made}) == 6
    assert server.stats()["requests"] == metrics(tmp_path / "run")["calls"] == 12 * 2 + 1, "one wrote who asks"
    assert rows(tmp_path / "run", "personas") == []
    assert run_populace("status", tmp_path / "run").returncode == 0

    with_people = run_populace("run", config, "--set", "conversations.strategy=persona", env=ENV)
    assert with_people.returncode == 2 and "personas.depth was 'none'" in with_people.stderr


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["instruction", "math", "reasoning", "knowledge", "npc", "tool", "haiku.txt"])
def test_each_task_makes_its_rows(tmp_path, model_server, shared_ray, run_populace, strategy):
    server = model_server(keys=[KEY])
    if strategy.endswith(".txt"):
        (tmp_path / strategy).write_text("Write a haiku that {persona} would like.")
        strategy = str(tmp_path / strategy)
    place = {"address": shared_ray.address}
    talk = {"count": 20, "strategy": strategy}
    config = write_config(tmp_path, server.base_url, write_corpus(tmp_path, 4), conversations=talk, cluster=place)
    config.write_text(config.read_text().replace("  max_turns: 2\n", ""))
    done = run_populace("run", config, env=ENV)
    assert done.returncode == 0, done.stderr
    made = rows(tmp_path / "run", "conversations")
    assert len(made) == 20 and len({row["conversation_id"] for row in made}) == 20
    for row in made:
        assert [message["role"] for message in row["messages"]] == ["system", "user", "assistant"]
        assert row["persona_id"] and row["task"] == strategy.rpartition("/")[2].removesuffix(".txt")


def test_an_assistant_looks_up_what_it_is_asked(tmp_path, model_server, shared_ray, run_populace):
    server = model_server(keys=[KEY])
    talk = {"count": 6, "max_turns": 2, "context": "rag", "rag": {"top_k": 2}, "num_random_contexts": 2}
    place = {"address": shared_ray.address, "embedders": {"min": 1, "max": 1}}
    config = write_config(tmp_path, server.base_url, write_corpus(tmp_path, 6), conversations=talk, cluster=place)
    done = run_populace("run", config, env=ENV)
    assert done.returncode == 0, done.stderr
    made, passages = rows(tmp_path / "run", "conversations"), {}
    for path in (tmp_path / "run" / "retrieval").glob("part-*.arrow"):
        passages |= {row["passage_id"]: row["text"] for row in pa.ipc.open_file(path).read_all().to_pylist()}
    assert len(made) == 6
    for row in made:
        assert row["document_ids"][0] == row["document_id"] and len(set(row["document_ids"])) == 2
        assert [len(ids) for ids in row["context_ids"]] == [2, 2]
        assert all(passages[one] in row["messages"][0]["content"] for ids in row["context_ids"] for one in ids)


@pytest.mark.slow
def test_a_run_is_done_when_enough_personas_have_spoken(tmp_path, model_server, shared_ray, run_populace):
    server = model_server(keys=[KEY])
    talk, place = {"count": 400, "max_turns": 1, "stop": {"personas": 20}}, {"address": shared_ray.address}
    config = write_config(tmp_path, server.base_url, write_corpus(tmp_path, 30), conversations=talk, cluster=place)
    done = run_populace("run", config, env=ENV)
    assert done.returncode == 0 and "personas have spoken (conversations.stop.personas: 20)" in done.stdout, done.stderr
    made = rows(tmp_path / "run", "conversations")
    assert 20 <= len({row["persona_id"] for row in made}) <= 60 and len(made) < 400
    assert len(made) == metrics(tmp_path / "run")["conversations"], "no part that does not count was left"
    assert [path.name for path in (tmp_path / "run" / "conversations").glob("*")] == ["part-0-00000.parquet"]
    assert metrics(tmp_path / "run")["quality"]["attempts_taken"] == {"1": len(made)}
    again = run_populace("run", config, env=ENV)
    assert again.returncode == 0 and "nothing to do" in again.stdout
    raised = run_populace("run", config, "--set", "conversations.stop.personas=null", env=ENV)
    assert raised.returncode == 0, raised.stderr
    assert len({row["conversation_id"] for row in rows(tmp_path / "run", "conversations")}) == 400
    parts = sorted(path.name for path in (tmp_path / "run" / "conversations").glob("part-*.parquet"))
    assert parts == ["part-0-00001.parquet"], "what the first session put together is put together with the rest"
