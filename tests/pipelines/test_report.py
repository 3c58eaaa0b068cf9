"""What the report of a run has in it, and what becomes of folders that are none."""

import json
import re
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from geometry import scattered
from made_run import HOSTILE, Made, made_run
from rich.console import Console

from cluster.errors import Halt, UserError
from cluster.files import RunLock
from pipelines.outputs import write_again, write_outputs
from pipelines.report import report_page, write_report
from pipelines.report.content import content
from pipelines.report.findings import diversity_findings
from pipelines.report.people import principal_plane
from pipelines.report.talks import MOST_CHARACTERS
from pipelines.run_reading import find_run
from pipelines.settings import kept_config, parse, settings_of


def again(run_dir: Path) -> str:
    out = StringIO()
    write_again(run_dir, Console(file=out, width=200))
    return out.getvalue()


def data_of(page: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1])


def test_the_page_needs_nothing_but_itself(tmp_path):
    page = write_report(made_run(tmp_path / "run")).read_text()
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=[\"']?(https?:)?//", page)
    assert "default-src 'none'" in page and page.count("<script") == 3


def test_texts_that_would_end_a_script_do_not(tmp_path):
    page = write_report(made_run(tmp_path / "run", Made(hostile=HOSTILE))).read_text()
    shown = data_of(page)
    assert HOSTILE in shown["people"]["columns"]["text"]
    assert any(one["text"] == HOSTILE for row in shown["talks"]["rows"] for one in row["messages"])
    raw = page.split('id="data">')[1].split("</script>")[0]
    assert "<" not in raw and "\u2028" not in raw


def test_the_same_run_gives_the_same_page_but_for_its_date(tmp_path):
    run = find_run(made_run(tmp_path / "run"))
    one, other = (content(run) for _ in range(2))
    assert {**one, "run": 0} == {**other, "run": 0}


def test_everybody_who_speaks_in_the_page_is_on_its_map(tmp_path):
    shown = content(find_run(made_run(tmp_path / "run", Made(personas=12_000, documents=50, conversations=2000))))
    assert len(shown["people"]["columns"]["id"]) == 10_000 and shown["people"]["of"] == 12_000
    assert len(shown["talks"]["rows"]) == 1000 and shown["talks"]["of"] == 2000
    assert {row["persona_id"] for row in shown["talks"]["rows"]} <= set(shown["people"]["columns"]["id"])


def test_long_dialogues_are_as_many_as_a_page_can_hold(tmp_path):
    shown = content(find_run(made_run(tmp_path / "run", Made(hostile="word " * 500_000, conversations=24))))
    size = sum(len(one["text"]) for row in shown["talks"]["rows"] for one in row["messages"])
    assert size <= MOST_CHARACTERS and 0 < len(shown["talks"]["rows"]) <= 24


def test_a_tree_has_parents_before_children_and_says_how_many_there_are(tmp_path):
    [document, *_] = content(find_run(made_run(tmp_path / "run", Made(documents=1, personas=500))))["documents"]
    assert document["personas"] == 500 and len(document["people"]) == 200
    seen: set[str] = set()
    for one in document["people"]:
        assert one["parent"] is None or one["parent"] in seen
        seen.add(one["id"])


def test_the_plane_shows_the_directions_of_the_largest_variance():
    vectors = scattered(300, size=8)
    vectors[:150, 3] += 4
    places, spread = principal_plane(vectors)
    assert places.shape == (300, 2) and np.abs(places).max() == 1 and 0.3 < spread < 1
    first, second = places[:150, 0], places[150:, 0]
    assert max(first.min(), second.min()) > min(first.max(), second.max())
    np.testing.assert_allclose(principal_plane(vectors[::-1])[0][::-1], places, atol=1e-3)


def test_without_vectors_there_is_no_map_and_people_all_the_same(tmp_path):
    shown = content(find_run(made_run(tmp_path / "run", Made(vectors=False))))
    assert set(shown["people"]["columns"]["x"]) == {None} and len(shown["people"]["columns"]["id"]) == 60


def test_parts_that_go_away_meanwhile_are_passed_over(tmp_path):
    folder = made_run(tmp_path / "run")
    for path in (folder / "conversations").glob("*.parquet"):
        path.unlink()
    assert content(find_run(folder))["talks"]["rows"] == []


