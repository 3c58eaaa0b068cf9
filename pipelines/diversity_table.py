"""The diversity figures as the dataset card shows them: a table, and how each line of it is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Told = dict[str, Any]


def diversity_section(diversity: Told | None) -> str:
    """Markdown, a column for the run and one for each depth; empty where nothing was measured."""
    if not diversity:
        return ""
    groups = [diversity["run"], *diversity["by_depth"]]
    names = ["all", *(f"depth {group['depth']}" for group in groups[1:])]
    lines = [
        f"| {name} | {' | '.join(_value(group, part, tell) for group in groups)} | {meaning} |"
        for name, part, tell, meaning in _LINES
        if any(group.get(part) for group in groups)
    ]
    table = "\n".join([f"| | {' | '.join(names)} | |", f"|---|{'---:|' * len(names)}---|", *lines])
    beside = _beside(diversity["beside_baseline"])
    left_out = f"\nLeft out: {diversity['left_out']}.\n" if diversity["left_out"] else ""
    return f"\n## Diversity\n\n{table}\n\n{_NOTE}\n{beside}{left_out}"


def _beside(told: Told | None) -> str:
    if not told:
        return ""
    return (
        f"\n{told['personas']:,} personas of the run lie in {told['cells']:,} cells; as many that the model "
        f"named without a document lie in {told['baseline_cells']:,}.\n"
    )


def _value(group: Told, part: str, tell: Callable[[Any], str]) -> str:
    return tell(found) if (found := group.get(part)) else "–"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


_LINES: list[tuple[str, str, Callable[[Any], str], str]] = [
    ("personas", "personas", lambda count: f"{count:,}", ""),
    (
        "nearest neighbour, median cosine",
        "nearest",
        lambda told: f"{told['median']:.2f}",
        "of a persona with its nearest among all: lower is more diverse",
    ),
    (
        "at .8 or more",
        "nearest",
        lambda told: _percent(told["share_from_0_8"]),
        "share of personas that have a near-paraphrase",
    ),
    (
        "at .9 or more",
        "nearest",
        lambda told: _percent(told["share_from_0_9"]),
        "what deduplication refuses at its default threshold",
    ),
    (
        "Vendi score",
        "vectors",
        lambda told: f"{told['vendi']:.1f} of {told['personas']:,}",
        "as many entirely different personas would be as diverse",
    ),
    (
        "clusters",
        "vectors",
        lambda told: f"{told['clusters']:,} of {told['personas']:,}",
        "personas that would be left at a threshold of .5",
    ),
    (
        "cluster coverage",
        "vectors",
        lambda told: _percent(told["cluster_coverage"]),
        "share of the run's clusters that somebody of this depth is in",
    ),
    (
        "cluster entropy",
        "vectors",
        lambda told: f"{told['cluster_entropy']:.2f}",
        "0: all in one cluster; 1: everybody in one of their own",
    ),
    (
        "cells of embedding space",
        "cells",
        lambda told: f"{told[-1]['cells']:,} by {told[-1]['personas']:,}",
        "of 16,384 that are the same for every corpus",
    ),
    (
        "distinct 1-, 2-, 3-grams",
        "texts",
        lambda told: ", ".join(f"{told[f'distinct_{order}']:.2f}" for order in (1, 2, 3)),
        "different ÷ all: higher is more diverse",
    ),
    (
        "compression ratio",
        "texts",
        lambda told: f"{told['compression_ratio']:.2f}",
        "bytes ÷ bytes under gzip: lower is more diverse",
    ),
    (
        "Self-BLEU",
        "texts",
        lambda told: f"{told['self_bleu']:.2f}",
        "0…1, of each text with all others: lower is more diverse",
    ),
]

_NOTE = """Vendi score and clusters are of 1,000 personas (fewer where there are fewer), figures of texts of the first
eight words of 1,000 that have so many; compare columns of equal numbers. `metrics.json` has the numbers, the histogram
of nearest neighbours and the cells by number of personas."""
