"""The log of kept personas in an object store, where nothing is appended to and another machine goes on."""

import uuid
from pathlib import Path

import numpy as np
import pytest
from geometry import unit

from actors.densities import densities, measure, sample_of
from actors.index import PersonaIndex, Tiers
from actors.index.kept import find, kept_rows
from actors.index.log import IndexLog
from actors.index.rows import Rows, rows_of
from actors.logic.footprint import SEGMENT_ROWS
from cluster.errors import Halt
from cluster.object_path import ObjectPath, path_of

SIZE = 8


@pytest.fixture
def folder(object_store) -> ObjectPath:
    return path_of(f"s3://bucket/runs/{uuid.uuid4().hex}/dedup")


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """From its call on this is another machine, which has no copy of anything."""
    return lambda: monkeypatch.setenv("POPULACE_CACHE", str(tmp_path / uuid.uuid4().hex))


def id_of(number: int) -> bytes:
    return number.to_bytes(8, "big") + bytes(4)


def rows(start: int, stop: int) -> Rows:
    positions = np.arange(start, stop)
    ids = [id_of(int(one)) for one in positions]
    forms = [int(one).to_bytes(16, "big") for one in positions]
    return rows_of(ids, forms, ((positions[:, None] * 7 + np.arange(SIZE)) % 1009).astype(np.float16))


def log(folder: Path) -> IndexLog:
    return IndexLog(folder, "m", SIZE)


def holds(kept: IndexLog, count: int) -> bool:
    return b"".join(piece.ids.tobytes() for piece in kept.pieces()) == rows(0, count).ids.tobytes()


def test_what_was_acknowledged_is_there_on_another_machine(folder, elsewhere):
    kept = log(folder)
    for start in range(0, 100, 10):
        kept.append(rows(start, start + 10))
    assert len(list(folder.iterdir())) == 1, "small appends share an object"
    elsewhere()
    again = log(folder)
    assert holds(again, 100)
    again.append(rows(100, 130))
    elsewhere()
    assert holds(log(folder), 130)


def test_segments_are_sealed_put_and_mapped_from_copies(folder, elsewhere):
    kept, step = log(folder), 20_000
    for start in range(0, 4 * step, step):
        kept.append(rows(start, start + step))
    kept.append(rows(4 * step, 4 * step + 1))
    assert holds(kept, 4 * step + 1) and 4 * step > SEGMENT_ROWS
    names = [path.name for path in folder.iterdir()]
    assert "segment-00000.arrow" in names and len(names) < 6
    elsewhere()
    assert holds(log(folder), 4 * step + 1)
    found, _, positions = find(folder, [id_of(70_000), b"\xff" * 12])
    assert (found, list(positions)) == ([id_of(70_000)], [70_000])


def test_a_refused_append_keeps_none_of_its_rows_and_all_before(folder, object_store, elsewhere):
    kept = log(folder)
    kept.append(rows(0, 10))
    object_store.answer(status=403, code="AccessDenied", methods=["PUT"])
    with pytest.raises(Halt):
        kept.append(rows(10, 20))
    object_store.answer()
    assert holds(kept, 10)
    kept.append(rows(10, 15))
    elsewhere()
    assert holds(log(folder), 15)


def test_an_index_and_its_snapshot_are_found_on_another_machine(folder, elsewhere):
    draw = np.random.default_rng(0)
    vectors = unit(draw.normal(size=(3000, 16)))
    ids, forms = ([int(one).to_bytes(size, "big") for one in range(3000)] for size in (12, 16))
    tiers = Tiers(flat_rows=500)
    index = PersonaIndex(16, folder, "m", tiers)
    index.keep(ids[:2000], forms[:2000], vectors[:2000])
    index.keep(ids[2000:], forms[2000:], vectors[2000:])
    index.settle()
    elsewhere()
    again = PersonaIndex(16, folder, "m", tiers)
    assert again.exact(forms[1234]) == ids[1234]
    assert again.nearest(vectors[2500:2501])[1] == [ids[2500]]
    assert sum(map(len, kept_rows(folder))) == 3000


def test_densities_are_found_on_another_machine(folder, elsewhere):
    vectors = unit(np.random.default_rng(0).normal(size=(200, 16)))
    ids, forms = ([int(one).to_bytes(size, "big") for one in range(200)] for size in (12, 16))
    index = PersonaIndex(16, folder, "m")
    index.keep(ids, forms, vectors)
    assert measure(index, sample_of(index, 0), folder) == 200
    here = densities([folder], [one.hex() for one in ids])
    elsewhere()
    assert densities([folder], [one.hex() for one in ids]) == here
