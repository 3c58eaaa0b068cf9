"""What the figures of a run mean, in sentences that need no other page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Told = dict[str, Any]

_NEAR, _FAR, _CHANGE = 0.8, 0.6, 0.02  # cosines


def diversity_findings(told: Told | None) -> list[str]:
    """A sentence for each figure that says something; none where nothing was measured."""
    return [*_nearest(told), *_vectors(told), *_texts(told), *_beside(told), *_left_out(told)] if told else []


def _nearest(told: Told) -> Iterator[str]:
    if not (near := told["run"].get("nearest")):
        return
    median = near["median"]
    how = "close together" if median >= _NEAR else "well apart" if median < _FAR else "moderately apart"
    yield (
        f"The personas lie {how}: half of them have a nearest neighbour at a cosine of {median:.2f} or more, and "
        f"{_percent(near['share_from_0_8'])} have one that nearly paraphrases them (.8 or more)."
    )
    medians = [(one["depth"], one["nearest"]["median"]) for one in told["by_depth"] if one.get("nearest")]
    if len(medians) > 1:
        (first, at_first), (last, at_last) = medians[0], medians[-1]
        change = (
            "closer together" if at_last > at_first + 0.02 else "further apart" if at_last < at_first - 0.02 else ""
        )
        if change:
            yield (
                f"Deeper personas are {change}: the median goes from {at_first:.2f} at depth {first} to "
                f"{at_last:.2f} at depth {last}."
            )


def _vectors(told: Told) -> Iterator[str]:
    if not (found := told["run"].get("vectors")):
        return
    yield (
        f"{found['personas']:,} of them are as diverse as {found['vendi']:.1f} entirely different people would be "
        f"(Vendi score), and a threshold of .5 would leave {found['clusters']:,} of them."
    )
    reach = [(one["depth"], one["vectors"]["cluster_coverage"]) for one in told["by_depth"] if one.get("vectors")]
    if len(reach) > 1:
        parts = ", ".join(f"depth {depth} {_percent(share)}" for depth, share in reach)
        yield f"Of these clusters each depth reaches a part: {parts}."


def _texts(told: Told) -> Iterator[str]:
    if not (found := told["run"].get("texts")):
        return
    words = "repeat one another little" if found["self_bleu"] < 0.3 else "share much of their wording"
    if 0.3 <= found["self_bleu"] < 0.6:
        words = "repeat one another's wording in part"
    yield (
        f"In their first eight words they {words}: Self-BLEU {found['self_bleu']:.2f} (0 to 1, lower is more diverse), "
        f"{_percent(found['distinct_2'])} of word pairs are different, compression ratio "
        f"{found['compression_ratio']:.2f}."
    )


def _beside(told: Told) -> Iterator[str]:
    if not (beside := told.get("beside_baseline")):
        return
    more = beside["cells"] / max(1, beside["baseline_cells"])
    yield (
        f"{beside['personas']:,} personas from documents reach {beside['cells']:,} cells of embedding space; as many "
        f"that the model named without a document reach {beside['baseline_cells']:,} ({more:.1f} × as many)."
    )


def _left_out(told: Told) -> Iterator[str]:
    if told.get("left_out"):
        yield f"Left out: {told['left_out']}."


def quality_findings(told: Told | None) -> list[str]:
    """What became of the dialogues, and what they are like."""
    if not told or not told["asked"]:
        return []
    return [*_accepted(told), *_scored(told), *_faded(told), *_gave_away(told)]


def _accepted(told: Told) -> Iterator[str]:
    lost = told["asked"] - told["accepted"]
    share = _percent(told["accepted"] / told["asked"])
    yield f"{told['accepted']:,} of {told['asked']:,} dialogues were accepted ({share}), {lost:,} refused or failed."
    if told["attempts"] > told["asked"]:
        yield f"Each took {told['attempts'] / told['asked']:.1f} attempts on average."


def _scored(told: Told) -> Iterator[str]:
    if not (scores := told.get("scores")):
        return
    named = {name: mean for name, mean in scores.items() if name != "overall"}
    low, high = min(named, key=named.__getitem__), max(named, key=named.__getitem__)
    yield (
        f"A judge model gave {scores['overall']:.2f} on average over {told['scored']:,} rows; best in "
        f"{high.replace('_', ' ')} ({named[high]:.2f}), weakest in {low.replace('_', ' ')} ({named[low]:.2f})."
    )


def _faded(told: Told) -> Iterator[str]:
    turns = told.get("consistency") or []
    if len(turns) > 1:
        first, last = turns[0]["mean"], turns[-1]["mean"]
        how = "fades" if last < first - _CHANGE else "holds"
        yield f"The persona {how} from the first message (cosine {first:.2f}) to the last ({last:.2f})."


def _gave_away(told: Told) -> Iterator[str]:
    if told["openings_gave_away"]:
        share = _percent(told["share_gave_away"])
        yield f"{share} of openings gave the persona away at first, and were asked for again."


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if 0 < share < 0.0995 else f"{100 * share:.0f} %"
