"""The demo's settings: the documents that come with the package, on the embedded model."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from pipelines.settings import EMBEDDED, Settings, parse

MODEL = "smollm2-135m-instruct"


def settings(run_dir: Path, overrides: Sequence[str] = ()) -> Settings:
    """A run that ends in a few minutes on two cores."""
    content = {
        "run_dir": str(run_dir),
        "documents": {"path": [str(files("pipelines.samples"))], "max_characters": 1_600},
        "llm": {"endpoints": [{"base_url": EMBEDDED, "model": MODEL, "max_concurrency": 16}], "timeout_s": 300},
        "personas": {"per_call": 2, "depth": 0, "one_per_request": True},
        "conversations": {
            "count": 24,
            "max_turns": 2,
            "max_tokens": 160,
            "respondent_prompt": "You are a helpful assistant. Answer in two or three short sentences.",
        },
    }
    return parse(content, overrides)
