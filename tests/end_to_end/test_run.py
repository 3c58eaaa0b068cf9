"""The main job over HTTP: a real run of the command against the tests' model server."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

TOPICS = ["bees", "tides", "clocks", "bread", "roads", "wool", "glass", "rivers", "stars", "seeds", "ships", "bells", "coal", "maps", "mills", "salt"]


def write_corpus(folder: Path, documents: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "corpus.jsonl"
    with path.open("w") as file:
        for number in range(documents):
            topic = TOPICS[number % len(TOPICS)]
            text = f"Note {number} about {topic}. What is known of {topic} in place {number * 7} is told here.\n\nEnd."
            file.write(json.dumps({"text": text}) + "\n")
    return path


def write_config(folder: Path, base_url: str, documents: Path, **sections: dict) -> Path:
    content = {
        "run_dir": str(folder / "run"),
        "documents": {"path": [str(documents)]},
        "llm": {"endpoints": [{"base_url": base_url, "model": "test-model", "keys": ["env:POPULACE_TEST_KEY"]}]},
        "personas": {"dedup": {"scope": "none"}, "depth": 0},
        "conversations": {"count": 60, "max_turns": 2},
    }
    for name, values in sections.items():
        content[name] = content[name] | values
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def rows(run_dir: Path, kind: str) -> list[dict]:
    return [row for path in sorted((run_dir / kind).glob("part-*.parquet")) for row in pq.read_table(path).to_pylist()]


def ids(run_dir: Path) -> tuple[list[str], list[str]]:
    personas = sorted(row["persona_id"] for row in rows(run_dir, "personas"))
    return personas, sorted(row["conversation_id"] for row in rows(run_dir, "conversations"))


def wait_for(condition, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing happened in time"
        time.sleep(0.05)


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("POPULACE_TEST_KEY", KEY)


KEY = "sk-test-5f2a9c0d7e1b4836"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, module_server, module_populace):
    """A run that nothing disturbed: its folder, and the calls it made."""
    os.environ["POPULACE_TEST_KEY"] = KEY
    folder = tmp_path_factory.mktemp("undisturbed")
    server = module_server(keys=[KEY])
    config = write_config(folder, server.base_url, write_corpus(folder, 40), personas={"depth": 1, "per_call": 3})
    result = module_populace("run", str(config))
    assert result.returncode == 0, result.stderr
    return folder, server.stats(), result
