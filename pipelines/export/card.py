"""The dataset card of an export: the run's own, with the files of the splits in its header and in its example."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from actors.logic.export import SPLITS, Format
from cluster.manifest import Manifest
from pipelines.card_header import size_category
from pipelines.export.job import Job

_READS = {
    Format.MESSAGES: "OpenAI's chat format: `messages` of `role` and `content`",
    Format.SHAREGPT: "the ShareGPT format: `conversations` of `from` and `value`",
    Format.ALPACA: "the Alpaca format: `instruction`, `output`, `system`, and `history` for what was said before",
    Format.DPO: "TRL's conversational preference format: `prompt`, `chosen`, `rejected`",
    Format.TOOLS: "TRL's tool-calling format: `messages` with `tool_calls`, and `tools`",
}


def card(job: Job, manifest: Manifest, rows: Counter[str]) -> str:
    """YAML header and Markdown body."""
    header, body = _own(job.run_dir / "README.md")
    header = header or {"pretty_name": f"{job.run_dir.name}: conversations of personas", "license": "other"}
    header.pop("dataset_info", None)  # the columns are others here
    header["size_categories"] = [size_category(rows.total())]
    files = [{"split": split, "path": f"{split}.{job.kind}"} for split in SPLITS if rows[split]]
    header["configs"] = [{"config_name": job.format.value, "data_files": files, "default": True}]
    told = ", ".join(f"{split} {rows[split]:,}" for split in SPLITS if rows[split])
    use = f"""## Use

Rows ({told}) are in {_READS[job.format]}. No document is in two splits.

```python
from datasets import load_dataset

{job.format.value} = load_dataset("{job.repository or job.target}")
```
"""
    body = (
        body
        or f"# {job.run_dir.name}\n\nSynthetic conversations, made by populace in run {manifest.run_id}.\n\n## Use\n"
    )
    text = re.sub(r"## Use\n(\n```python\n.*?\n```\n)?", lambda _: use, body, count=1, flags=re.DOTALL)
    return f"---\n{yaml.safe_dump(header, sort_keys=False, allow_unicode=True)}---\n\n{text}"


def _own(path: Path) -> tuple[dict[str, Any], str]:
    """Header and body of the run's card; both empty where it has none yet."""
    try:
        found = re.fullmatch(r"---\n(.*?)\n---\n+(.*)", path.read_text(encoding="utf-8"), re.DOTALL)
        header = yaml.safe_load(found[1]) if found else {}
    except (FileNotFoundError, yaml.YAMLError):
        return {}, ""
    return (header, found[2]) if found and isinstance(header, dict) else ({}, "")
