import random

import numpy as np
import pytest

from actors.logic.minhash import PERMUTATIONS, band_keys, bands_for, signature, similarities

VOCABULARY = [f"word{number}" for number in range(5000)]


def pair(draw: random.Random, similarity: float, size: int = 40) -> tuple[str, str, float]:
    """Two texts, and how similar their words are."""
    chosen = draw.sample(VOCABULARY, size)
    common, rest = chosen[: round(similarity * size)], chosen[round(similarity * size) :]
    half = len(rest) // 2
    one, other = common + rest[:half], common + rest[half:]
    return " ".join(one), " ".join(other), len(common) / size


@pytest.mark.parametrize("similarity", [0, 0.3, 0.6, 0.9, 1])
def test_the_estimate_is_right_on_average_and_scatters_as_the_theory_says(similarity):
    draw, errors = random.Random(7), []
    for _ in range(300):
        one, other, truth = pair(draw, similarity)
        errors.append(float(similarities(signature(one), signature(other)[None])[0]) - truth)
    assert abs(np.mean(errors)) < 0.008
    assert np.std(errors) <= np.sqrt(similarity * (1 - similarity) / PERMUTATIONS) + 0.006


def test_words_count_in_any_order_and_number():
    assert (signature("nurse from Leeds") == signature("Leeds, from (nurse) nurse")).all()
    assert (signature("nurse from Leeds") != signature("nurse from York")).any()


def test_a_text_without_words_is_like_another_one_only():
    nothing, other = signature("🙂🙂"), signature("nurse")
    assert (signature("…") == nothing).all()
    assert similarities(nothing, other[None])[0] < 0.1


def test_a_signature_stays_the_same_from_release_to_release_since_logs_hold_them():
    assert signature("a nurse from Leeds").tobytes().hex()[:32] == "ffa1f3d093fa470b21dc1a43dc661493"


@pytest.mark.parametrize("threshold", [0.7, 0.8, 0.9, 0.95, 1.0])
def test_two_signatures_at_the_threshold_agree_in_a_band_wherever_they_differ(threshold):
    rng = np.random.default_rng(1)
    for _ in range(200):
        one = rng.integers(256, size=PERMUTATIONS, dtype=np.uint8)
        other = one.copy()
        places = rng.permutation(PERMUTATIONS)
        while similarities(one, other[None])[0] >= threshold:
            near, other = other.copy(), other.copy()
            other[places[0]] ^= 1
            places = places[1:]
        keys = band_keys(np.stack([one, near]), bands_for(threshold))
        assert (keys[0] == keys[1]).any()


def test_equal_bytes_in_different_bands_have_different_keys():
    keys = band_keys(np.zeros((1, PERMUTATIONS), np.uint8), 13)
    assert len(set(keys[0].tolist())) == 13
