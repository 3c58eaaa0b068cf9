"""The audit of a run: where it is told, that it is made once, and that a wrong reference is refused before anything is
paid."""

import json

import pytest
from jobs import KEY, metrics, rows, write_config, write_corpus

ENV = {"POPULACE_TEST_KEY": KEY}
CENSUS = "occupation,count\nmanagers,50\nprofessionals,50\n"


@pytest.mark.slow
def test_a_run_tells_who_its_personas_are_and_audits_them_once(tmp_path, model_server, shared_ray, run_populace):
    server = model_server(keys=[KEY])
    (tmp_path / "census.csv").write_text(CENSUS)
    config = write_config(
        tmp_path,
        server.base_url,
        write_corpus(tmp_path, 8),
        personas={"dedup": {"scope": "corpus"}, "depth": 1},
        conversations={"count": 4, "max_turns": 1},
        audit={"reference": str(tmp_path / "census.csv"), "judge": True, "sample": 5},
        cluster={"address": shared_ray.address},
    )
    run = tmp_path / "run"
    first = run_populace("personas", config, env=ENV)
    assert first.returncode == 0, first.stderr
    found, people = metrics(run)["audit"], rows(run, "personas")
    assert found["personas"] == found["read"] == len(people) and found["left_out"] == []
    by_name = {one["attribute"]: one for one in found["attributes"]}
    assert by_name["occupation"]["said"] > len(people) / 3
    assert sum(group["verdict"] == "over" for group in by_name["occupation"]["groups"]) == 1, "few managers"
    assert [one["personas"] for one in found["judge"]] == [5] * 7
    assert len(found["prototypes"]) == 7
    card = (run / "README.md").read_text()
    assert "## Who the personas are" in card and "Under-represented (Occupation" in card
    assert "What it cannot see" in card
    assert "who they are" in first.stdout and "who they are" in run_populace("status", run).stdout
    calls = server.stats()["requests"]

    second = run_populace("run", config, env=ENV)
    assert second.returncode == 0, second.stderr
    assert server.stats()["requests"] == calls + 4 * 2, "conversations alone"
    assert metrics(run)["audit"] == found
    assert "nothing to do" in run_populace("run", config, env=ENV).stdout

    (tmp_path / "census.csv").write_text(CENSUS.replace("50", "1", 1))
    third = run_populace("run", config, env=ENV)
    assert third.returncode == 0 and "nothing to do" not in third.stdout
    assert server.stats()["requests"] == calls + 4 * 2, "what the judge said is in the journal"
    assert metrics(run)["audit"]["attributes"] != found["attributes"]


def test_a_wrong_reference_is_refused_before_anything_is_paid(tmp_path, model_server, run_populace):
    server = model_server(keys=[KEY])
    (tmp_path / "census.csv").write_text("gender,count\nwoman,50\nladies,50\n")
    reference = {"reference": str(tmp_path / "census.csv")}
    config = write_config(tmp_path, server.base_url, write_corpus(tmp_path, 3), audit=reference)
    for command in ("run", "plan"):
        done = run_populace(command, config, env=ENV)
        assert done.returncode == 2 and "Traceback" not in done.stderr
        [line] = done.stderr.splitlines()
        assert line.startswith("populace: audit.reference: ") and "ladies is no group of gender" in line
        assert "there are: woman, man, nonbinary" in line
    assert server.stats()["requests"] == 0
    assert not (tmp_path / "run" / "manifest.json").exists()


@pytest.mark.slow
def test_a_judge_that_cannot_be_understood_costs_the_run_nothing_else(tmp_path, model_server, shared_ray, run_populace):
    server = model_server(keys=[KEY])
    config = write_config(tmp_path, server.base_url, write_corpus(tmp_path, 3), cluster={"address": shared_ray.address})
    done = run_populace("personas", config, env=ENV)
    assert done.returncode == 0, done.stderr
    assert "warning audit: left out prototypes" in done.stdout
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["facts"]["audit"]["prototypes"] == []
