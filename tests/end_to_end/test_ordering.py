"""The same seed chooses and says the same, however many actors there are."""

from __future__ import annotations

import pytest
from jobs import KEY, rows, write_config, write_corpus

ENV = {"POPULACE_TEST_KEY": KEY}
ACTORS = 8  # of each kind
DOCUMENTS, ROWS = 14, 130
OWN = ("created_at", "usage", "opening_coherence", "consistency")  # cosines have last bits by what is embedded together


@pytest.fixture
def made(tmp_path, model_server, wide_ray, run_populace):
    """What a run with so many pools and callers made: personas, conversations without times, and every prompt sent."""

    def make(actors: int, alike: float, **sections: dict) -> tuple[list, list, list]:
        folder = tmp_path / f"with-{actors}"
        folder.mkdir()
        server = model_server(keys=[KEY], alike=alike, latency=0.02)
        cluster = {"address": wide_ray.address, "pools": actors, "callers": {"min": actors, "max": actors}}
        corpus = write_corpus(folder, DOCUMENTS)
        talk = {"count": ROWS, "max_turns": 1} | sections.pop("conversations", {})
        config = write_config(folder, server.base_url, corpus, cluster=cluster, conversations=talk, **sections)
        done = run_populace("personas", config, env=ENV)
        assert done.returncode == 0, done.stderr
        process = run_populace("converse", config, env=ENV)
        assert process.returncode == 0, process.stderr
        personas = [plain(row) for row in rows(folder / "run", "personas")]
        conversations = [plain(row) for row in rows(folder / "run", "conversations")]
        return sorted(personas), sorted(conversations), sorted(row["item"] for row in server.log())

    return make


def plain(row: dict) -> str:
    return repr({name: value for name, value in row.items() if name not in OWN})


@pytest.mark.parametrize(
    ("sampling", "dedup", "alike"),
    [
        ("depth_weighted", {"scope": "document", "threshold": 0.85}, 0.3),
        ("coverage", {"scope": "corpus", "shards": 2}, 0.0),  # of near ones in two documents the first that comes stays
    ],
)
@pytest.mark.slow
def test_one_actor_and_eight_choose_the_same_people_and_send_the_same_prompts(made, sampling, dedup, alike):
    sections = {"personas": {"depth": 1, "dedup": dedup, "per_call": 3}, "conversations": {"sampling": sampling}}
    personas, conversations, prompts = made(1, alike, **sections)
    assert len(conversations) == ROWS and len(prompts) == len(set(prompts)) > 2 * ROWS
    assert made(ACTORS, alike, **sections) == (personas, conversations, prompts)
