import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from geometry import planted, scattered, unit

from actors.index import PersonaIndex, Tiers
from actors.index.log import IndexLog
from actors.index.rows import rows_of
from actors.index.tiers import Kind, Rung
from actors.index.vectors import VectorIndex

ROOT = Path(__file__).parents[3]
SIZE, COUNT = 32, 6000
TIERS = {
    Kind.FLAT: Tiers(),
    Kind.SQ8: Tiers(flat_rows=1000, kinds=(Kind.SQ8,), unlisted_rows=300, probes=200),
    Kind.PQ4: Tiers(flat_rows=1000, kinds=(Kind.PQ4,), unlisted_rows=300, probes=200),
}


def log_of(vectors: np.ndarray) -> IndexLog:
    kept = IndexLog(None, "m", vectors.shape[1])
    append(kept, vectors)
    return kept


def append(kept: IndexLog, vectors: np.ndarray) -> None:
    ids = [(len(kept) + at).to_bytes(12, "big") for at in range(len(vectors))]
    kept.append(rows_of(ids, [b"f" * 16] * len(ids), vectors.astype(np.float16)))


def nearest_by_hand(kept: IndexLog, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    stored = kept.vectors(np.arange(len(kept))).astype(np.float32)
    cosines = queries @ stored.T
    return cosines.max(axis=1), cosines.argmax(axis=1)


@pytest.fixture(scope="module")
def corpus() -> tuple[IndexLog, np.ndarray]:
    """A log of vectors in groups, and queries with a neighbour at a cosine of .85 to .98."""
    vectors, queries = planted(COUNT, 500, SIZE)
    return log_of(vectors), queries


@pytest.mark.parametrize("kind", Kind)
def test_every_tier_finds_the_nearest(corpus, kind):
    kept, queries = corpus
    index = VectorIndex(kept, TIERS[kind])
    assert index.rung.kind is kind
    scores, positions = index.nearest(queries)
    truth, at = nearest_by_hand(kept, queries)
    assert np.mean(scores >= truth - 1e-3) >= 0.98
    found = positions == at
    assert np.allclose(scores[found], truth[found], atol=1e-6)


def test_a_score_is_the_same_to_the_last_bit_whatever_tier_and_company_it_comes_from(corpus):
    kept, queries = corpus
    told: dict[tuple[int, int], set[bytes]] = {}
    for tiers in TIERS.values():
        index = VectorIndex(kept, tiers)
        for batch in (1, 7, 500):
            for start in range(0, 70, batch):
                part = queries[start : start + batch]
                for at, (score, position) in enumerate(zip(*index.nearest(part), strict=True)):
                    told.setdefault((start + at, int(position)), set()).add(score.tobytes())
    assert {len(scores) for scores in told.values()} == {1}


def test_of_equal_neighbours_the_earliest_is_named():
    one = scattered(1, size=SIZE)
    kept = log_of(np.concatenate([scattered(5, 1, SIZE), one, one, one]))
    assert VectorIndex(kept, Tiers()).nearest(one)[1].tolist() == [5]


@pytest.mark.parametrize(("kind", "cosine"), [(Kind.SQ8, 0.9), (Kind.PQ4, 0.6)])
def test_neighbours_at_the_cosine_are_found(corpus, kind, cosine):
    kept, queries = corpus
    index = VectorIndex(kept, replace(TIERS[kind], cosine=cosine))
    assert index.rung.kind is kind
    moved = unit(queries + 0.5 * scattered(len(queries), 5, SIZE))
    for asked in (queries, moved):
        near = nearest_by_hand(kept, asked)[0] >= cosine + 1e-3
        assert near.sum() > 10 and np.mean(index.nearest(asked)[0][near] >= cosine) >= 0.95


def test_rows_are_found_at_once_while_higher_tiers_are_built_and_taken_up():
    kept = IndexLog(None, "m", SIZE)
    index = VectorIndex(kept, Tiers(flat_rows=2000, unlisted_rows=300, probes=100))
    vectors, lists = planted(20_000, 1, SIZE)[0], []
    for start in range(0, 20_000, 250):
        batch = vectors[start : start + 250]
        append(kept, batch)
        index.catch_up()
        lists.append(index.rung.lists)
        scores, positions = index.nearest(batch[::50].astype(np.float16).astype(np.float32))
        assert scores == pytest.approx(1, abs=2e-3)
        assert np.isin(positions, np.arange(start + 250)).all()
        if start % 5000 == 0:
            index.settle()
    index.settle()
    assert len(set(lists)) >= 3 and lists == sorted(lists)
    assert index.rung.lists == Tiers(flat_rows=2000).lists(20_000)
    queries = planted(20_000, 300, SIZE)[1]
    assert np.mean(index.nearest(queries)[0] >= nearest_by_hand(kept, queries)[0] - 1e-3) >= 0.97


def test_rows_unlike_those_that_the_lists_were_trained_on_are_found_too():
    kept = IndexLog(None, "m", SIZE)
    tiers = Tiers(flat_rows=2000, kinds=(Kind.SQ8,), unlisted_rows=300)
    append(kept, unit(scattered(2000, 1, SIZE) + 3 * scattered(1, 2, SIZE)))
    index = VectorIndex(kept, tiers)
    later, queries = planted(4000, 300, SIZE)
    for start in range(0, 4000, 250):
        append(kept, later[start : start + 250])
        index.catch_up()
    index.settle()
    index.catch_up()
    index.close()
    assert index.rung.kind is Kind.SQ8
    truth = nearest_by_hand(kept, queries)[0]
    near = truth >= tiers.cosine
    assert near.sum() > 200
    assert np.mean((index.nearest(queries)[0] >= tiers.cosine)[near]) >= 0.98


def test_what_half_bytes_tell_apart_too_badly_is_found_by_bytes(corpus):
    near = unit(scattered(1, 0, SIZE) + 0.3 * scattered(COUNT, 1, SIZE))
    tiers = Tiers(flat_rows=1000, cosine=0.97)
    assert [VectorIndex(kept, tiers).rung.kind for kept in (log_of(near), corpus[0])] == [Kind.SQ8, Kind.PQ4]


def test_an_index_that_does_not_reach_the_recall_is_not_served_and_tried_again_later(caplog):
    caplog.set_level(logging.INFO)
    kept = IndexLog(None, "m", SIZE)
    index = VectorIndex(kept, Tiers(flat_rows=1000, recall=1.01, most_searched=0.02))
    tried = []
    for start in range(0, 2000, 100):
        append(kept, scattered(100, start, SIZE))
        index.catch_up()
        index.settle()
        tried.append(sum("recall" in line for line in caplog.messages))
    assert index.rung == Rung(Kind.FLAT)
    assert tried[8:15] == [0, 2, 2, 2, 4, 4, 4]  # both kinds at 1,000 rows, at a quarter more, …
    queries = scattered(20, 3, SIZE)
    assert index.nearest(queries)[0] == pytest.approx(nearest_by_hand(kept, queries)[0], abs=1e-6)


def test_an_index_that_cannot_be_built_leaves_the_one_that_serves(caplog):
    kept = IndexLog(None, "m", SIZE)
    index = VectorIndex(kept, Tiers(flat_rows=2))
    append(kept, scattered(2, size=SIZE))
    index.catch_up()  # two rows are too few to train on
    index.settle()
    for one in (index, VectorIndex(kept, Tiers(flat_rows=2))):  # nor can it at a start
        assert one.rung == Rung(Kind.FLAT)
        assert one.nearest(kept.vectors(np.array([1])).astype(np.float32))[1].tolist() == [1]
    assert caplog.text.count("could not be built") == 2


@pytest.mark.parametrize("size", [5, 6, 16])
def test_every_dimension_has_its_tiers(size):
    vectors, queries = planted(3000, 50, size)
    kept = log_of(vectors)
    tiers = Tiers(flat_rows=1000, probes=100, recall=0.1)
    assert VectorIndex(kept, tiers).rung.kind is Kind.PQ4
    assert len(VectorIndex(kept, tiers).nearest(queries)[0]) == 50


@pytest.mark.parametrize(
    ("rows", "lists"),
    [(0, 0), (199_999, 0), (200_000, 2048), (1_000_000, 4096), (20_000_000, 16_384), (10**8, 32_768)],
)
def test_the_lists_follow_from_the_rows(rows, lists):
    assert Tiers().lists(rows) == lists


ENDING = """
import numpy as np
from actors.index import PersonaIndex, Tiers
rng = np.random.default_rng(0)
index = PersonaIndex(64, None, "m", Tiers(flat_rows=19_000))
for start in range(0, 20_000, 1000):
    vectors = rng.normal(size=(1000, 64)).astype(np.float32)
    index.keep([rng.bytes(12) for _ in vectors], [rng.bytes(16) for _ in vectors], vectors)
print(index.rung, flush=True)
"""


def test_a_process_may_end_while_an_index_is_built():
    done = subprocess.run([sys.executable, "-c", ENDING], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "flat\n", "")


# --- its own restart


def fed(folder: Path, vectors: np.ndarray, tiers: Tiers, name: bytes = b"form") -> PersonaIndex:
    index = PersonaIndex(SIZE, folder, "m", tiers)
    for start in range(len(index), len(vectors), 500):
        part = vectors[start : start + 500]
        numbers = [(start + at).to_bytes(8, "big") for at in range(len(part))]
        index.keep([name + one for one in numbers], [name + b"form" + one for one in numbers], part)
    index.settle()
    return index


def snapshots(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.faiss"))


@pytest.fixture
def stored(tmp_path, corpus) -> tuple[Path, tuple[list[float], list[bytes]]]:
    """A folder with 6,000 personas and a snapshot of the first 4,500, and what it answered."""
    vectors = planted(COUNT, 500, SIZE)[0]
    fed(tmp_path / "dedup", vectors[:4500], TIERS[Kind.FLAT]).close()
    index = fed(tmp_path / "dedup", vectors, TIERS[Kind.SQ8])  # built at the start
    index.close()
    assert len(snapshots(tmp_path / "dedup")) == 1
    return tmp_path / "dedup", answers(index, corpus[1])


def answers(index: PersonaIndex, queries: np.ndarray) -> tuple[list[float], list[bytes]]:
    scores, ids = index.nearest(queries)
    return scores.tolist(), ids


def built(caplog: pytest.LogCaptureFixture) -> int:
    return sum("recall" in line for line in caplog.messages)


def test_a_restart_reads_the_snapshot_adds_the_rows_after_it_and_answers_as_before(stored, corpus, caplog):
    folder, before = stored
    caplog.set_level(logging.INFO)
    restarted = PersonaIndex(SIZE, folder, "m", TIERS[Kind.SQ8])
    assert built(caplog) == 0
    assert restarted.rung.kind is Kind.SQ8
    assert (int(snapshots(folder)[0].name.split("-")[1]), len(restarted)) == (4500, COUNT)
    assert answers(restarted, corpus[1]) == before


@pytest.mark.parametrize("damage", ["missing", "cut", "bit", "empty", "name"])
def test_a_snapshot_that_is_lost_or_damaged_costs_time_only(stored, corpus, caplog, damage):
    folder, before = stored
    caplog.set_level(logging.INFO)
    [path] = snapshots(folder)
    content = bytearray(path.read_bytes())
    if damage == "bit":
        content[len(content) // 2] ^= 1
    path.write_bytes({"cut": content[:-100], "empty": b""}.get(damage, content))
    if damage == "missing":
        path.unlink()
    if damage == "name":
        path.rename(folder / "index-of-mine.faiss")
    restarted = PersonaIndex(SIZE, folder, "m", TIERS[Kind.SQ8])
    assert built(caplog) == 1
    assert ("left out" in caplog.text) == (damage != "missing")
    scores, _ = answers(restarted, corpus[1])
    assert np.mean(np.abs(np.array(scores) - before[0]) < 1e-3) >= 0.98
    assert len(snapshots(folder)) == 1  # and it is there for the next start


def test_a_snapshot_of_another_log_is_left_out(stored, tmp_path, caplog):
    folder, _ = stored
    other = tmp_path / "other"
    fed(other, -planted(COUNT, 1, SIZE)[0], TIERS[Kind.FLAT], b"else").close()
    [path] = snapshots(folder)
    (other / path.name).write_bytes(path.read_bytes())
    index = PersonaIndex(SIZE, other, "m", TIERS[Kind.SQ8])
    assert "left out" in caplog.text
    vector = -planted(COUNT, 1, SIZE)[0][:1]
    assert index.nearest(vector)[1] == [b"else" + bytes(8)]


def test_a_snapshot_is_taken_again_after_so_many_rows_and_replaces_the_one_before(tmp_path):
    vectors = planted(9000, 1, SIZE)[0]
    tiers = Tiers(flat_rows=1000, kinds=(Kind.SQ8,), unlisted_rows=300, probes=100, snapshot_rows=600)
    index = fed(tmp_path, vectors[:2000], tiers)
    [first] = snapshots(tmp_path)
    index.close()
    index = fed(tmp_path, vectors[:3500], tiers)
    [second] = snapshots(tmp_path)
    assert second.name.split("-")[1] > first.name.split("-")[1]
    index.close()
    assert len(fed(tmp_path, vectors[:3500], tiers)) == 3500


def test_a_snapshot_that_the_disk_refuses_is_warned_of_and_missed_by_nobody(small_disk, caplog):
    tiers = Tiers(flat_rows=1000, kinds=(Kind.SQ8,), probes=100)
    vectors, queries = planted(8000, 20, SIZE)
    fed(small_disk, vectors, Tiers()).close()
    (small_disk / "ballast").write_bytes(b"\0" * 150_000)
    index = PersonaIndex(SIZE, small_disk, "m", tiers)
    assert "no snapshot of the index" in caplog.text
    assert index.rung.kind is Kind.SQ8
    assert len(index.nearest(queries)[1]) == 20
    assert not list(small_disk.glob("*.faiss")) and not list(small_disk.glob(".*"))
