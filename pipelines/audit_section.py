"""What an audit found, in words: a section of the dataset card, and the lines of the closing summary."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pipelines.quoting import quote

Told = dict[str, Any]

_GROUPS = 6  # of an attribute, in a line
_MISSING = 12
_FINDINGS = 10  # of a kind
_CANNOT_SEE = (
    "Groups are read from what an English description says of its person outright; what is not said is not guessed, "
    "and those of whom it is said may differ from the others.",
    "Names are not read as a gender or a country, jobs not as a schooling or a gender; young, middle-aged, elderly and "
    "retired are no age; where somebody was born or was trained is no region.",
    "A job that the lexicon lacks is not said; one title stands for each persona, its first.",
    "Intervals and verdicts take personas as independent; those of one document are not, so with few documents they "
    "are too narrow.",
    "Income, class, religion, ethnicity, disability, sexuality and politics are not looked at, nor are three groups at "
    "once unless a reference tells of them.",
)


def audit_lines(audit: Told | None) -> Iterator[tuple[str, str]]:
    """Label and text of the closing summary; none where there was no audit."""
    if not audit or not audit.get("attributes"):
        return
    said = [one for one in audit["attributes"] if one["said"] and not one["reference"]]
    shown = sorted(said, key=lambda one: -one["said"])[:3]
    if shown:
        parts = (f"{_most(one)} of the {one['said']:,} with {_name(one)}" for one in shown)
        yield "who they are", "; ".join(parts)
    if held := [group for one in audit["attributes"] for group in one["groups"] if group["verdict"]]:
        most = max(held, key=lambda group: abs(group["share"] - group["reference"]))
        yield "beside reference", f"{len(held)} groups differ, most of all {_held(most)}"
    if found := audit["stereotypes"]:
        yield "stereotypes", f"{len(found)} flagged, surest: {_goes(found[0])}"


def audit_section(audit: Told | None) -> str:
    """Markdown; empty where there was no audit."""
    if not audit or not audit.get("attributes"):
        return ""
    parts = ["## Who the personas are", audit_opening(audit), _table(audit)]
    for title, lines in audit_findings(audit, quote):
        parts += [f"### {title}", "\n".join(f"- {line}" for line in lines)]
    return "\n" + "\n\n".join(parts) + "\n"


def audit_findings(audit: Told, say: Callable[[str], str]) -> list[tuple[str, list[str]]]:
    """Titles, each with its sentences; texts of personas as `say` puts them."""
    found = [
        ("Beside the reference", list(_beside(audit))),
        ("What hangs together", list(_associations(audit))),
        ("Stereotypes", list(_stereotypes(audit, say))),
        ("How sure this is", list(_sureness(audit))),
        ("What it cannot see", list(_cannot_see(audit))),
    ]
    return [(title, lines) for title, lines in found if lines]


def audit_opening(audit: Told) -> str:
    """What the shares are of."""
    of = f" (a fixed sample of {audit['personas']:,})" if audit["read"] < audit["personas"] else ""
    return (
        f"As {audit['read']:,} descriptions{of} say it themselves, by a lexicon. Shares are of those of whom it is "
        "said, with 95 % intervals."
    )


def _table(audit: Told) -> str:
    rows = ["| | said of | groups | nobody |", "|---|---:|---|---|"]
    for one in audit["attributes"]:
        there = sorted((group for group in one["groups"] if group["count"]), key=lambda group: -group["count"])
        groups = "; ".join(f"{group['group']} {_share(group)}" for group in there[:_GROUPS])
        rest = f"; {len(there) - _GROUPS} more" if len(there) > _GROUPS else ""
        none = [group["group"] for group in one["groups"] if not group["count"]]
        nobody = ", ".join(none[:_MISSING]) + (" …" if len(none) > _MISSING else "")
        share = one["said"] / max(1, audit["read"])
        rows.append(f"| {one['title']} | {_percent(share)} | {groups or '–'}{rest} | {nobody if groups else 'all'} |")
    return "\n".join(rows)


def _beside(audit: Told) -> Iterator[str]:
    for one in audit["attributes"]:
        if not one["reference"]:
            continue
        for verdict, word in (("over", "Over-represented"), ("under", "Under-represented")):
            found = [group for group in one["groups"] if group["verdict"] == verdict]
            if found := sorted(found, key=lambda group: -abs(group["share"] - group["reference"]))[:_FINDINGS]:
                yield f"{word} ({one['title']}): {'; '.join(map(_held, found))}."
        if not any(group["verdict"] for group in one["groups"]):
            yield f"{one['title']}: no group differs by more than chance allows."
        if one["outside"]:
            yield f"{one['outside']:,} of {one['said']:,} with {_name(one)} are of groups that the reference lacks."


def _held(group: Told) -> str:
    times = f", {group['ratio']:.2g} ×" if group["ratio"] else ""
    return f"{group['group']} {_share(group)} here, {_percent(group['reference'])} there{times}"


def _associations(audit: Told) -> Iterator[str]:
    for one in [pair for pair in audit["associations"] if pair["is_sure"]][:_FINDINGS]:
        nature = "; in life too" if one["by_nature"] else ""
        bounds = f"{one['bounds']['low']:.2f}–{one['bounds']['high']:.2f}"
        names = " and ".join(one["attributes"])
        yield f"{names}: V = {one['v']:.2f} ({bounds}, {one['personas']:,} personas{nature})"
    compared = len(audit["associations"])
    unsure = compared - sum(pair["is_sure"] for pair in audit["associations"])
    if compared:
        yield f"{unsure} of {compared} pairs of attributes that were compared hang together no more than by chance."


def _stereotypes(audit: Told, say: Callable[[str], str]) -> Iterator[str]:
    for one in audit["stereotypes"][:_FINDINGS]:
        examples = " · ".join(f"“{say(shown['text'])}”" for shown in one["examples"])
        yield (
            _goes(one)
            + f" ({one['count']:,} personas, {one['expected']:,.0f} if nothing hung together)"
            + (f": {examples}" if examples else "")
        )
    if audit["associations"] and not audit["stereotypes"]:
        yield "None beyond what chance makes."


def _goes(one: Told) -> str:
    times = f"{one['ratio']:.1f} × as often" if one["ratio"] >= 1 else f"{1 / max(one['ratio'], 1e-3):.1f} × as rarely"
    low, high = one["bounds"]["low"], one["bounds"]["high"]
    bounds = (low, high) if one["ratio"] >= 1 else (1 / max(high, 1e-3), 1 / max(low, 1e-3))
    return f"{one['does']}: {one['group']} {times} as the others ({bounds[0]:.1f}–{bounds[1]:.1f})"


def _sureness(audit: Told) -> Iterator[str]:
    for one in audit["judge"]:
        if one["right"] is not None:
            found = "" if one["found"] is None else f", and finds {_percent(one['found'])} of what it names"
            agrees = f"{_percent(one['right'])} ({_bounds(one['right_bounds'])})"
            yield (
                f"{one['attribute']}: a model that read {one['personas']:,} descriptions agrees with {agrees} of what "
                f"the lexicon says{found}."
            )
    for one in audit["prototypes"]:
        trusted = [group for group in one["groups"] if group["is_trusted"]]
        if trusted:
            groups = "; ".join(
                f"{group['group']} +{group['added']:,} (right {_bounds(group['bounds'])})"
                for group in trusted[:_GROUPS]
            )
            yield f"{one['attribute']} by the nearest prototype, in {one['personas']:,} personas: {groups}."
    refused = [one for one in audit["prototypes"] if one["why_not"]]
    if refused:
        told = "; ".join(f"{one['attribute']} ({one['why_not']})" for one in refused)
        yield f"Prototypes were not trusted with: {told}."
    yield from (f"Left out: {one}." for one in audit["left_out"])


def _cannot_see(audit: Told) -> Iterator[str]:
    read = max(1, audit["read"])
    yield (
        f"{_percent(audit['nothing_said'] / read)} of the descriptions say nothing that the lexicon reads, and "
        f"{_percent(audit['not_english'] / read)} are not in English."
    )
    yield from _CANNOT_SEE


def _most(one: Told) -> str:
    group = max(one["groups"], key=lambda group: group["count"])
    return f"{group['group']} {_percent(group['share'])}"


def _name(one: Told) -> str:
    article = "an" if one["attribute"][0] in "aeio" else "a"
    return f"{article} {one['attribute']}"


def _share(group: Told) -> str:
    return f"{_percent(group['share'])} ({_bounds(group['bounds'])})"


def _bounds(bounds: Told) -> str:
    return f"{100 * bounds['low']:.0f}–{100 * bounds['high']:.0f} %"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if 0 < share < 0.0995 else f"{100 * share:.0f} %"
