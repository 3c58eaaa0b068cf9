"""How good the dialogues are, in words: a section of the dataset card, and the line of the closing summary."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Told = dict[str, Any]

_REFUSED = {
    "judge": "refused by the judge",
    "opening": "refused for an opening like another's",
    "coherence": "refused for an opening unlike the persona",
}


def quality_lines(told: Told | None) -> Iterator[tuple[str, str]]:
    """Label and text; none where nothing was refused, scored or measured."""
    if not told:
        return
    found = [f"{count:,} {_REFUSED[why]}" for why, count in told["refused"].items()]
    if scores := told.get("scores"):
        found.append(f"{scores['overall']:.2f} on average by the judge")
    if told["attempts"] > told["asked"]:
        found.append(f"{told['attempts'] / told['asked']:.1f} attempts each")
    if (turns := told.get("consistency")) and len(turns) > 1:
        first, last = turns[0], turns[-1]
        found.append(f"persona held from {first['mean']:.2f} (message 1) to {last['mean']:.2f} ({last['message']})")
    if told["openings_gave_away"]:
        found.append(f"{told['share_gave_away']:.1%} of openings gave the persona away at first")
    if found:
        yield "quality", ", ".join(found)


def quality_section(told: Told | None) -> str:
    """Markdown; empty where there are no dialogues."""
    if not told or not told["asked"]:
        return ""
    parts = ["## How good the conversations are", _funnel(told)]
    if scores := told.get("scores"):
        parts.append(_table("criterion", "mean", ((name, f"{mean:.2f}") for name, mean in scores.items())))
        parts.append(
            f"Scores are from 0 to 1, by a judge model, over {told['scored']:,} rows; `overall` is their mean."
        )
    if turns := told.get("consistency"):
        rows = ((f"{one['message']}", f"{one['mean']:.3f} ({one['rows']:,} rows)") for one in turns)
        parts.append(_table("user message", "cosine with the persona", rows))
        parts.append("Where the cosine falls from message to message, the persona fades.")
    return "\n" + "\n\n".join(parts) + "\n"


def _funnel(told: Told) -> str:
    rows = [("asked for", told["asked"]), *((_REFUSED[why], count) for why, count in told["refused"].items())]
    rows += [("failed", told["failed"]), ("accepted", told["accepted"]), ("attempts in all", told["attempts"])]
    rows += [("candidates in `rejected_conversations/`", told["rejected"])]
    rows += [("openings that gave the persona away at first", told["openings_gave_away"])]
    return _table("dialogues", "", ((name, f"{count:,}") for name, count in rows))


def _table(name: str, value: str, rows: Iterator[tuple[str, str]]) -> str:
    lines = [f"| {name} | {value} |", "|---|---:|", *(f"| {one} | {other} |" for one, other in rows)]
    return "\n".join(lines)
