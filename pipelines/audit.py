"""Audits who a run's personas are, once all of them are there, and keeps what it found in the run's manifest.

Counts as descriptions come by, part by part. Vectors, of a fixed sample, are those that deduplication kept.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.text import Text

from actors.embedder import EmbedderClient
from actors.index.kept import find
from actors.logic.audit.figures import marginals, pair_figures, stereotypes
from actors.logic.audit.judging import JudgeCall, judge_figures
from actors.logic.audit.prototypes import prototype_figures, sentences
from actors.logic.audit.reading import label
from actors.logic.audit.reference import Reference
from actors.logic.audit.tally import Tally
from actors.logic.diversity.sample import FixedSample, Sampled, key_of
from cluster.caller_pool import CallerPool
from cluster.errors import Halt
from cluster.manifest import Manifest
from cluster.program import Done, Halted
from pipelines.audit_reference import digest, read_references
from pipelines.diversity import read_personas, rounded
from pipelines.progress import MEASURING, RunView
from pipelines.services import Services
from pipelines.settings import Settings

log = logging.getLogger(__name__)

Vectors = NDArray[np.float32]
Encode = Callable[[Sequence[str]], Vectors]
Judge = Callable[[Sequence[Sampled]], dict[str, Mapping[str, str]]]

_MOST_READ = 1_000_000  # personas; of more a fixed sample of about as many
_SAMPLE = 10_000  # personas that are held against prototypes
_NO_VECTORS = "prototypes, for no vectors are kept (personas.dedup.scope: corpus keeps them)"


def audit_personas(settings: Settings, manifest: Manifest, services: Services, view: RunView, console: Console) -> None:
    """Puts `facts["audit"]` into the manifest, unless that of these personas and references is there. What cannot be
    told is left out with a warning; nothing but a `Halt` ends the run."""
    chosen = settings.audit
    references, of = read_references(chosen.reference), digest(settings, manifest)
    personas = manifest.personas.total("personas")
    if not personas or (manifest.facts.get("audit") or {}).get("of") == of:
        return
    view.begin(MEASURING, "", 0, personas)
    judge = (lambda rows: judged(rows[: chosen.sample], settings.seed, services)) if chosen.judge else None
    try:
        found = audited(
            settings.folder, manifest, settings.seed, references, lambda texts: encoded(texts, services), judge
        )
    except Halt:
        raise
    except Exception as error:  # the boundary: an audit is no reason to lose a run
        log.exception("the personas of %s could not be audited", settings.folder)
        manifest.facts["audit"] = {"of": of}
        left_out = [f"all of it, which failed: {error}"]
    else:
        manifest.facts["audit"] = {"of": of, **found}
        left_out = found["left_out"]
    manifest.save()
    view.end(personas)
    for one in left_out:
        console.print(Text.assemble(("warning", "yellow"), f" audit: left out {one}"), soft_wrap=True)


def audited(
    folder: Path,
    manifest: Manifest,
    seed: int,
    references: Sequence[Reference] = (),
    encode: Encode | None = None,
    judge: Judge | None = None,
) -> dict[str, Any]:
    """The audit of the personas in the manifest's parts: plain values, of bounded size."""
    tally, sample = Tally(), FixedSample(_SAMPLE)
    for one in references:
        if len(one.attributes) > 1:
            tally.watch(*one.attributes)
    below = 2**64 * min(1.0, _MOST_READ / max(1, manifest.personas.total("personas")))
    seen = 0
    for _, persona_id, text in read_personas(folder / "personas", list(manifest.personas.parts)):
        seen += 1
        if (key := key_of(persona_id, seed)) < below:
            tally.see(key, persona_id, text)
            sample.see(key, persona_id, text)
    pairs = pair_figures(tally, seed)
    rows, left_out = sample.rows(), []
    nearest, why_not = _by_prototypes(folder, rows, encode)
    if why_not:
        left_out.append(why_not)
    return {
        "personas": seen,
        "read": tally.personas,
        "not_english": tally.not_english,
        "nothing_said": tally.nothing_said,
        "left_out": left_out,
        "attributes": [rounded(asdict(one)) for one in marginals(tally, references)],
        "associations": [rounded(asdict(one)) for one in pairs],
        "stereotypes": [rounded(_told(asdict(one))) for one in stereotypes(tally, pairs)],
        "prototypes": nearest,
        "judge": _by_judge(rows, judge),
    }


def _told(stereotype: dict[str, Any]) -> dict[str, Any]:
    """Without the keys of its examples."""
    shown = [{"persona_id": one["persona_id"], "text": one["text"]} for one in stereotype["examples"]]
    return stereotype | {"examples": shown}


def _groups(text: str) -> dict[str, str]:
    return {name: one.group for name, one in label(text).of.items()}


def _by_prototypes(folder: Path, rows: Sequence[Sampled], encode: Encode | None) -> tuple[list[dict[str, Any]], str]:
    """The figures, or why there are none."""
    found, vectors, _ = find(folder / "dedup", [bytes.fromhex(one.persona_id) for one in rows])
    if not found or encode is None:
        return [], _NO_VECTORS
    places = {one.hex(): at for at, one in enumerate(found)}
    rows = [one for one in rows if one.persona_id in places]
    vectors = vectors[[places[one.persona_id] for one in rows]].astype(np.float32)
    prototypes = encode(sentences())
    if prototypes.shape[1] != vectors.shape[1]:
        return [], "prototypes, for their vectors are not those of the personas"
    figures = prototype_figures(prototypes, vectors.astype(np.float32), [_groups(one.text) for one in rows])
    return [rounded(asdict(one)) for one in figures], ""


def _by_judge(rows: Sequence[Sampled], judge: Judge | None) -> list[dict[str, Any]]:
    if judge is None:
        return []
    told = judge(rows)
    both = [(_groups(one.text), told[one.persona_id]) for one in rows if one.persona_id in told]
    figures = judge_figures([one for one, _ in both], [other for _, other in both])
    return [rounded(asdict(one)) for one in figures]


def encoded(texts: Sequence[str], services: Services) -> Vectors:
    """Unit vectors by the run's embedders."""

    async def ask() -> Vectors:
        return await EmbedderClient([one.handle() for one in services.links.embedders]).encode(texts)

    return asyncio.run(ask())


def judged(rows: Sequence[Sampled], seed: int, services: Services) -> dict[str, Mapping[str, str]]:
    """What the judge model says of these, by id; nothing of those where its answer cannot be used. `Halt` where the run
    cannot go on. What was asked before is in the journal."""

    async def ask() -> list[Any]:
        pool = CallerPool(services.callers(batched=False))
        return await asyncio.gather(*(pool.run(JudgeCall(one.persona_id, one.text, seed)) for one in rows))

    try:
        outcomes = asyncio.run(ask())
    finally:
        services.settle()
    if halted := next((one for one in outcomes if isinstance(one, Halted)), None):
        raise Halt(halted.reason)
    both: list[tuple[Sampled, Any]] = [
        (row, one.value) for row, one in zip(rows, outcomes, strict=True) if isinstance(one, Done)
    ]
    return {row.persona_id: value for row, value in both}
