"""Parts, what is put together from them, and what a job goes on from."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from actors.logic.near_duplicates import Reason, Verdict
from cluster.errors import UserError
from pipelines.dedup.output import AGAINST, Output, work_folder
from pipelines.dedup.rows import read_rows
from pipelines.sources import find_files
from pipelines.sources.files import Kind

SETTINGS = {"--threshold": 0.9}


def verdict(row: int, **refused) -> Verdict:
    return Verdict(f"{row:024x}", **refused)


@pytest.fixture(params=[Kind.JSONL, Kind.PARQUET])
def kind(request):
    return request.param


@pytest.fixture
def decided(kind, tmp_path):
    """Five rows: kept, exact, near one of the other set, without a text, kept."""
    texts = ["a", "A", "b", None, "c"]
    rows = [{"id": number, "text": text} for number, text in enumerate(texts)]
    path = tmp_path / f"in.{kind}"
    if kind is Kind.JSONL:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    [batch] = read_rows(find_files([str(path)]), "text")
    exact = verdict(1, reason=Reason.EXACT, neighbour_id=f"{0:024x}", score=1.0)
    near = verdict(2, reason=Reason.EMBEDDING, neighbour_id=f"{AGAINST + 7:024x}", score=0.95)
    return [(batch, [verdict(0), exact, near, None, verdict(4)])]


def read(path) -> list[dict]:
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_file_is_put_together_with_its_rejected_beside_it_and_nothing_else_is_left(kind, decided, tmp_path):
    target = tmp_path / f"out.{kind}"
    output = Output(target, kind, SETTINGS, keep_rejected=True, fresh=False)
    output.write(decided)
    output.write(decided)
    assert not target.exists()
    output.finish()
    assert [row["id"] for row in read(target)] == [0, 4, 0, 4]
    assert output.state.counts == {"kept": 4, "exact": 2, "embedding": 2, "malformed": 2}
    rejected = read(target.with_suffix(f".rejected.{kind}"))[:3]
    assert [row["id"] for row in rejected] == [1, 2, 3]
    assert [(row["dedup_row"], row["dedup_reason"], row["dedup_neighbour"]) for row in rejected] == [
        (1, "exact", "row 0"),
        (2, "embedding", "row 7 of the other set"),
        (3, "malformed", None),
    ]
    assert rejected[2]["dedup_note"] == "field 'text' holds null, not text"
    assert not work_folder(target).exists()
    with pytest.raises(UserError, match="is there already"):
        Output(target, kind, SETTINGS, keep_rejected=True, fresh=False)


def test_a_folder_keeps_its_parts_and_goes_on_from_those_that_its_state_names(kind, decided, tmp_path):
    target = tmp_path / "out"
    Output(target, kind, SETTINGS, keep_rejected=False, fresh=False).write(decided)
    stray = target / f"part-00001.{kind}"
    stray.write_bytes(b"half of a part")
    again = Output(target, kind, SETTINGS, keep_rejected=False, fresh=False)
    assert not stray.exists()
    assert (again.state.rows, again.state.parts) == (5, 1)
    again.write(decided)
    again.finish()
    assert [row["id"] for part in sorted(target.glob("part-*")) for row in read(part)] == [0, 4, 0, 4]
    assert not (target / "rejected").exists()
    assert Output(target, kind, SETTINGS, keep_rejected=False, fresh=False).state.done


def test_a_changed_setting_is_named(kind, decided, tmp_path):
    Output(tmp_path / "out", kind, SETTINGS, keep_rejected=False, fresh=False).write(decided)
    with pytest.raises(UserError, match=r"--threshold was 0.9 when .*out was begun and is 0.8 now"):
        Output(tmp_path / "out", kind, {"--threshold": 0.8}, keep_rejected=False, fresh=False)


def test_a_file_of_another_kind_is_refused(kind, tmp_path):
    other = {Kind.JSONL: "parquet", Kind.PARQUET: "jsonl"}[kind]
    with pytest.raises(UserError, match=rf"out\.{other}: the input is {kind}"):
        Output(tmp_path / f"out.{other}", kind, SETTINGS, keep_rejected=False, fresh=False)


def test_where_nothing_is_kept_the_columns_are(tmp_path):
    path, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    pq.write_table(pa.table({"text": pa.array([None, None], pa.string()), "id": [1, 2]}), path)
    [batch] = read_rows(find_files([str(path)]), "text")
    output = Output(target, Kind.PARQUET, SETTINGS, keep_rejected=True, fresh=False)
    output.write([(batch, [None, None])])
    output.finish()
    assert pq.read_table(target).schema.names == ["text", "id"] and not read(target)
    assert [row["id"] for row in read(tmp_path / "out.rejected.parquet")] == [1, 2]
