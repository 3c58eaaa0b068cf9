"""What the dialogues of a run are like: counts of what became of them, means of the rows, and what is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from actors.logic.quality import CRITERIA, Why
from cluster.local_copies import readable
from cluster.manifest import Manifest
from cluster.parts import part_path
from pipelines.settings import Settings

_SCORES = (*CRITERIA, "overall")
_COLUMNS = ["scores", "attempts", "consistency"]


def quality_totals(manifest: Manifest) -> dict[str, Any]:
    """From the dialogues that were asked for to those that were accepted, and the means of these where a session of
    conversations has ended."""
    talks = manifest.conversations
    openings, gave_away = talks.total("openings"), talks.total("gave_away")
    return {
        "asked": talks.total("asked"),
        "accepted": talks.total("rows"),
        "failed": talks.total("failures"),
        "refused": {str(why): count for why in Why if (count := talks.total(f"refused {why}"))},
        "rejected": talks.total("candidates"),
        "attempts": talks.total("attempts"),
        "openings": openings,
        "openings_gave_away": gave_away,
        "share_gave_away": round(gave_away / openings, 4) if openings else None,
        **(manifest.facts.get("quality") or {}),
    }


def measure_quality(folder: Path, manifest: Manifest) -> None:
    """Puts `facts["quality"]` into the manifest: means over the rows, part by part."""
    paths = (part_path(folder / "conversations", name) for name in manifest.conversations.parts)
    manifest.facts["quality"] = measured(pq.read_table(readable(path), columns=_COLUMNS) for path in paths)


def measured(tables: Iterable[pa.Table]) -> dict[str, Any]:
    """Mean scores of the rows that have some, rows by the attempt that they took, and of the user's first, second, …
    message the mean cosine with the persona."""
    scored, sums, attempts = 0, Counter[str](), Counter[int]()
    cosines, messages = np.zeros(0), np.zeros(0)
    for table in tables:
        scores = table.column("scores").combine_chunks().drop_null()
        scored += len(scores)
        sums.update({name: pc.sum(scores.field(name)).as_py() or 0.0 for name in _SCORES})
        attempts.update(table.column("attempts").drop_null().to_pylist())
        found, count = _by_message(table.column("consistency").combine_chunks())
        cosines, messages = _added(cosines, found), _added(messages, count)
    means = [
        {"message": at, "mean": round(float(total / rows), 4), "rows": int(rows)}
        for at, (total, rows) in enumerate(zip(cosines, messages, strict=True), start=1)
    ]
    return {
        "scored": scored,
        "scores": {name: round(sums[name] / scored, 4) for name in _SCORES} if scored else None,
        "attempts_taken": {str(number): attempts[number] for number in sorted(attempts)},
        "opening_coherence": means[0]["mean"] if means else None,
        "consistency": means,
    }


def _by_message(lists: pa.ListArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sums over the rows of the first, second, … value, and how many rows have one."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    ends = np.cumsum(lengths)
    values = pc.list_flatten(lists).to_numpy(zero_copy_only=False)
    places = np.arange(len(values)) - np.repeat(ends - lengths, lengths)
    return np.bincount(places, values).astype(np.float64), np.bincount(places).astype(np.float64)


def _added(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    total = np.zeros(max(len(one), len(other)))
    total[: len(one)] += one
    total[: len(other)] += other
    return total


def shortfall(settings: Settings, manifest: Manifest) -> str:
    """What is said of a run whose count stayed out of reach: how many there are, what became of the others, and the
    way out."""
    talks, chosen = manifest.conversations, settings.conversations
    parts = [f"{talks.total('rows'):,} of {chosen.count:,} conversations were made", *_lost(settings, manifest)]
    outs = list(_ways_out(settings, manifest))
    return "; ".join([", ".join(parts), *([" or ".join(outs)] if outs else []), "run again for more"])


def _lost(settings: Settings, manifest: Manifest) -> Iterator[str]:
    talks, chosen = manifest.conversations, settings.conversations
    where = "see rejected_conversations/"
    if count := talks.total(f"refused {Why.JUDGE}"):
        yield f"{count:,} were refused by the judge (below {chosen.threshold:.2f}; {where})"
    if count := talks.total(f"refused {Why.OPENING}"):
        yield f"{count:,} for an opening like another's ({chosen.opening_threshold:.2f} or more; {where})"
    if count := talks.total(f"refused {Why.COHERENCE}"):
        yield f"{count:,} for an opening unlike the persona (below {chosen.min_coherence:.2f}; {where})"
    if (failed := talks.total("failures")) or not talks.total("candidates"):
        yield f"{failed:,} failed (see failures/)"


def _ways_out(settings: Settings, manifest: Manifest) -> Iterator[str]:
    talks, chosen = manifest.conversations, settings.conversations
    if talks.total(f"refused {Why.JUDGE}"):
        yield "lower conversations.threshold"
        if chosen.auto_improve:
            yield "raise conversations.max_attempts"
    if talks.total(f"refused {Why.OPENING}") or talks.total(f"refused {Why.COHERENCE}"):
        yield "give it more documents or personas"
