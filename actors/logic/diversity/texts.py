"""How much texts repeat words and phrases, on samples in which all are of one length.

Each of these figures moves with the length of the texts and with their number, so a corpus of short texts would look
unlike one of long texts though it is as diverse (Shaib et al. 2024, arXiv:2403.00553; 2025, arXiv:2505.17390). So each
text counts with its first WORDS words, and one that has fewer does not count.
"""

from __future__ import annotations

import gzip
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from actors.logic.words import words

TEXTS = 1000
WORDS = 8
_ORDERS = range(1, 5)

Words = Sequence[str]


@dataclass(frozen=True, slots=True)
class TextFigures:
    """Of `texts` texts, each cut to `words` words. Self-BLEU lies between 0 and 1."""

    texts: int
    words: int
    distinct_1: float
    distinct_2: float
    distinct_3: float
    compression_ratio: float
    self_bleu: float


def text_figures(texts: Iterable[str]) -> TextFigures | None:
    """Of the first TEXTS texts that are long enough; None where fewer than two are."""
    sample = length_matched(texts)
    if len(sample) < 2:
        return None
    one, two, three = (distinct_n(sample, order) for order in (1, 2, 3))
    return TextFigures(len(sample), WORDS, one, two, three, compression_ratio(sample), self_bleu(sample))


def length_matched(texts: Iterable[str], count: int = TEXTS, length: int = WORDS) -> list[Words]:
    """The first `length` words of each of the first `count` texts that have so many."""
    long_enough = (found[:length] for text in texts if len(found := words(text)) >= length)
    return list(islice(long_enough, count))


def distinct_n(texts: Sequence[Words], order: int) -> float:
    """Different n-grams ÷ all n-grams, over all texts together (Li et al. 2016, arXiv:1510.03055)."""
    grams = [gram for text in texts for gram in _grams(text, order)]
    return len(set(grams)) / len(grams)


def compression_ratio(texts: Sequence[Words]) -> float:
    """Bytes ÷ bytes when compressed by gzip, of all texts one after the other (Shaib et al. 2024)."""
    whole = "\n".join(" ".join(text) for text in texts).encode()
    return len(whole) / len(gzip.compress(whole, mtime=0))


def self_bleu(texts: Sequence[Words]) -> float:
    """The mean BLEU of each text with all others as its references (Zhu et al. 2018, arXiv:1802.01886).

    All n texts are of one length, so there is no brevity penalty; n-grams of one to four words, zeros smoothed by
    halving, as in sacreBLEU. What all others have of an n-gram is known from its two highest counts, so this takes a
    time in proportion to n; libraries go through n − 1 references for each text.
    """
    counts = [[Counter(_grams(text, order)) for order in _ORDERS if order <= len(text)] for text in texts]
    highest: Counter[Words] = Counter()
    second: Counter[Words] = Counter()
    for gram, count in ((gram, count) for text in counts for of_order in text for gram, count in of_order.items()):
        second[gram] = max(second[gram], min(count, highest[gram]))
        highest[gram] = max(highest[gram], count)

    def matched(gram: Words, count: int) -> int:
        return min(count, second[gram] if count == highest[gram] else highest[gram])

    scores = [
        _bleu([(sum(matched(*item) for item in of_order.items()), of_order.total()) for of_order in text])
        for text in counts
    ]
    return math.fsum(scores) / len(scores)


def _bleu(precisions: Sequence[tuple[int, int]]) -> float:
    """The geometric mean of matched ÷ all for each order; the k-th that is zero counts as 1 ÷ (2^k × all)."""
    if not precisions[0][0]:
        return 0.0
    logarithms, halved = 0.0, 1.0
    for matched, total in precisions:
        if not matched:
            halved /= 2
        logarithms += math.log((matched or halved) / total)
    return math.exp(logarithms / len(precisions))


def _grams(text: Words, order: int) -> list[Words]:
    return [tuple(text[at : at + order]) for at in range(len(text) - order + 1)]
