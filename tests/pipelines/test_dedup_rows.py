"""Rows of files as they are, with the text of each, from any row on."""

from __future__ import annotations

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster.errors import UserError
from pipelines.dedup.rows import ROWS, check_columns, read_rows
from pipelines.sources import find_files

COUNT = 3 * ROWS + 5


@pytest.fixture(params=["jsonl", "jsonl.gz", "parquet"])
def files(request, tmp_path):
    """COUNT rows in two files, in order."""
    for name, numbers in (("a", range(700)), ("b", range(700, COUNT))):
        rows = [{"id": number, "text": f"text {number}"} for number in numbers]
        path = tmp_path / f"{name}.{request.param}"
        if request.param == "parquet":
            pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=90)
        else:
            lines = "\n".join(map(json.dumps, rows)).encode()
            path.write_bytes(gzip.compress(lines) if request.param.endswith("gz") else lines)
    return find_files([str(tmp_path)])


@pytest.mark.parametrize("skip", [0, 1, 89, 90, 91, 699, 700, 701, 760, COUNT - 1, COUNT])
def test_rows_come_in_order_from_any_row_on(files, skip):
    batches = list(read_rows(files, "text", skip))
    numbers = [batch.first + at for batch in batches for at in range(len(batch))]
    assert numbers == list(range(skip, COUNT))
    assert [text for batch in batches for text in batch.texts] == [f"text {number}" for number in numbers]
    assert all(len(batch) <= ROWS and len(batch.raw) == len(batch) for batch in batches)


def test_lines_stay_as_they_are_and_what_is_no_text_is_told(tmp_path):
    lines = ['{"text": "one",   "id":1}', "", "not json", '{"id": 2}', '{"text": null}', '{"text": " "}', "[1]"]
    (tmp_path / "a.jsonl").write_text("\r\n".join(lines))
    [rows] = read_rows(find_files([str(tmp_path)]), "text")
    assert rows.texts == ["one", None, None, None, None, None]
    assert rows.raw[0] == b'{"text": "one",   "id":1}\n'
    assert list(rows.faults.values()) == [
        "not JSON: Expecting value at character 0 of the line",
        "no field 'text'; the fields are 'id'",
        "field 'text' holds null, not text",
        "field 'text' is empty",
        "the line holds a list, not an object",
    ]


def test_a_column_that_is_missing_or_no_text_is_refused_by_its_file(tmp_path):
    pq.write_table(pa.table({"words": [1]}), tmp_path / "a.parquet")
    files = find_files([str(tmp_path)])
    with pytest.raises(UserError, match=r"a\.parquet: no field 'text'; the fields are 'words'"):
        list(read_rows(files, "text"))
    with pytest.raises(UserError, match=r"a\.parquet: field 'words' holds int64, not text"):
        list(read_rows(files, "words"))


def test_files_of_two_kinds_or_of_another_are_refused(tmp_path):
    (tmp_path / "a.jsonl").write_text("{}")
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "b.parquet")
    with pytest.raises(UserError, match=r"a\.jsonl and .*b\.parquet are of two kinds"):
        list(read_rows(find_files([str(tmp_path)]), "text"))
    (tmp_path / "b.parquet").unlink()
    (tmp_path / "c.csv").write_text("text\n")
    with pytest.raises(UserError, match=r"c\.csv: dedup reads \.jsonl"):
        list(read_rows(find_files([str(tmp_path)]), "text"))


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_long_texts_come_a_few_at_a_time(tmp_path, kind):
    rows = [{"text": f"{number} " + "word " * 20_000} for number in range(100)]
    path = tmp_path / f"a.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, compression=None, use_dictionary=False)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    batches = list(read_rows(find_files([str(path)]), "text"))
    assert [text for batch in batches for text in batch.texts] == [row["text"] for row in rows]
    assert max(batch.nbytes for batch in batches) < 6 << 20 and len(batches) > 2


def test_a_parquet_without_rows_has_its_columns_all_the_same(tmp_path):
    pq.write_table(
        pa.table({"text": pa.array([], pa.string()), "id": pa.array([], pa.int64())}), tmp_path / "a.parquet"
    )
    [none] = read_rows(find_files([str(tmp_path)]), "text")
    assert len(none) == 0 and none.raw.schema.names == ["text", "id"]


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    for name, content in (("a.parquet", b"PAR1 half of it"), ("b.jsonl.gz", gzip.compress(b"{}" * 9999)[:-20])):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=rf"{name} cannot be read: [^\n]+$"):
            list(read_rows(find_files([str(tmp_path / name)]), "text"))


def test_files_of_other_columns_are_refused_before_a_row_is_read(tmp_path):
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"text": ["b"], "id": [1]}), tmp_path / "b.parquet")
    with pytest.raises(UserError, match=r"b\.parquet and .*a\.parquet have not the same columns"):
        check_columns(find_files([str(tmp_path)]))
