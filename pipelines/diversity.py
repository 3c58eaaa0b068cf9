"""Measures how diverse a run's personas are, once all of them are there, and keeps the figures in its manifest.

Texts come from the parts and vectors from the log of the dedup service, both in pieces; no persona is embedded again.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from rich.console import Console
from rich.text import Text

from actors.index.kept import find, kept_rows
from actors.logic.diversity.figures import Located, Measuring, Samples, Vectors
from actors.logic.growth import GrowthRule
from cluster.errors import Halt
from cluster.local_copies import readable
from cluster.manifest import Manifest
from cluster.parts import part_path
from pipelines.baseline import baseline_vectors
from pipelines.progress import MEASURING, RunView
from pipelines.services import Services
from pipelines.settings import Settings

log = logging.getLogger(__name__)

_ROWS = 4096
_COLUMNS = ["depth", "persona_id", "text"]
_NO_VECTORS = "what is told from vectors, for none are kept (personas.dedup.scope: corpus keeps them)"


def measure_diversity(
    settings: Settings, manifest: Manifest, services: Services, view: RunView, console: Console
) -> None:
    """Puts `facts["diversity"]` into the manifest, unless the figures of these personas are there. What cannot be
    measured is left out with a warning; nothing but a `Halt` ends the run."""
    asked = settings.personas.baseline
    of = _of(manifest, asked)
    if not of or (manifest.facts.get("diversity") or {}).get("of") == of:
        return
    personas = manifest.personas.total("personas")
    view.begin(MEASURING, "", 0, personas)
    try:
        baseline = baseline_vectors(asked, GrowthRule.of(manifest.facts["growth"]), services) if asked else None
        found = measured(settings.folder, list(manifest.personas.parts), settings.seed, baseline)
    except Halt:
        raise
    except Exception as error:  # the boundary: figures are no reason to lose a run
        log.exception("the diversity of %s could not be measured", settings.folder)
        manifest.facts["diversity"] = None
        left_out: str | None = f"all figures, which could not be measured: {error}"
    else:
        manifest.facts["diversity"] = {"of": of, **found}
        left_out = found["left_out"]
    manifest.save()
    view.end(personas)
    if left_out:
        console.print(Text.assemble(("warning", "yellow"), f" diversity: left out {left_out}"), soft_wrap=True)


def measured(folder: Path, parts: list[str], seed: int, baseline: Vectors | None = None) -> dict[str, Any]:
    """The figures of the personas in these parts of the run in `folder`: `run`, `by_depth`, the run `beside_baseline`
    (None: there is none), and what is `left_out` (None: nothing)."""
    samples = Samples(seed)
    for depth, persona_id, text in read_personas(folder / "personas", parts):
        samples.see(depth, persona_id, text)
    located = locate(folder / "dedup", samples)
    measuring = Measuring(samples, located)
    if located:
        for vectors in read_vectors(folder / "dedup"):
            measuring.see(vectors)
    run, *by_depth = [rounded(asdict(one)) for one in measuring.figures()]
    beside = measuring.beside(baseline) if baseline is not None else None
    return {
        "left_out": None if located else _NO_VECTORS,
        "run": run,
        "by_depth": by_depth,
        "beside_baseline": asdict(beside) if beside else None,
    }


def _of(manifest: Manifest, baseline: int) -> str:
    """A digest of the parts that the figures are made of, and of the baseline; "" where there is no persona."""
    counts = sorted((name, part.get("personas", 0)) for name, part in manifest.personas.parts.items())
    made = any(count for _, count in counts)
    return hashlib.sha256(repr((counts, baseline)).encode()).hexdigest()[:16] if made else ""


def read_personas(folder: Path, parts: list[str]) -> Iterator[tuple[int, str, str]]:
    for name in parts:
        with pq.ParquetFile(readable(part_path(folder, name))) as file:
            for batch in file.iter_batches(batch_size=_ROWS, columns=_COLUMNS):
                yield from zip(*(batch.column(name).to_pylist() for name in _COLUMNS), strict=True)


def locate(folder: Path, samples: Samples) -> Located | None:
    """Where the sampled personas are among the kept; None where none is."""
    sampled = {one.persona_id for _, sample in samples.groups().values() for one in sample}
    found, vectors, positions = find(folder, [bytes.fromhex(one) for one in sampled])
    return Located({one.hex(): at for at, one in enumerate(found)}, vectors, positions) if found else None


def read_vectors(folder: Path) -> Iterator[Vectors]:
    """Of all kept personas, in the order of the log."""
    for rows in kept_rows(folder):
        for start in range(0, len(rows), _ROWS):
            yield rows.vectors[start : start + _ROWS].astype(np.float32)


def rounded(value: Any) -> Any:
    """With every share, cosine and ratio to four digits."""
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(one) for one in value]
    return round(value, 4) if isinstance(value, float) else value
