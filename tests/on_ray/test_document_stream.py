import json
import time
from pathlib import Path

import pyarrow as pa
import pytest
import ray
from ray.data import DataContext
from ray_process import CPUS, OBJECT_STORE_BYTES

from actors.logic.document import digest, document_id
from pipelines.sources.document_stream import ROWS, SCHEMA, first_good, stream, take_documents
from pipelines.sources.files import find_files
from pipelines.sources.splits import plan_splits


def documents(folder, limit=None, target_bytes=32 << 20, **settings):
    splits = plan_splits(find_files([str(folder)]), target_bytes)
    options = {"text_field": "text", "id_field": None, "max_characters": 1000} | settings
    return stream(splits, limit=limit, **options)


def taken(folder, limit=None, **settings):
    tables = list(take_documents(documents(folder, limit, **settings), limit))
    assert all(0 < table.num_rows <= ROWS and table.schema == SCHEMA for table in tables)
    return pa.concat_tables(tables, promote_options="default") if tables else SCHEMA.empty_table()


def private_bytes():
    """Of this process, without what it shares with the object store."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) << 10


@pytest.fixture
def corpus(tmp_path):
    """2,000 numbered documents in many splits, the fifth line of every hundred broken."""
    for part in range(20):
        lines = [json.dumps({"text": f"document {part * 100 + n}", "n": f"id-{n}"}) for n in range(100)]
        lines.insert(4, "broken")
        (tmp_path / f"{part:02}.jsonl").write_text("\n".join(lines) + "\n")
    return tmp_path


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """100,000 documents of 2 kB in one file, far more than the object store holds."""
    folder = tmp_path_factory.mktemp("large")
    line = json.dumps({"text": "twelve words of some text that goes on for quite a while " * 35}) + "\n"
    with (folder / "large.jsonl").open("w") as out:
        for _ in range(100):
            out.write(line * 1000)
    assert (folder / "large.jsonl").stat().st_size > 2 * OBJECT_STORE_BYTES
    yield folder
    (folder / "large.jsonl").unlink()


def test_documents_come_in_the_order_of_their_files_with_the_bad_ones_in_their_places(corpus):
    table = taken(corpus, target_bytes=1000)
    good = table.filter(pa.compute.is_null(table["error_kind"]))
    assert good["text"].to_pylist() == [f"document {n}" for n in range(2000)]
    assert table.num_rows == 2020
    first, bad = table.slice(0, 1).to_pylist()[0], table.slice(4, 1).to_pylist()[0]
    assert first["document_id"] == document_id("document 0")
    assert first["digest"] == digest(first["document_id"])
    assert (first["characters"], first["truncated"], first["error_message"]) == (10, False, None)
    source = f"{corpus}/00.jsonl:5"
    assert (bad["document_id"], bad["source"], bad["text"], bad["error_kind"]) == (source, source, "", "unreadable")


def test_a_limit_takes_the_same_good_documents_each_time_whatever_the_concurrency(corpus):
    runs = [taken(corpus, limit=250, target_bytes=1000, concurrency=width) for width in (None, 1, 4)]
    assert runs[0].equals(runs[1])
    assert runs[0].equals(runs[2])
    assert runs[0].num_rows == 253
    assert runs[0]["text"][-1].as_py() == "document 249"


def test_a_stream_left_early_gives_back_its_cpus_and_leaves_the_settings_of_others_alone(large):
    before = DataContext.get_current().copy()
    assert next(take_documents(documents(large), None)).num_rows == ROWS
    assert len(taken(large, limit=3)) == 3
    deadline = time.monotonic() + 20
    while ray.available_resources().get("CPU") != CPUS and time.monotonic() < deadline:
        time.sleep(0.1)
    assert ray.available_resources()["CPU"] == CPUS
    after = DataContext.get_current()
    assert (after.target_max_block_size, after.enable_progress_bars) == (
        before.target_max_block_size,
        before.enable_progress_bars,
    )
    assert not after.execution_options.preserve_order


def test_no_splits_and_no_good_documents_are_streams_without_good_documents(tmp_path):
    assert list(take_documents(stream([], text_field="t", id_field=None, max_characters=9, limit=None), None)) == []
    (tmp_path / "a.txt").write_bytes(b"\xff")
    assert taken(tmp_path, limit=5)["error_kind"].to_pylist() == ["unreadable"]


def test_a_corpus_larger_than_the_object_store_streams_through_a_small_driver(large):
    rows, peak, start = 0, 0, private_bytes()
    for table in take_documents(documents(large, max_characters=4000), None):
        rows += table.num_rows
        peak = max(peak, private_bytes() - start)
    assert rows == 100_000
    assert peak < 40 << 20


def test_first_good_counts_only_good_documents():
    kinds = [[None, "x", None], ["x"], [None, "x", None]]
    tables = [pa.table({"error_kind": pa.array(part, pa.string())}) for part in kinds]

    def lengths(limit):
        return [table.num_rows for table in first_good(iter(tables), limit)]

    assert [lengths(limit) for limit in (0, 1, 2, 3, 4, 5, None)] == [
        [], [1], [3], [3, 1, 1], [3, 1, 3], [3, 1, 3], [3, 1, 3]
    ]  # fmt: skip