def test_the_findings_say_what_the_figures_mean():
    group = {"personas": 90, "texts": None, "cells": [], "nearest": None, "vectors": None}
    near = {"median": 0.55, "share_from_0_8": 0.02}
    run = group | {"depth": None, "nearest": near}
    by_depth = [group | {"depth": at, "nearest": near | {"median": 0.5 + at / 10}} for at in (0, 1)]
    told = {"run": run, "by_depth": by_depth, "beside_baseline": None, "left_out": None}
    first, second = diversity_findings(told)
    assert "well apart" in first and "2.0 %" in first
    assert "closer together" in second and "0.50 at depth 0" in second
    assert diversity_findings(None) == []


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "is no run: there is no such folder"),
        (lambda path: path.mkdir(), "is no run: it has no manifest.json"),
        (lambda path: path.write_text(""), "is no run: it is a file"),
        (lambda path: (path.mkdir(), (path / "manifest.json").write_text("{"))[0], "is no manifest"),
        (lambda path: (path.mkdir(), (path / "manifest.json").write_text('{"version": 1}'))[0], "is of version 1"),
    ],
)
def test_a_folder_that_is_no_run_is_told_in_one_line(tmp_path, make, said):
    make(tmp_path / "it")
    with pytest.raises(UserError, match=said) as error:
        again(tmp_path / "it")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "it" / "report.html").exists()


def test_a_run_of_a_version_that_kept_no_config_gets_its_report_and_keeps_its_card(tmp_path):
    folder = made_run(tmp_path / "run")
    (folder / "README.md").write_text("mine")
    assert "README.md stays as it is" in again(folder)
    assert (folder / "README.md").read_text() == "mine" and (folder / "report.html").exists()


def settings(run_dir: Path, **sections):
    endpoint = {"base_url": "http://me:secret@127.0.0.1:1/v1", "model": "m", "keys": ["env:KEY"]}
    return parse({"run_dir": str(run_dir), "documents": {"path": ["x"]}, "llm": {"endpoints": [endpoint]}} | sections)


def test_both_are_made_again_from_the_config_that_the_run_kept(tmp_path):
    folder = made_run(tmp_path / "run")
    manifest = find_run(folder).manifest
    manifest.facts["config"] = kept_config(settings(folder, seed=7))
    manifest.save()
    moved = folder.rename(tmp_path / "elsewhere")
    assert again(moved).split() == [str(moved / "report.html"), str(moved / "README.md")]
    assert "Seed: 7" in (moved / "README.md").read_text()


def test_what_is_kept_of_a_config_has_no_password_and_gives_the_same_settings(tmp_path):
    one = settings(tmp_path, conversations={"context": "rag", "rag": {"top_k": 2}})
    kept = json.loads(json.dumps(kept_config(one)))
    assert not any(one in json.dumps(kept) for one in ("secret", "127.0.0.1", "env:"))
    assert settings_of(kept, tmp_path).conversations == one.conversations


def test_a_running_job_is_reported_as_running(tmp_path):
    folder = made_run(tmp_path / "run")
    with RunLock(folder, "populace run"):
        assert "The run goes on" in data_of(report_page(find_run(folder)))["lede"]


def test_a_killed_run_is_reported_as_not_finished(tmp_path):
    folder = made_run(tmp_path / "run")
    manifest = find_run(folder).manifest
    manifest.conversations.done = False
    manifest.save()
    (folder / "metrics.json").write_text("{}")
    assert "killed; run it again" in data_of(report_page(find_run(folder)))["lede"]


def test_a_report_that_cannot_be_made_costs_the_run_nothing(tmp_path):
    folder, out = made_run(tmp_path / "run"), StringIO()
    (folder / "report.html").mkdir()
    write_outputs(settings(folder), find_run(folder).manifest, Console(file=out, width=200))
    assert "report.html could not be made" in out.getvalue() and (folder / "README.md").exists()


def test_a_full_disk_halts(small_disk):
    folder = made_run(small_disk / "run", Made(personas=10, conversations=5, hostile="word " * 20_000))
    with pytest.raises(Halt, match="No space left"):
        write_report(folder)


def test_documents_about_which_nobody_in_particular_asks_are_shown_too(tmp_path):
    folder = made_run(tmp_path / "run", Made(personas=0))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["personas"]["parts"]["p0"]["active"] = 6
    (folder / "manifest.json").write_text(json.dumps(manifest))
    shown = content(find_run(folder))["documents"]
    assert len(shown) == 6 and all(one["people"] == [] and one["text"] for one in shown)
