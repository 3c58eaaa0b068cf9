"""The demo's settings: the documents that come with the package, on the embedded model."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from actors.model_server import SLOTS
from pipelines.settings import EMBEDDED, Settings, parse

MODEL = "smollm2-135m-instruct"


def settings(run_dir: Path, overrides: Sequence[str] = ()) -> Settings:
    """A run that ends in a few minutes on two cores."""
    content = {
        "run_dir": str(run_dir),
        "documents": {"path": [str(files("pipelines.samples") / "*.txt")], "limit": 24},
        "llm": {
            "endpoints": [{"base_url": EMBEDDED, "model": MODEL, "max_concurrency": SLOTS}],
            "small_model": True,
            "timeout_s": 300,
        },
        "personas": {"per_call": 1, "depth": 1, "refills": 0, "language": "English"},  # which is what it writes
        "conversations": {
            "count": 20,
            "max_turns": 2,
            "max_tokens": 60,
            "respondent_prompt": "You are a helpful assistant. Answer in one short sentence.",
        },
    }
    return parse(content, overrides)
