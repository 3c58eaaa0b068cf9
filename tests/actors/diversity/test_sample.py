import random

from actors.logic.diversity.sample import FixedSample, key_of

IDS = [f"{number:024x}" for number in range(2000)]


def drawn(ids: list[str], size: int, seed: int = 0) -> list[str]:
    sample = FixedSample(size)
    for one in ids:
        sample.see(key_of(one, seed), one, f"text of {one}")
    assert sample.seen == len(ids)
    assert all(row.text == f"text of {row.persona_id}" for row in sample.rows())
    return [row.persona_id for row in sample.rows()]


def test_a_sample_is_the_same_whatever_the_order():
    assert drawn(IDS, 100) == drawn(random.Random(1).sample(IDS, len(IDS)), 100)


def test_another_seed_draws_others():
    assert len(set(drawn(IDS, 100)) & set(drawn(IDS, 100, seed=1))) < 20


def test_a_smaller_sample_is_the_beginning_of_a_larger_one():
    assert drawn(IDS, 50) == drawn(IDS, 500)[:50]


def test_fewer_than_the_sample_has_room_for_are_all_in_it():
    assert sorted(drawn(IDS[:30], 100)) == IDS[:30]


def test_every_persona_has_the_same_chance():
    counts = [len(set(drawn(IDS, 200, seed)) & set(IDS[:500])) for seed in range(30)]
    assert 40 < sum(counts) / len(counts) < 60
