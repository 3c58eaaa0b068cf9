import pyarrow as pa
import pyarrow.parquet as pq

from cluster.folder_swap import successor_of
from cluster.parts import part_path, write_part
from pipelines.merging import merge, put_together


def test_counts_are_summed_and_no_other_part_is_touched():
    parts = {"0-a-0000": {"rows": 3, "failures": 1}, "1-a-0000": {"rows": 9}, "0-a-0001": {"rows": 2, "candidates": 4}}
    merged = put_together(parts, ["0-a-0000", "0-a-0001"], "0-00000")
    assert merged == {"1-a-0000": {"rows": 9}, "0-00000": {"rows": 5, "failures": 1, "candidates": 4}}
    assert set(parts) == {"0-a-0000", "1-a-0000", "0-a-0001"}


def test_a_row_group_of_long_rows_ends_before_its_bytes_are_many(tmp_path):
    names = [f"0-a-{number:04d}" for number in range(5)]
    for number, name in enumerate(names):
        rows = {"row": [2 * number, 2 * number + 1], "text": ["x" * 1000] * 2}
        write_part(tmp_path / "conversations", name, pa.table(rows))
    merge(tmp_path, names, "0-00000", group_bytes=4000)
    with pq.ParquetFile(part_path(successor_of(tmp_path / "conversations"), "0-00000")) as file:
        assert [file.metadata.row_group(at).num_rows for at in range(file.num_row_groups)] == [4, 4, 2]
        assert file.read(["row"])["row"].to_pylist() == list(range(10))
