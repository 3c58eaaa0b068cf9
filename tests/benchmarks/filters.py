"""What the filters cost: `python tests/benchmarks/filters.py [PERSONAS]`.

Prints personas per CPU-second through all filters, each as one of five of its document (speeches of some 2,000
characters), and the share of the time that goes into reading the documents. Exits with 1 below 5,000.
"""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from dedup import texts

from actors.logic.filters import Fault, Filters
from actors.logic.persona import Granularity

WORDS = [
    "the",
    "people",
    "of",
    "this",
    "union",
    "and",
    "their",
    "laws",
    "shall",
    "be",
    "heard",
    "in",
    "every",
    "state",
    "before",
    "the",
    "congress",
    "meets",
    "again",
]


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    personas, draw = texts(count, random.Random(0))[0], random.Random(1)
    documents = [" ".join(draw.choices(WORDS, k=400)) for _ in range(count // 5)]
    filters = Filters(list(Fault), Granularity.MEDIUM)
    filters.fault(personas[0], filters.grounds(documents[0]))  # loads the model of languages
    began, reading, refused = time.process_time(), 0.0, 0
    for at, document in enumerate(documents):
        begun = time.process_time()
        grounds = filters.grounds(document)
        reading += time.process_time() - begun
        refused += sum(filters.fault(text, grounds) is not None for text in personas[5 * at : 5 * at + 5])
    seconds = time.process_time() - began
    print(
        f"{count / seconds:,.0f} personas per CPU-second, {reading / seconds:.0%} of it reading {len(documents):,} "
        f"documents; {refused:,} refused; load {os.getloadavg()[0]:.1f}"
    )
    sys.exit(count / seconds < 5000)


if __name__ == "__main__":
    main()
