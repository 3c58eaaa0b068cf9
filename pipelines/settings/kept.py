"""The config as a run keeps it in its manifest, for what is written about the run later: all but who was asked, so
that no address and no name of a key is in a folder that may be shared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cluster.errors import UserError
from pipelines.settings.run import Settings

_NOBODY = {"endpoints": [{"base_url": "http://127.0.0.1", "model": "unknown"}]}


def kept_config(settings: Settings) -> dict[str, Any]:
    """What was set, as plain values."""
    kept = settings.model_dump(mode="json", exclude_unset=True, exclude={"llm", "cluster", "run_dir"})
    kept.get("personas", {}).get("dedup", {}).pop("endpoint", None)
    return kept


def settings_of(kept: object, run_dir: Path) -> Settings:
    """The settings again, of the run in `run_dir` wherever it lies now, but for whom to ask. `UserError` where nothing
    was kept."""
    if not isinstance(kept, dict):
        raise UserError(f"{run_dir} keeps no config")
    return Settings.model_validate(kept | {"run_dir": str(run_dir), "llm": _NOBODY})
