from pathlib import Path

import numpy as np
import pytest

from actors.index.bands import BandIndex
from actors.index.log import IndexLog
from actors.index.rows import rows_of
from actors.logic.minhash import PERMUTATIONS, similarities

COUNT = 4000


def random_signatures(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(256, size=(count, PERMUTATIONS), dtype=np.uint8)


def changed(signatures: np.ndarray, seed: int) -> np.ndarray:
    """Each with 0 to 24 of its bytes changed."""
    rng, found = np.random.default_rng(seed), signatures.copy()
    for row in found:
        row[rng.permutation(PERMUTATIONS)[: rng.integers(25)]] ^= 1
    return found


def log_of(signatures: np.ndarray, folder: Path | None) -> IndexLog:
    log = IndexLog(folder, "m", 4, PERMUTATIONS)
    append(log, signatures)
    return log


def append(log: IndexLog, signatures: np.ndarray) -> None:
    ids = [(len(log) + at).to_bytes(12, "big") for at in range(len(signatures))]
    vectors = np.zeros((len(ids), 4), np.float16)
    log.append(rows_of(ids, [one + bytes(4) for one in ids], vectors, signatures))


def by_hand(stored: np.ndarray, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scores = np.stack([similarities(query, stored) for query in queries])
    return scores.max(axis=1), scores.argmax(axis=1)


@pytest.mark.parametrize("place", ["memory", "folder", "file"])
@pytest.mark.parametrize("batch", [100, COUNT])
def test_the_most_similar_row_at_the_threshold_is_always_found(place, batch, tmp_path):
    stored = random_signatures(COUNT)
    folder = None if place == "memory" else tmp_path
    log = IndexLog(folder, "m", 4, PERMUTATIONS)
    index = BandIndex(log, 0.9, folder, in_memory=500 if place == "file" else 10**6)
    for start in range(0, COUNT, batch):
        append(log, stored[start : start + batch])
        index.catch_up()
    queries = changed(stored[::20], 1)
    scores, positions = index.nearest(queries)
    truth, at = by_hand(stored, queries)
    near = truth >= 0.9
    assert 50 < near.sum() < len(queries)
    assert (scores[near] == truth[near]).all() and (positions[near] == at[near]).all()
    assert (scores[~near] <= truth[~near]).all()


def test_of_equal_ones_the_earliest_is_named_and_a_stranger_has_none():
    stored = random_signatures(1)
    index = BandIndex(log_of(np.repeat(stored, 3, axis=0), None), 0.9, None)
    scores, positions = index.nearest(np.concatenate([stored, random_signatures(1, 5)]))
    assert (scores.tolist(), positions.tolist()) == ([1, -1], [0, -1])
    assert len(index.nearest(stored[:0])[0]) == 0


def test_a_band_that_all_rows_share_costs_no_more_memory_than_a_piece():
    stored = random_signatures(20_000)
    stored[:, :12] = 7
    index = BandIndex(log_of(stored, None), 0.9, None)
    scores, positions = index.nearest(stored[:50])
    assert (scores == 1).all() and positions.tolist() == list(range(50))


def test_a_restart_finds_the_same(tmp_path):
    stored = random_signatures(500)
    log = log_of(stored, tmp_path)
    queries = changed(stored[:100], 2)
    before = BandIndex(log, 0.9, tmp_path).nearest(queries)
    log.close()
    again = BandIndex(IndexLog(tmp_path, "m", 4, PERMUTATIONS), 0.9, tmp_path).nearest(queries)
    assert (before[0] == again[0]).all() and (before[1] == again[1]).all()
