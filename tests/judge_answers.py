"""What the tests' model server answers as a judge of dialogues, in one of several tempers (the option `judge`).

An `improving` one goes by how often a dialogue was drafted. Who writes a message says so in it: a request that holds a
judge's word on draft n is answered as draft n + 1.
"""

from __future__ import annotations

import re
from collections.abc import Callable

CRITERIA = ("groundedness", "persona_consistency", "helpfulness", "coherence")
TEMPERS = (
    "fair",  # from .75 to 1
    "improving",  # .3 at first, .3 more for each draft
    "no",  # from 0 to .2
    "of_ten",  # of ten, whatever it is told
    "of_ten_at_first",  # of ten until it is told
)
_WRITTEN = re.compile(r"\(draft (\d+)\)")
_REVIEWED = re.compile(r"This is draft (\d+) of it")
_TOLD = "That cannot be used"

Choose = Callable[[list[str]], str]


def is_judged(properties: set[str]) -> bool:
    """Whether these are the fields of a judge's answer."""
    return properties == set(CRITERIA)


def judged(texts: list[str], temper: str, choose: Choose) -> dict[str, object]:
    """Scores with reasons. `texts` are those of the request, the dialogue among them."""
    draft = max(1, _last(_WRITTEN, texts))
    again = any(_TOLD in text for text in texts)
    reason = f"This is draft {draft} of it."
    return {name: {"reason": reason, "score": _score(temper, draft, again, choose)} for name in CRITERIA}


def with_draft(text: str, texts: list[str]) -> str:
    """A message that says which draft it is of, where the request holds a judge's word on the one before."""
    before = _last(_REVIEWED, texts)
    return f"{text} (draft {before + 1})" if before else text


def _last(said: re.Pattern[str], texts: list[str]) -> int:
    return max((int(number) for text in texts for number in said.findall(text)), default=0)


def _score(temper: str, draft: int, again: bool, choose: Choose) -> float:
    if temper == "no":
        return float(choose(["0", "0.1", "0.2"]))
    if temper == "improving":
        return min(1.0, 0.3 * draft)
    fair = float(choose(["0.75", "0.8", "0.9", "1"]))
    out_of_ten = temper == "of_ten" or (temper == "of_ten_at_first" and not again)
    return 10 * fair if out_of_ten else fair
