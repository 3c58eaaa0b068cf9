"""What is measured of a run's folder: its parts and its log of vectors."""

import json
from pathlib import Path

import numpy as np
import pytest
from geometry import scattered

from actors.index.log import IndexLog
from actors.index.rows import rows_of
from actors.logic import tables
from actors.logic.near_duplicates import form_key
from actors.logic.persona import Persona, persona_id
from cluster.parts import write_part
from pipelines.diversity import measured
from pipelines.diversity_table import diversity_section

PERSONAS, SIZE = 600, 16
PARTS = ["a", "b", "c"]


def people(count: int = PERSONAS) -> list[Persona]:
    texts = [
        f"Person {at} of the town who has the number {at * 7} and wishes for {at % 13} more" for at in range(count)
    ]
    return [
        Persona(persona_id(f"d{at % 10}", None, text), f"d{at % 10}", None, at % 3, text, "read", "m", "p", 0.0)
        for at, text in enumerate(texts)
    ]


def write(folder: Path, shards: int = 1, rows: list[Persona] | None = None) -> Path:
    """A run's parts, and the logs of so many shards; 0: no log."""
    rows = people() if rows is None else rows
    for at, name in enumerate(PARTS):
        write_part(folder / "personas", name, tables.personas(rows[at :: len(PARTS)]))
    vectors = scattered(len(rows), size=SIZE)
    for shard in range(shards):
        log = IndexLog(folder / "dedup" / f"shard-{shard}" if shards > 1 else folder / "dedup", "m", SIZE)
        mine = slice(shard, None, shards)
        ids = [bytes.fromhex(one.persona_id) for one in rows[mine]]
        log.append(rows_of(ids, [form_key(one.text) for one in rows[mine]], vectors[mine].astype(np.float16)))
        log.close()
    return folder


def test_a_run_and_each_depth_have_every_figure(tmp_path):
    found = measured(write(tmp_path), PARTS, seed=0)
    assert found["left_out"] is None
    assert [one["depth"] for one in [found["run"], *found["by_depth"]]] == [None, 0, 1, 2]
    assert [one["personas"] for one in [found["run"], *found["by_depth"]]] == [600, 200, 200, 200]
    for one in [found["run"], *found["by_depth"]]:
        assert one["texts"]["texts"] == one["nearest"]["queries"] == one["vectors"]["personas"] == one["personas"]
        assert sum(one["nearest"]["histogram"]) == one["personas"] == one["cells"][-1]["personas"]


@pytest.mark.parametrize("shards", [2, 3])
def test_it_does_not_matter_how_many_shards_kept_them_or_in_which_parts_they_lie(tmp_path, shards):
    one = measured(write(tmp_path / "one"), PARTS, seed=0)
    assert measured(write(tmp_path / "some", shards), PARTS[::-1], seed=0) == one


def test_without_a_log_the_texts_are_measured_and_the_rest_is_said_to_be_missing(tmp_path):
    found = measured(write(tmp_path, shards=0), PARTS, seed=0)
    assert "personas.dedup.scope" in found["left_out"]
    assert found["run"]["texts"] == measured(write(tmp_path), PARTS, seed=0)["run"]["texts"]
    assert (found["run"]["nearest"], found["run"]["vectors"], found["run"]["cells"]) == (None, None, [])


def test_the_run_is_held_against_as_many_of_a_baseline(tmp_path):
    baseline = scattered(3, 5, SIZE)[np.arange(90) % 3]
    found = measured(write(tmp_path), PARTS, seed=0, baseline=baseline)
    told = found["beside_baseline"]
    assert told == {"personas": 90, "cells": told["cells"], "baseline_cells": 3} and told["cells"] > 60
    assert f"90 personas of the run lie in {told['cells']} cells" in diversity_section(found)
    assert measured(write(tmp_path), PARTS, seed=0, baseline=baseline[:0])["beside_baseline"] is None


def test_the_figures_are_plain_json(tmp_path):
    found = measured(write(tmp_path), PARTS, seed=0, baseline=scattered(5, 5, SIZE))
    assert json.loads(json.dumps(found)) == found


def test_the_card_has_a_column_for_the_run_and_for_each_depth_and_a_line_for_each_figure(tmp_path):
    told = diversity_section(measured(write(tmp_path), PARTS, seed=0))
    header, _, *lines = [line for line in told.splitlines() if line.startswith("|")]
    assert header == "| | all | depth 0 | depth 1 | depth 2 | |"
    assert len(lines) == 12 and {line.count("|") for line in lines} == {7}
    assert "| personas | 600 | 200 | 200 | 200 |  |" in lines
    assert "Left out" not in told


def test_the_card_leaves_out_the_lines_that_were_not_measured_and_says_why(tmp_path):
    told = diversity_section(measured(write(tmp_path, shards=0), PARTS, seed=0))
    assert "Self-BLEU" in told and "Vendi score |" not in told
    assert "Left out: what is told from vectors" in told
    assert diversity_section(None) == ""
