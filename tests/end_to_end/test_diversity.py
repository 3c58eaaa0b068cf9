"""The diversity figures of a run: where they are told, and that they are measured once."""

import json

import pytest
from jobs import KEY, metrics, rows, write_config, write_corpus

ENV = {"POPULACE_TEST_KEY": KEY}


@pytest.mark.slow
def test_a_run_tells_how_diverse_it_is_and_measures_it_once(tmp_path, model_server, shared_ray, run_populace):
    server = model_server(alike=0.3, keys=[KEY])
    corpus, joined = write_corpus(tmp_path, 6), {"address": shared_ray.address}
    personas = {"dedup": {"scope": "corpus"}, "depth": 1, "refills": 0, "baseline": 12}
    talk = {"count": 6, "max_turns": 1}
    config = write_config(tmp_path, server.base_url, corpus, personas=personas, conversations=talk, cluster=joined)
    run = tmp_path / "run"
    first = run_populace("personas", config, env=ENV)
    assert first.returncode == 0, first.stderr
    found, people = metrics(run)["diversity"], rows(run, "personas")
    assert found["left_out"] is None
    assert [one["depth"] for one in found["by_depth"]] == [0, 1]
    assert [one["personas"] for one in [found["run"], *found["by_depth"]]] == [
        len(people),
        sum(one["depth"] == 0 for one in people),
        sum(one["depth"] == 1 for one in people),
    ]
    assert found["run"]["nearest"]["queries"] == sum(found["run"]["nearest"]["histogram"]) == len(people)
    assert found["run"]["nearest"]["share_from_0_9"] == 0, "deduplication refused them"
    assert found["run"]["vectors"]["vendi"] > 5 and found["run"]["texts"]["self_bleu"] > 0
    beside = found["beside_baseline"]
    assert beside["personas"] == 12 and 1 < beside["baseline_cells"] <= 12 and beside["cells"] <= 12
    calls = server.stats()["requests"]
    assert metrics(run)["calls"] == calls == 6 + sum(one["depth"] == 0 for one in people) + 3, "three for the baseline"
    assert "measuring" in first.stdout and "nearest neighbour at a cosine of" in first.stdout
    assert "## Diversity" in (run / "README.md").read_text()

    marked = json.loads((run / "manifest.json").read_text())
    marked["facts"]["diversity"]["run"]["texts"]["self_bleu"] = 0.123456
    (run / "manifest.json").write_text(json.dumps(marked))
    second = run_populace("converse", config, env=ENV)
    assert second.returncode == 0, second.stderr
    assert "measuring" not in second.stdout
    assert metrics(run)["diversity"]["run"]["texts"]["self_bleu"] == 0.123456, "kept, not measured again"
    assert server.stats()["requests"] == calls + 6 * 2
    assert "nothing to do" in run_populace("run", config, env=ENV).stdout
    assert metrics(run)["diversity"]["by_depth"] == found["by_depth"]
    assert "nearest neighbour at a cosine of" in run_populace("status", run).stdout


@pytest.mark.slow
def test_a_run_without_vectors_says_what_it_left_out(tmp_path, model_server, shared_ray, run_populace):
    server = model_server(keys=[KEY])
    corpus, joined = write_corpus(tmp_path, 3), {"address": shared_ray.address}
    config = write_config(tmp_path, server.base_url, corpus, cluster=joined)
    done = run_populace("personas", config, env=ENV)
    assert done.returncode == 0, done.stderr
    assert "warning diversity: left out what is told from vectors" in done.stdout
    found = metrics(tmp_path / "run")["diversity"]["run"]
    assert found["texts"]["texts"] > 1 and found["nearest"] is None


@pytest.mark.slow
def test_figures_that_cannot_be_measured_do_not_end_the_run(tmp_path, model_server, shared_ray, run_populace):
    server = model_server(keys=[KEY])
    corpus, joined = write_corpus(tmp_path, 3), {"address": shared_ray.address}
    config = write_config(tmp_path, server.base_url, corpus, cluster=joined, conversations={"count": 3, "max_turns": 1})
    run = tmp_path / "run"
    (run / "dedup").mkdir(parents=True)
    (run / "dedup" / "segment-00000.arrow").write_bytes(b"damaged")
    done = run_populace("run", config, env=ENV)
    assert done.returncode == 0, done.stderr
    assert "diversity: left out all figures" in done.stdout and "segment-00000.arrow is damaged" in done.stdout
    assert metrics(run)["diversity"] is None and len(rows(run, "conversations")) == 3
