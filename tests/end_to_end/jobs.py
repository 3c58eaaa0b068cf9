"""What the end-to-end tests share: a corpus, a config, and how a run's outputs are read."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import yaml

ROOT = Path(__file__).resolve().parents[2]
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "HF_HUB_OFFLINE": "1", "NO_COLOR": "1", "TERM": "dumb"}
QUIET |= {"RAY_worker_niceness": "0"}  # where much else runs, Ray's own 15 starves the workers
KEY = "sk-test-5f2a9c0d7e1b4836"
TOPICS = ["bees", "tides", "clocks", "bread", "roads", "wool", "glass", "rivers", "stars", "seeds", "ships", "bells"]


def write_corpus(folder: Path, documents: int) -> Path:
    path = folder / "corpus.jsonl"
    with path.open("w") as file:
        for number in range(documents):
            topic = TOPICS[number % len(TOPICS)]
            text = f"Note {number} about {topic}. What is known of {topic} in place {number * 7} is told here.\n\nEnd."
            file.write(json.dumps({"text": text}) + "\n")
    return path


def write_config(folder: Path, base_url: str, documents: Path | str, /, **sections: dict) -> Path:
    """A config for `folder/run`; the key goes by the environment, and dedup is left out unless asked for."""
    content = {
        "run_dir": str(folder / "run"),
        "documents": {"path": [str(documents)]},
        "llm": {"endpoints": [{"base_url": base_url, "model": "test-model", "keys": ["env:POPULACE_TEST_KEY"]}]},
        "personas": {"dedup": {"scope": "none"}, "depth": 0},
        "conversations": {"count": 60, "max_turns": 2},
    }
    for name, values in sections.items():
        content[name] = content.get(name, {}) | values
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def rows(run_dir: Path, kind: str) -> list[dict]:
    return [row for path in sorted((run_dir / kind).glob("part-*.parquet")) for row in pq.read_table(path).to_pylist()]


def persona_ids(run_dir: Path) -> list[str]:
    return sorted(row["persona_id"] for row in rows(run_dir, "personas"))


def conversation_ids(run_dir: Path) -> list[str]:
    return sorted(row["conversation_id"] for row in rows(run_dir, "conversations"))


def metrics(run_dir: Path) -> dict:
    return json.loads((run_dir / "metrics.json").read_text())


def wait_for(condition: Callable[[], object], seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing happened in time"
        time.sleep(0.05)


def actor_processes(pid: int, *kinds: str) -> list[psutil.Process]:
    """The processes below `pid` of actors of these classes; Ray names them `ray::Class`."""
    found = []
    for process in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            title = " ".join(process.cmdline())
            found += [process] * any(f"ray::{kind}" in title for kind in kinds)
    return found
