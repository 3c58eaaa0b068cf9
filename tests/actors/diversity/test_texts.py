import gzip
import random

import pytest
from sacrebleu.metrics import BLEU

from actors.logic.diversity.texts import (
    TEXTS,
    WORDS,
    compression_ratio,
    distinct_n,
    length_matched,
    self_bleu,
    text_figures,
)

VOCABULARY = [f"w{number}" for number in range(30)]


def split(*texts: str) -> list[list[str]]:
    return [text.split() for text in texts]


def test_distinct_n_is_that_of_a_count_by_hand():
    texts = split("a b a b", "a b c d")
    assert distinct_n(texts, 1) == 4 / 8
    assert distinct_n(texts, 2) == 4 / 6  # ab ba ab, ab bc cd
    assert distinct_n(texts, 3) == 4 / 4


def test_an_n_gram_does_not_reach_from_one_text_into_the_next():
    assert distinct_n(split("a b", "c d", "c d"), 2) == 2 / 3


def test_the_compression_ratio_is_that_of_gzip_over_all_texts():
    texts = split("a nurse in Leeds", "a judge in Lagos")
    whole = b"a nurse in Leeds\na judge in Lagos"
    assert compression_ratio(texts) == len(whole) / len(gzip.compress(whole, mtime=0))


def test_equal_texts_have_a_self_bleu_of_one_and_texts_without_a_common_word_of_zero():
    assert self_bleu(split("a b c d e f", "a b c d e f")) == pytest.approx(1)
    assert self_bleu(split("a b c d e f", "g h i j k l")) == 0


def test_self_bleu_of_two_texts_is_that_of_a_calculation_by_hand():
    one = (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25  # all but the last word in common, and clipped alike both ways
    assert self_bleu(split("a b c d e", "a b c d x")) == pytest.approx(one)


@pytest.mark.parametrize("words", [4, 5, 12, 2])
def test_self_bleu_agrees_with_sacrebleu_on_each_text_against_all_others(words):
    draw = random.Random(words)
    texts = [" ".join(draw.choices(VOCABULARY[: 5 * (1 + number % 6)], k=words)) for number in range(40)]
    bleu = BLEU(tokenize="none", effective_order=True, max_ngram_order=min(4, words))
    scores = [bleu.sentence_score(text, texts[:at] + texts[at + 1 :]).score for at, text in enumerate(texts)]
    assert self_bleu(split(*texts)) == pytest.approx(sum(scores) / len(scores) / 100, abs=1e-9)
    assert min(scores) < 20 < max(scores), "there are zeros to be smoothed, and texts alike"


def test_a_sample_has_texts_of_one_length_and_none_that_are_shorter():
    texts = ["One two three four five six seven eight nine!", "Too short to count.", "一二三四五六七八"]
    assert length_matched(texts) == [
        ["one", "two", "three", "four", "five", "six", "seven", "eight"],
        list("一二三四五六七八"),
    ]
    assert all(len(text) == WORDS for text in length_matched(texts))


def test_longer_texts_have_the_same_figures_as_their_beginnings():
    draw = random.Random(0)
    short = [" ".join(draw.choices(VOCABULARY, k=WORDS)) for _ in range(50)]
    long = [f"{text} and the same long end of each and every text" for text in short]
    assert text_figures(short) == text_figures(long)


def test_no_more_texts_count_than_the_sample_has():
    figures = text_figures(" ".join(f"word{number + at}" for at in range(WORDS)) for number in range(2 * TEXTS))
    assert figures.texts == TEXTS


def test_of_fewer_than_two_long_texts_nothing_is_told():
    assert text_figures(["short", "a text that is long enough for one of them", "short too"]) is None
