import random
from pathlib import Path

import numpy as np
import pytest

from cluster.errors import Halt
from cluster.seen_set import SeenSet


@pytest.mark.parametrize("seed", range(3))
def test_a_seen_set_agrees_with_a_python_set(tmp_path, seed):
    rng, known = random.Random(seed), set[int]()
    with SeenSet(tmp_path / "seen", buffer=50) as seen:
        for _ in range(300):
            batch = [rng.choice([rng.randrange(3_000), rng.getrandbits(64)]) for _ in range(rng.randrange(40))]
            expected = []
            for digest in batch:
                expected.append(digest not in known)
                known.add(digest)
            assert seen.add_new(np.array(batch, np.uint64)).tolist() == expected
            assert len(seen) == len(known)
        held = sum(len(run) for run in seen._runs if not isinstance(run.keys.base, np.memmap))
        assert held <= 2 * 50


def test_a_seen_set_takes_a_batch_beyond_its_buffer_and_single_digests(tmp_path):
    with SeenSet(tmp_path, buffer=10) as seen:
        assert seen.add_new(np.arange(1_000, dtype=np.uint64)).all()
        assert not seen.add_new(np.array([999], np.uint64)).any()
        assert seen.add_new(np.array([2**64 - 1], np.uint64)).all()
        assert not seen.add_new(np.array([], np.uint64)).any()


def test_a_seen_set_leaves_no_files_even_when_it_is_not_closed(tmp_path):
    seen = SeenSet(tmp_path / "seen", buffer=10)
    seen.add_new(np.arange(1_000, dtype=np.uint64))
    assert list((tmp_path / "seen").iterdir()) == []
    seen.close()
    assert len(seen) == 0 and not (tmp_path / "seen").exists()


def test_a_seen_set_that_cannot_spill_halts_and_takes_nothing_in(tmp_path):
    with SeenSet(Path("/proc/populace"), buffer=10) as seen:
        with pytest.raises((Halt, FileNotFoundError)):
            seen.add_new(np.arange(1_000, dtype=np.uint64))
        assert len(seen) == 0
