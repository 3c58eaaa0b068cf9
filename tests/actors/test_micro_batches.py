import random

from actors.logic.micro_batches import of_like_lengths


def counts(number: int) -> list[int]:
    draw = random.Random(1)
    return [draw.randint(1, 300) for _ in range(number)]


def test_every_text_is_in_one_batch():
    batches = of_like_lengths(counts(500), 512)
    assert sorted(position for batch in batches for position in batch) == list(range(500))


def test_no_batch_has_more_tokens_than_it_may_when_padded():
    found = counts(500)
    for batch in of_like_lengths(found, 512):
        assert len(batch) * max(found[position] for position in batch) <= 512


def test_texts_of_like_lengths_are_together():
    batches = of_like_lengths([3, 100, 2, 101, 3], 303)
    assert batches == [[2, 0, 4], [1, 3]]


def test_a_text_that_is_longer_than_a_batch_is_one_by_itself():
    assert of_like_lengths([5, 900, 5], 512) == [[0, 2], [1]]


def test_no_texts_make_no_batch():
    assert of_like_lengths([], 512) == []
