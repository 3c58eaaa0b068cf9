"""Who speaks, told from the rows of runs: layers in their order, their masses, and the weights of rare people."""

from __future__ import annotations

from collections import Counter

import pytest
from jobs import KEY, rows, write_config, write_corpus

from actors.densities import densities
from actors.logic.sampling import Sampling, derived_rng, draw

ENV = {"POPULACE_TEST_KEY": KEY}
DOCUMENTS = 3


@pytest.fixture
def prepared(tmp_path, model_server, shared_ray):
    def prepare(sampling: str, **personas: object):
        server = model_server(keys=[KEY])
        return write_config(
            tmp_path,
            server.base_url,
            write_corpus(tmp_path, DOCUMENTS),
            personas={"depth": 2, "per_call": 2} | personas,
            conversations={"count": 8 * DOCUMENTS, "max_turns": 1, "sampling": sampling},
            cluster={"address": shared_ray.address},
        )

    return prepare


def layers(run_dir, since: int = 0) -> list[Counter[int]]:
    """Rows by depth, for each document, but the first `since` of the run."""
    found: dict[str, Counter[int]] = {}
    for row in rows(run_dir, "conversations")[since:]:
        found.setdefault(row["document_id"], Counter())[row["persona_generation_depth"]] += 1
    return list(found.values())


@pytest.mark.slow
def test_the_shallow_layers_speak_first_and_reuse_gives_each_layer_its_mass(tmp_path, prepared, run_populace):
    config = prepared("depth_weighted")
    done = run_populace("run", config, env=ENV)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "run"
    assert Counter(row["depth"] for row in rows(run, "personas")) == {0: 6, 1: 12, 2: 24}
    assert layers(run) == [{0: 2, 1: 4, 2: 2}] * DOCUMENTS
    assert len({row["persona_id"] for row in rows(run, "conversations")}) == 8 * DOCUMENTS

    more = run_populace("run", config, "--set", f"conversations.count={68 * DOCUMENTS}", env=ENV)
    assert more.returncode == 0, more.stderr
    assert layers(run, since=8 * DOCUMENTS) == [{0: 30, 1: 20, 2: 10}] * DOCUMENTS


@pytest.mark.slow
def test_by_coverage_the_rows_are_those_that_the_densities_choose(tmp_path, prepared, run_populace):
    config = prepared("coverage", dedup={"scope": "corpus"})
    done = run_populace("run", config, env=ENV)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "run"
    pools: dict[str, list[dict]] = {}
    for row in rows(run, "personas"):
        pools.setdefault(row["document_id"], []).append(row)
    for document, people in pools.items():
        found = densities([run / "dedup"], [one["persona_id"] for one in people])
        assert len(set(found)) > 1
        rng = derived_rng(0, document, "sampling")
        picks = draw([one["depth"] for one in people], 8, Sampling.COVERAGE, rng, densities=found)
        spoke = [row["persona_id"] for row in rows(run, "conversations") if row["document_id"] == document]
        assert spoke == [people[pick]["persona_id"] for pick in picks]
