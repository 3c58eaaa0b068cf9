"""The personas that a report shows: a fixed sample, where they lie on a map of their vectors, and what they say of
themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actors.index.kept import find
from actors.logic.audit.reading import label
from actors.logic.diversity.sample import FixedSample, key_of
from cluster.errors import UserError
from pipelines.report.parts import batches, chosen_parts, rows_with
from pipelines.report.talks import Talks
from pipelines.run_reading import FoundRun

MOST = 10_000  # personas on the map
_ENOUGH = 300_000  # rows to choose from
_NAMED = 2_000  # documents that the page has the names of
_CHARACTERS = 400  # of a persona on the map; a conversation has all of it
_COLUMNS = ["persona_id", "document_id", "depth", "text", "relation"]


@dataclass(frozen=True, slots=True)
class People:
    """The sample in columns, of `of` personas in all. `x` and `y` are None where no vectors are kept; `spread` is the
    share of their variance that the two axes show; `names` are those of documents."""

    columns: dict[str, list[Any]]
    of: int
    spread: float
    groups: dict[str, list[str]]
    names: dict[str, str]


def sampled_people(run: FoundRun, talks: Talks) -> People:
    """All who speak in `talks` and are on the parts that were read, and others up to `MOST`."""
    seed, stage = run.manifest.settings.get("seed", 0), run.manifest.personas
    folder, parts = run.folder / "personas", chosen_parts(stage.parts, "personas", _ENOUGH, seed)
    speakers, sample = {row["persona_id"] for row in talks.rows}, FixedSample(MOST)
    for batch in batches(folder, parts, ["persona_id"]):
        for one in batch.column(0).to_pylist():
            sample.see(0 if one in speakers else key_of(one, seed), one, "")
    wanted = {one.persona_id for one in sample.rows()}
    rows = sorted(rows_with(folder, parts, _COLUMNS, "persona_id", wanted), key=lambda row: str(row["persona_id"]))
    points, spread = _projected(run, [str(row["persona_id"]) for row in rows])
    columns, groups = _columns(rows, points)
    of = {row["document"] for row in talks.rows} | set(columns["document"])
    return People(columns, stage.total("personas"), spread, groups, _names(run, parts, of))


def _names(run: FoundRun, parts: Sequence[str], documents: set[str]) -> dict[str, str]:
    """What the files of documents are called, where each document has one of its own."""
    if len(documents) > _NAMED:
        return {}
    rows = rows_with(run.folder / "documents", parts, ["document_id", "source"], "document_id", documents)
    found = {str(row["document_id"]): str(row["source"] or "").rpartition("/")[2] for row in rows}
    times = Counter(found.values())
    return {one: name for one, name in found.items() if name and times[name] == 1}


def _columns(
    rows: Sequence[dict[str, Any]], points: dict[str, tuple[float, float]]
) -> tuple[dict[str, list[Any]], dict[str, list[str]]]:
    """Texts are cut; groups are codes, in the order of the names that come with them, -1 where nothing is said."""
    columns: dict[str, list[Any]] = {
        "id": [row["persona_id"] for row in rows],
        "document": [row["document_id"] for row in rows],
        "depth": [row["depth"] for row in rows],
        "relation": [row["relation"] for row in rows],
        "text": [row["text"][:_CHARACTERS] for row in rows],
        "words": [len(row["text"].split()) for row in rows],
        "x": [points.get(row["persona_id"], (None, None))[0] for row in rows],
        "y": [points.get(row["persona_id"], (None, None))[1] for row in rows],
    }
    labels = [{name: one.group for name, one in label(row["text"]).of.items()} for row in rows]
    groups = {}
    for attribute in ("age", "gender", "region", "education", "occupation", "expertise"):
        told = Counter(one[attribute] for one in labels if attribute in one)
        if told:
            names = [name for name, _ in told.most_common()]
            codes = {name: at for at, name in enumerate(names)}
            groups[attribute] = names
            columns[attribute] = [codes.get(one.get(attribute, ""), -1) for one in labels]
    return columns, groups


def _projected(run: FoundRun, ids: Sequence[str]) -> tuple[dict[str, tuple[float, float]], float]:
    """Places on the first two principal components, as far as vectors are kept, and their share of the variance."""
    try:
        found, vectors, _ = find(run.folder / "dedup", [bytes.fromhex(one) for one in ids])
    except (UserError, OSError, ValueError):  # beside a running job, or ids that are no digests
        return {}, 0.0
    if len(found) < 3:
        return {}, 0.0
    places, spread = principal_plane(vectors.astype(np.float32))
    return {one.hex(): (float(x), float(y)) for one, (x, y) in zip(found, places.tolist(), strict=True)}, spread


def principal_plane(vectors: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    """n × 2 coordinates within −1…1, and the share of the variance that they show. Signs are fixed, so the same vectors
    give the same map."""
    centred = vectors - vectors.mean(axis=0)
    values, axes = np.linalg.eigh(centred.T @ centred)
    axes = axes[:, -2:][:, ::-1]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    places = centred @ axes
    scale = float(np.abs(places).max()) or 1.0
    share = float(values[-2:].sum() / values.sum()) if values.sum() > 0 else 0.0
    return np.round(places / scale, 4), round(share, 4)
