"""How seldom a process of callers looks for cyclic garbage.

Thousands of calls in flight are thousands of young objects that outlive a few collections, and each full one then
walks all modules too. Calls leave next to no cycles behind, so both are wasted.
"""

from __future__ import annotations

import gc

_YOUNG = 20_000  # allocations between two looks at the young objects; Python's own number is 700


def collect_seldom() -> None:
    """What is loaded by now is looked at no more, and the rest less often. For the whole process; ask it once."""
    gc.freeze()
    gc.set_threshold(_YOUNG, *gc.get_threshold()[1:])
