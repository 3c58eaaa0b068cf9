"""People of a simulation over HTTP: `populace bios` as a user starts it, against the tests' model server."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from pathlib import Path

import pytest
import yaml
from jobs import KEY, actor_processes, metrics, rows, wait_for, write_config, write_corpus

from actors.logic.prose import sentences, words
from pipelines.bios.variables import read_population

ENV = {"POPULACE_TEST_KEY": KEY}
VILLAGE = "A medieval village in northern Britain"
CENSUS = """region,sex,age,work,home,count
north,female,18-24,study,rents,30
north,male,18-24,job,rents,50
north,female,25-64,job,owns,120
south,male,25-64,job,rents,200
south,female,65+,pension,owns,80
south,male,65+,pension,rents,20
"""


@pytest.fixture
def config(tmp_path, shared_ray):
    """`config(server, kind="backstory")` writes the config of a run that has bios alone."""

    def write(server, name: str = "run", **chosen: object) -> Path:
        endpoint = {"base_url": server.base_url, "model": "m", "keys": ["env:POPULACE_TEST_KEY"], "max_concurrency": 8}
        content = {
            "run_dir": str(tmp_path / name),
            "bios": chosen if "personas" in chosen else {"description": VILLAGE, **chosen},
            "llm": {"endpoints": [endpoint]},
            "cluster": {"address": shared_ray.address},
        }
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return write


def bios(run: Path) -> list[dict]:
    return [row | {"traits": json.loads(row["traits"])} for row in rows(run, "bios")]


@pytest.mark.slow
def test_a_description_becomes_ten_bios_and_ten_backstories_of_the_traits_that_were_drawn(
    tmp_path, shared_server, config, run_populace
):
    server = shared_server(keys=[KEY])
    done = run_populace("bios", config(server, "first"), env=ENV)
    assert done.returncode == 0, done.stderr
    first = bios(tmp_path / "first")
    kept = tmp_path / "first" / "bios" / "variables.yaml"
    stories = config(server, "second", kind="backstory", variables=str(kept), models=["model-a", "model-b"])
    done = run_populace("bios", stories, env=ENV)
    assert done.returncode == 0, done.stderr
    second = bios(tmp_path / "second")

    drawn = [read_population([str(kept)]).draw(0, index) for index in range(10)]
    assert len({row["bio_id"] for row in first + second}) == 20
    assert [row["traits"] for row in first] == [row["traits"] for row in second] == drawn
    assert len({json.dumps(traits) for traits in drawn}) > 5
    assert all(sentences(row["text"]) == 1 and row["traits_said"] == 1 for row in first)
    assert all(150 <= words(row["text"]) <= 250 and row["traits_said"] == 1 for row in second)
    assert [row["model"] for row in second] == ["model-a", "model-b"] * 5
    assert {row["kind"] for row in first} == {"bio"} and {row["model"] for row in first} == {"m"}
    assert metrics(tmp_path / "first")["calls"] == 11 and metrics(tmp_path / "first")["bios"] == 10
    assert server.stats()["requests"] == 21

    again = run_populace("bios", config(server, "first"), env=ENV)
    assert again.returncode == 0 and "nothing to do" in again.stdout
    more = run_populace("bios", config(server, "first", num_of_samples=13), env=ENV)
    assert more.returncode == 0, more.stderr
    assert len({row["bio_id"] for row in bios(tmp_path / "first")}) == 13 and server.stats()["requests"] == 24
    status = run_populace("status", tmp_path / "first")
    assert status.returncode == 0 and "finished" in status.stdout and "13" in status.stdout
    card = (tmp_path / "first" / "README.md").read_text()
    assert VILLAGE in card and "config_name: bios" in card


def test_a_census_decides_who_is_written_about(tmp_path, shared_server, config, run_populace):
    census = tmp_path / "census.csv"
    census.write_text(CENSUS)
    server = shared_server(keys=[KEY])
    done = run_populace("bios", config(server, variables=str(census), num_of_samples=400), env=ENV)
    assert done.returncode == 0, done.stderr
    made = Counter(",".join(row["traits"].values()) for row in bios(tmp_path / "run"))
    expected = {line.rpartition(",")[0]: int(line.rpartition(",")[2]) / 500 for line in CENSUS.splitlines()[1:]}
    assert made.keys() <= expected.keys() and made.total() == 400
    assert all(abs(made[cell] - 400 * share) < 5 * (400 * share) ** 0.5 for cell, share in expected.items())
    assert server.stats()["requests"] == 400, "nobody asks a model for what the census says"


@pytest.mark.slow
def test_backstories_that_are_too_short_go_on_in_a_second_call(tmp_path, shared_server, config, run_populace):
    server, census = shared_server(keys=[KEY], script=["0-=short"]), tmp_path / "census.csv"
    census.write_text(CENSUS)
    settings = config(server, variables=str(census), kind="backstory", num_of_samples=6)
    done = run_populace("bios", settings, env=ENV)
    assert done.returncode == 0, done.stderr
    made = bios(tmp_path / "run")
    assert len(made) == 6 and all(150 <= words(row["text"]) <= 250 and row["traits_said"] == 1 for row in made)
    assert server.stats()["requests"] == 12, "a call that begins and one that goes on"
    assert len({row["prompt_sha"] for row in made}) == 1


@pytest.mark.slow
def test_personas_of_a_run_become_bios_of_traits_read_from_them(
    tmp_path, shared_server, config, shared_ray, run_populace
):
    server = shared_server(keys=[KEY])
    of_documents = write_config(
        tmp_path, server.base_url, write_corpus(tmp_path, 3), cluster={"address": shared_ray.address}
    )
    assert run_populace("personas", of_documents, env=ENV).returncode == 0
    personas = {row["persona_id"]: row["text"] for row in rows(tmp_path / "run", "personas")}
    done = run_populace("bios", config(server, "people", personas=str(tmp_path / "run")), env=ENV)
    assert done.returncode == 0, done.stderr
    made = bios(tmp_path / "people")
    assert {row["persona_id"] for row in made} == personas.keys() and len(made) == 15
    for row in made:
        assert row["traits"]["who"].split()[0] in personas[row["persona_id"]]


@pytest.mark.slow
def test_people_who_fail_are_asked_for_again_so_that_the_population_stays_as_it_was_drawn(
    tmp_path, shared_server, config, run_populace
):
    server = shared_server(keys=[KEY], share={"deaf": 0.35, "prose": 0.2, "fenced": 0.1}, sticky=True)
    census = tmp_path / "census.csv"
    census.write_text(CENSUS)
    settings = config(server, variables=str(census), num_of_samples=60)
    done = run_populace("bios", settings, env=ENV)
    run = tmp_path / "run"
    while done.returncode == 1:  # three rounds of three tries did not do for everybody
        assert "run again to try them anew" in done.stderr and rows(run, "failures")
        done = run_populace("bios", settings, env=ENV)
    assert done.returncode == 0, done.stderr
    made = bios(run)
    assert len({row["bio_id"] for row in made}) == len(made) == 60 and all(row["traits_said"] >= 0.5 for row in made)
    drawn = [read_population([str(census)]).draw(0, index) for index in range(60)]
    assert Counter(json.dumps(row["traits"]) for row in made) == Counter(map(json.dumps, drawn))
    assert len(list((run / "bios").glob("part-*"))) > 1, "nobody failed, so that nothing was shown"
    assert not rows(run, "failures") and metrics(run)["failures"] == 0


def test_people_whom_the_model_never_writes_about_end_the_run_undone_and_by_name(
    tmp_path, shared_server, config, run_populace
):
    server, census = shared_server(keys=[KEY], marker={"work: pension": "deaf"}), tmp_path / "census.csv"
    census.write_text(CENSUS)
    done = run_populace("bios", config(server, variables=str(census), num_of_samples=40), env=ENV)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    made, failed = bios(tmp_path / "run"), rows(tmp_path / "run", "failures")
    assert f"{len(made)} of 40 bios were made; {len(failed)} people were given up in every round" in done.stderr
    assert len(made) + len(failed) == 40 and {row["kind"] for row in failed} == {"malformed"}
    assert all(row["traits"]["work"] != "pension" for row in made)
    assert all("work: pension" in row["message"] for row in failed)


def test_personas_that_cannot_be_read_are_failures_and_the_others_are_written_about(
    tmp_path, shared_server, config, run_populace
):
    server = shared_server(keys=[KEY])
    people = tmp_path / "people.jsonl"
    people.write_text('{"persona": "A baker in Paris who rises early"}\n{"persona": }\n{"persona": ""}\n')
    done = run_populace("bios", config(server, "few", personas=str(people), persona_field="persona"), env=ENV)
    assert done.returncode == 0, done.stderr
    assert len(bios(tmp_path / "few")) == 1
    assert [row["item_id"].rpartition("/")[2] for row in rows(tmp_path / "few", "failures")] == [
        "people.jsonl:2",
        "people.jsonl:3",
    ]


@pytest.mark.slow
def test_a_killed_command_goes_on_and_pays_for_nothing_twice(
    tmp_path, shared_server, config, start_populace, run_populace
):
    server = shared_server(keys=[KEY], latency=0.05)
    settings = config(server, num_of_samples=300, kind="backstory")
    driver = start_populace("bios", settings, env=ENV)
    wait_for(lambda: server.stats()["requests"] >= 120)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    wait_for(lambda: not server.stats()["in_flight"])
    done = run_populace("bios", settings, env=ENV)
    assert done.returncode == 0, done.stderr
    assert server.stats()["requests"] <= 301 + 8, "paid again: more than what was in flight at the kill"
    assert metrics(tmp_path / "run")["journal_hits"] >= 100
    undisturbed = run_populace("bios", settings, "--set", f"run_dir={tmp_path / 'undisturbed'}", env=ENV)
    assert undisturbed.returncode == 0, undisturbed.stderr
    for name in ("bio_id", "text", "traits"):
        assert [row[name] for row in bios(tmp_path / "run")] == [row[name] for row in bios(tmp_path / "undisturbed")]


@pytest.mark.slow
def test_people_added_to_a_finished_run_are_owed_after_a_kill_and_nobody_is_paid_for_twice(
    tmp_path, shared_server, config, start_populace, run_populace
):
    server, census = shared_server(keys=[KEY], latency=0.05), tmp_path / "census.csv"
    census.write_text(CENSUS)
    settings, run = config(server, variables=str(census), num_of_samples=120), tmp_path / "run"
    assert run_populace("bios", settings, env=ENV).returncode == 0
    first = bios(run)
    more = ("bios", settings, "--set", "bios.num_of_samples=450")
    driver = start_populace(*more, env=ENV)
    wait_for(lambda: server.stats()["requests"] >= 280)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    wait_for(lambda: not server.stats()["in_flight"])
    assert len(first) == 120 <= len(bios(run)) < 450
    assert "finished" not in run_populace("status", run).stdout
    done = run_populace(*more, env=ENV)
    assert done.returncode == 0, done.stderr
    made = bios(run)
    assert len({row["bio_id"] for row in made}) == len(made) == 450 and all(row in made for row in first)
    drawn = [read_population([str(census)]).draw(0, index) for index in range(450)]
    assert Counter(json.dumps(row["traits"]) for row in made) == Counter(map(json.dumps, drawn))
    assert server.stats()["requests"] <= 450 + 8, "paid again: more than what was in flight at the kill"
    again = run_populace(*more, env=ENV)
    assert again.returncode == 0 and "nothing to do" in again.stdout


@pytest.mark.slow
def test_killed_actors_lose_nobody(tmp_path, shared_server, config, start_populace, shared_ray):
    server = shared_server(keys=[KEY], latency=0.05)
    driver = start_populace("bios", config(server, num_of_samples=300), env=ENV)
    for calls, kind in ((60, "BioWriter"), (150, "LLMCaller")):
        wait_for(lambda calls=calls: server.stats()["requests"] >= calls)
        [victim, *_] = actor_processes(shared_ray.pid, kind)
        victim.kill()
    assert driver.wait(240) == 0, driver.said()
    assert len({row["bio_id"] for row in bios(tmp_path / "run")}) == 300
    assert server.stats()["requests"] <= 301 + 8


@pytest.mark.parametrize("description", ["Mars", "A town by the sea, told at length. " * 900])
@pytest.mark.slow
def test_a_description_of_a_word_or_of_ten_pages_is_enough(description, tmp_path, shared_server, config, run_populace):
    server = shared_server(keys=[KEY])
    done = run_populace("bios", config(server, description=description, num_of_samples=3), env=ENV)
    assert done.returncode == 0, done.stderr
    assert len(bios(tmp_path / "run")) == 3


@pytest.mark.slow
def test_variables_that_do_not_fit_together_are_mended_or_end_the_run_with_the_way_out(
    tmp_path, shared_server, config, run_populace
):
    server = shared_server(keys=[KEY], script=["0=unfit"])
    assert run_populace("bios", config(server, "mended"), env=ENV).returncode == 0
    assert server.stats()["requests"] == 12
    server.set(script=["0-=unfit"])
    done = run_populace("bios", config(server, "never"), "--set", "seed=1", env=ENV)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "sum to 0.8" in done.stderr and "bios.variables" in done.stderr
    assert not rows(tmp_path / "never", "bios")


def refused(done) -> str:
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    [line] = done.stderr.splitlines()
    return line


def test_what_cannot_be_used_is_refused_in_one_line(tmp_path, shared_server, config, run_populace):
    server = shared_server(keys=[KEY])
    (tmp_path / "off.csv").write_text("region,probability\nnorth,0.5\nsouth,0.4\n")
    line = refused(run_populace("bios", config(server, variables=str(tmp_path / "off.csv")), env=ENV))
    assert "off.csv: the probabilities sum to 0.9, not to 1" in line
    assert "documents.path names nothing" in refused(run_populace("run", config(server), env=ENV))


@pytest.mark.slow
def test_a_population_that_changed_under_a_run_is_refused(tmp_path, shared_server, config, run_populace):
    server, census = shared_server(keys=[KEY]), tmp_path / "census.csv"
    census.write_text(CENSUS)
    settings = config(server, variables=str(census), num_of_samples=3)
    assert run_populace("bios", settings, env=ENV).returncode == 0
    census.write_text(CENSUS.replace("120", "121"))
    line = refused(run_populace("bios", settings, "--set", "bios.num_of_samples=5", env=ENV))
    assert "census.csv" in line and "has changed" in line and "--fresh" in line
