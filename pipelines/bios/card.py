"""The dataset card of a run of bios."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from cluster.files import write_atomically
from cluster.manifest import Manifest
from cluster.parts import batches
from pipelines import card as whole
from pipelines.card_header import header
from pipelines.closing import metrics
from pipelines.quoting import quote
from pipelines.settings import Bios, Settings


def write_card(settings: Settings, manifest: Manifest) -> Path:
    """Write the card; where the run has personas of documents too, it is theirs that stands and names the bios."""
    if manifest.personas.parts:
        return whole.write_card(settings, manifest)
    path = settings.folder / "README.md"
    assert settings.bios is not None
    write_atomically(path, _card(settings, settings.bios, manifest, metrics(settings.folder)))
    return path


def _card(settings: Settings, chosen: Bios, manifest: Manifest, counts: dict[str, Any]) -> str:
    told = header(settings, counts, f"{settings.folder.name}: people of a simulation")
    source = f"personas of `{chosen.personas}`" if chosen.personas else "a simulation described below"
    traits = (
        "read from each persona by the model that wrote the text"
        if chosen.personas
        else f"drawn from {', '.join(f'`{one}`' for one in chosen.variables) or '`bios/variables.yaml`, by a model'}"
    )
    cost = "unknown" if counts.get("cost_usd") is None else f"{counts['cost_usd']:,.4f}"
    described = f"## The simulation\n\n{quote(chosen.description)}\n\n" if chosen.description else ""
    return f"""---
{yaml.safe_dump(told, sort_keys=False, allow_unicode=True)}---

# {settings.folder.name}

A {chosen.kind} for each of {counts.get("bios") or 0:,} people of {source}, made by populace on
{datetime.now(UTC).date().isoformat()}. Their traits (JSON, in the column `traits`) were {traits}.

Models: {", ".join(_models(settings.folder)) or "none yet"}. Seed: {settings.seed}. Given up:
{counts.get("failures") or 0:,}. Model calls: {counts.get("calls") or 0:,.0f}. Cost in USD: {cost}.

```python
from datasets import load_dataset

bios = load_dataset("parquet", data_files="bios/part-*.parquet", split="train")
```

`traits_said` is the share of the traits that can be found in the text by rule of thumb; null where the language was
set, or nothing can be looked for.

{described}## Limits

The people do not exist. Where a model named the variables, their shares are its guess; where tables were given, the
traits follow these and the rest of each text is the model's. Texts carry the associations of the models, stereotypes
among them.

Run {manifest.run_id}.
"""


def _models(folder: Path) -> list[str]:
    found: set[str] = set()
    for batch in batches(folder / "bios", ["model"]):
        found.update(batch.column("model").unique().to_pylist())
    return sorted(found)
