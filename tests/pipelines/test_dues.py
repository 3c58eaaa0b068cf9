"""Laps over documents that became more."""

import random
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from actors.logic.plan import Pool, SceneRule, scenes, units
from actors.logic.sampling import Sampling
from cluster.parts import write_part
from pipelines.dues import lap_dues

RULE = SceneRule(Sampling.UNIFORM, seed=3)


def grown(folder: Path, sizes: list[int]) -> dict[str, list[Pool]]:
    """Persona parts of so many documents each, with names in no order."""
    parts = {}
    for number, size in enumerate(sizes):
        name = f"{(number * 7 + 3) % 10}{number}"
        parts[name] = [Pool(f"{name}-{at}", "text", ()) for at in range(size)]
        ids = [one.document_id for one in parts[name]]
        write_part(folder / "personas", name, pa.table({"document_id": pa.array(ids, pa.string())}))
    return parts


def made(folder: Path, parts: dict[str, list[Pool]], laps: list[tuple[int, int]], unit_rows: int) -> dict[str, list]:
    """The scenes of the last lap by unit."""
    counts = [(name, len(pools)) for name, pools in parts.items()]
    owing = lap_dues(folder, counts, laps, RULE.seed)
    cut = [unit for dues, shares in owing for unit in units(shares, dues, unit_rows)]
    return {unit.name: scenes(unit, parts[unit.part], RULE) for unit in cut}


@pytest.mark.parametrize("seed", range(12))
def test_laps_over_more_and_more_parts_make_each_row_once_and_as_many_as_asked_for(seed, tmp_path):
    draw = random.Random(seed)
    parts = grown(tmp_path, [draw.choice([0, 1, 3, 20]) for _ in range(6)] + [2])
    overs = sorted(draw.choices(range(1, 8), k=5))
    laps = [(draw.choice([1, 2, 9, 40, 200]), over) for over in overs]
    laps = [lap for lap in laps if any(list(parts.values())[: lap[1]])]
    ids: list[str] = []
    owed: Counter[str] = Counter()
    for number in range(1, len(laps) + 1):
        found = made(tmp_path, parts, laps[:number], unit_rows=7)
        rows = [scene for unit in found.values() for scene in unit]
        assert len(rows) == laps[number - 1][0]
        there = {one.document_id for pools in list(parts.values())[: laps[number - 1][1]] for one in pools}
        assert {row.document_id for row in rows} <= there
        owed.update(row.document_id for row in rows)
        raised = {row.document_id for row in rows}
        assert max(owed[one] for one in raised) <= 1 + min(owed[one] for one in there)
        ids += [row.conversation_id for row in rows]
    assert len(set(ids)) == len(ids)


def test_parts_that_come_within_a_lap_change_nothing_of_it(tmp_path):
    parts = grown(tmp_path, [5, 3, 8, 4])
    first = dict(list(parts.items())[:2])
    laps = [(30, 2), (17, 2)]
    assert made(tmp_path, parts, laps, 4) == made(tmp_path, first, laps, 4)


def test_the_documents_that_came_catch_up_first(tmp_path):
    parts = grown(tmp_path, [6, 4])
    spoken = Counter(row.document_id for unit in made(tmp_path, parts, [(30, 1), (20, 2)], 5).values() for row in unit)
    assert spoken == {one.document_id: 5 for one in list(parts.values())[1]}
