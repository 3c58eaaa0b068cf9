import gzip
import http.server
import json
import threading
import tracemalloc
from functools import partial
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

import pipelines.sources.json_lines as json_lines
import pipelines.sources.reading as reading
import pipelines.sources.record as record
from actors.logic.document import BadDocument, Document, DocumentKind
from cluster.errors import FailureKind, UserError
from pipelines.sources.fields import check_fields
from pipelines.sources.files import Kind, find_files
from pipelines.sources.reading import read_split
from pipelines.sources.splits import TARGET_BYTES, count_documents, plan_splits


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(path, data):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(data if isinstance(data, bytes) else data.encode())


def lines(*records):
    return "".join(json.dumps(record) + "\n" for record in records)


def texts(*values):
    return lines(*({"text": value} for value in values))


def read(*patterns, text_field="text", id_field=None, max_characters=10_000, target_bytes=TARGET_BYTES):
    splits = plan_splits(find_files(patterns), target_bytes)
    return [found for split in splits for found in read_split(split, text_field, id_field, max_characters)]


def good(found):
    return [item.text for item in found if isinstance(item, Document)]


def bad(found):
    return {item.source: item.message for item in found if isinstance(item, BadDocument)}


def names(*patterns):
    return [file.name for file in find_files(patterns)]


def refusal(function, *arguments):
    with pytest.raises(UserError) as caught:
        function(*arguments)
    message = str(caught.value)
    assert "\n" not in message
    return message


# --- which files


def test_a_folder_gives_its_known_files_in_order_and_no_hidden_ones():
    for name in ["b.txt", "a/z.jsonl", "a/y.MD", "c.pdf", ".git/d.txt", "a/.e.txt", "a/t.csv.gz", "a/p.parquet.gz"]:
        write(f"corpus/{name}", "x")
    assert (
        names("corpus")
        == names("corpus/")
        == ["corpus/a/t.csv.gz", "corpus/a/y.MD", "corpus/a/z.jsonl", "corpus/b.txt"]
    )


def test_globs_go_deep_and_a_file_named_twice_is_one_file():
    for name in ["b.txt", "a/z.txt", "a/b/c/y.txt", "a/.h/y.txt", "n.jsonl"]:
        write(f"corpus/{name}", "x")
    assert names("corpus/**/*.txt") == ["corpus/a/b/c/y.txt", "corpus/a/z.txt", "corpus/b.txt"]
    assert names("corpus/*.txt", "corpus/b.txt", "corpus") == names("corpus")


def test_a_file_is_found_by_its_own_name_even_if_it_looks_like_a_glob_or_is_hidden():
    write("a[1].txt", "x")
    write(".hidden.txt", "x")
    assert names("a[1].txt", ".hidden.txt") == [".hidden.txt", "a[1].txt"]


def test_links_to_files_are_followed_and_broken_ones_are_not_there(tmp_path):
    write("real.txt", "hello")
    (tmp_path / "corpus/deep").mkdir(parents=True)
    (tmp_path / "corpus/link.txt").symlink_to("../real.txt")
    (tmp_path / "corpus/broken.txt").symlink_to("nowhere.txt")
    (tmp_path / "corpus/deep/round").symlink_to("..")
    assert names("corpus") == ["corpus/link.txt"]
    assert good(read("corpus")) == ["hello"]


def test_a_misspelt_file_is_refused_with_the_nearest_name_there():
    write("corpus/people.jsonl", "x")
    assert refusal(find_files, ["corpus/poeple.jsonl"]) == (
        "corpus/poeple.jsonl: no such file; did you mean corpus/people.jsonl?"
    )
    assert "no folder" in refusal(find_files, ["corpse/people.jsonl"])


@pytest.mark.parametrize("patterns", [[], [""], ["  "]])
def test_no_pattern_at_all_is_refused(patterns):
    assert "documents.path" in refusal(find_files, patterns)


def test_what_matches_nothing_and_what_is_of_no_known_kind_is_refused():
    write("corpus/scan.pdf", "x")
    assert "corpus/*.txt: no documents match" in refusal(find_files, ["corpus/*.txt"])
    assert "corpus: no documents in this folder" in refusal(find_files, ["corpus"])
    assert "corpus/scan.pdf: not a kind of document" in refusal(find_files, ["corpus/scan.pdf"])
    assert "nosuch://bucket/x.txt: cannot be looked up" in refusal(find_files, ["nosuch://bucket/x.txt"])


def test_the_same_comes_from_any_file_system_by_its_url(tmp_path):
    data = texts(*"abc")
    write("corpus/a.jsonl", data)
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/corpus/a.jsonl", data.encode())
    memory.pipe_file("/corpus/deep/b.txt.gz", gzip.compress(b"in memory"))
    assert names(f"file://{tmp_path}/corpus/*.jsonl") == ["corpus/a.jsonl"]
    assert names("memory://corpus") == ["memory:///corpus/a.jsonl", "memory:///corpus/deep/b.txt.gz"]
    assert good(read("memory://corpus/**", target_bytes=8)) == ["a", "b", "c", "in memory"]
    assert good(read(f"file://{tmp_path}/corpus")) == ["a", "b", "c"]
    assert "did you mean memory://corpus/a.jsonl?" in refusal(find_files, ["memory://corpus/b.jsonl"])


def test_a_file_comes_from_a_web_server_that_knows_no_ranges(tmp_path):
    write("a.jsonl", texts(*map(str, range(5000))))
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/a.jsonl"
        found = read(f"{address}?key=secret", target_bytes=1000)
        assert "cannot be looked up" in refusal(find_files, [address.replace("a.jsonl", "b.jsonl")])
        server.shutdown()
    assert len(good(found)) == 5000
    assert found[6].source == f"{address}:7"


# --- in which pieces


def test_every_line_belongs_to_exactly_one_range_wherever_the_cuts_fall():
    data = "\ufeff" + texts("one", "", "zwei äöü", "x" * 50) + "\r\n\n" + texts("last").rstrip("\n")
    write("a.jsonl", data)
    for target in range(1, len(data.encode()) + 2):
        found = read("a.jsonl", target_bytes=target)
        assert good(found) == ["one", "zwei äöü", "x" * 50, "last"], target
        assert list(bad(found)) == ["a.jsonl:2"]
        assert count_documents(plan_splits(find_files(["a.jsonl"]), target)) == 5


def test_parquet_is_cut_between_row_groups_and_rows_keep_their_numbers():
    table = pa.table({"id": range(100), "text": [f"text {n} " * 20 for n in range(100)], "other": ["y"] * 100})
    pq.write_table(table, "a.parquet", row_group_size=10)
    splits = plan_splits(find_files(["a.parquet"]), 1000)
    assert len(splits) > 3
    assert splits == plan_splits(find_files(["a.parquet"]), 1000)
    found = [item for split in splits for item in read_split(split, "text", "id", 1000)]
    assert [item.document_id for item in found] == [str(n) for n in range(100)]
    assert [item.source for item in found] == [f"a.parquet#{n}" for n in range(100)]
    assert count_documents(splits) == count_documents(plan_splits(find_files(["a.parquet"]))) == 100


def test_small_files_of_one_kind_share_a_split_in_the_order_of_the_files():
    for number in range(600):
        write(f"corpus/{number:03}.txt", f"text {number}")
    write("corpus/300.jsonl", texts("between"))
    splits = plan_splits(find_files(["corpus"]))
    assert [len(split.files) for split in splits] == [256, 44, 1, 256, 44]
    assert [split.kind for split in splits] == [Kind.TEXT, Kind.TEXT, Kind.JSONL, Kind.TEXT, Kind.TEXT]
    assert good(read("corpus"))[299:302] == ["text 299", "between", "text 300"]
    assert [len(split.files) for split in plan_splits(find_files(["corpus/00*.txt"]), 13)] == [2, 2, 2, 2, 2]


def test_documents_are_counted_without_reading_them_and_no_further_than_asked():
    write("a.jsonl", texts(*map(str, range(500))) + "\n  \nbroken\n")
    write("b.csv", 'text,n\n"one\ntwo",1\n\nthree,2\n')
    write("c.txt", "one")
    write("d.jsonl.gz", gzip.compress(texts(*"abc").encode()))
    splits = plan_splits(find_files(["."]), 1000)
    assert count_documents(splits) == 501 + 2 + 1 + 3
    assert count_documents(splits, stop_at=7) == 7
    assert count_documents(splits, stop_at=1000) == 507


# --- what is in a piece


def test_one_bad_line_is_one_bad_document_and_the_rest_goes_on():
    rows = [
        b'{"text": "good"}',
        b'{"text": "torn',
        b'["a list"]',
        b'{"body": "no text", "n": 1}',
        b'{"text": 7}',
        b'{"text": null}',
        b'{"text": "caf\xe9"}',
        b"[" * 100_000,
        b'{"text": "  "}',
        b'{"text": "good too"}',
    ]
    write("a.jsonl", b"\n".join(rows))
    found = read("a.jsonl")
    assert good(found) == ["good", "good too"]
    messages = bad(found)
    assert list(messages) == [f"a.jsonl:{number}" for number in range(2, 10)]
    assert "not JSON" in messages["a.jsonl:2"]
    assert messages["a.jsonl:3"] == "the line holds a list, not an object"
    assert messages["a.jsonl:4"] == "no field 'text'; the fields are 'body', 'n'"
    assert messages["a.jsonl:5"] == "field 'text' holds a number, not text"
    assert messages["a.jsonl:7"] == "not UTF-8: byte 0xe9 at 13 of the line"
    kinds = {item.source: item.kind for item in found if isinstance(item, BadDocument)}
    assert [kinds[f"a.jsonl:{number}"] for number in (6, 9)] == [FailureKind.EMPTY_DOCUMENT] * 2
    assert kinds["a.jsonl:5"] is FailureKind.UNREADABLE


def test_bad_lines_are_named_by_their_number_in_the_file_also_far_inside_it():
    write("a.jsonl", texts(*"abc") + "broken\n\n" + texts(*"def") + "broken\n" + texts("g"))
    found = read("a.jsonl", target_bytes=20)
    assert list(bad(found)) == ["a.jsonl:4", "a.jsonl:9"]
    assert [item.source for item in found if isinstance(item, Document)][:4] == [
        "a.jsonl:1", "a.jsonl:2", "a.jsonl@28", "a.jsonl@50"
    ]  # fmt: skip


def test_an_id_field_names_the_documents_and_one_without_it_is_bad():
    write("a.jsonl", lines({"text": "a", "n": 7}, {"text": "b", "n": "x"}, {"text": "c"}, {"text": "d", "n": [1]}))
    found = read("a.jsonl", id_field="n")
    assert [item.document_id for item in found[:2]] == ["7", "x"]
    assert bad(found) == {
        "a.jsonl:3": "no field 'n'; the fields are 'text'",
        "a.jsonl:4": "field 'n' holds a list, which is no id",
    }


def test_a_line_too_long_to_hold_is_bad_and_its_neighbours_are_not(monkeypatch):
    for module in (json_lines, reading, record):
        monkeypatch.setattr(module, "MAX_RECORD", 100)
    write("a.jsonl", texts("a", "x" * 200, "b", "y" * 87, "c"))
    for target in (10, 50, 10_000):
        found = read("a.jsonl", target_bytes=target)
        assert good(found) == ["a", "b", "y" * 87, "c"]
        assert list(bad(found)) == ["a.jsonl:2"]
    write("b.csv", "text\nfirst\n" + "x" * 200 + "\n")
    write("c.txt", "x" * 200)
    assert good(read("b.csv")) == ["first"]
    assert "after b.csv#0 the file cannot be read" in bad(read("b.csv"))["b.csv"]
    assert "larger than" in bad(read("c.txt"))["c.txt"]


@pytest.mark.parametrize("packing", ["gz", "zst"])
def test_a_torn_archive_gives_what_is_before_the_tear_and_then_one_bad_document(packing):
    data = texts(*(str(number) * 20 for number in range(5000))).encode()
    pack = gzip.compress if packing == "gz" else zstandard.ZstdCompressor().compress
    write(f"a.jsonl.{packing}", pack(data[:50_000]) + pack(data[50_000:])[:-1000])
    write("b.txt", "the next file")
    splits = plan_splits(find_files(["."]))
    found = [item for split in splits for item in read_split(split, "text", None, 1000)]
    assert 100 < len(good(found)) < 5000
    assert good(found)[-1] == "the next file"
    (source, message), *others = bad(found).items()
    assert (source, others) == (f"a.jsonl.{packing}", [])
    assert f"after a.jsonl.{packing}:{len(good(found)) - 1} the file cannot be read" in message
    assert count_documents(splits) >= len(good(found))


@pytest.mark.parametrize("packing", ["gz", "zst"])
def test_archives_of_several_parts_are_read_to_their_end(packing):
    pack = gzip.compress if packing == "gz" else zstandard.ZstdCompressor().compress
    write(f"a.ndjson.{packing}", pack(texts("a").encode()) + pack(texts("b").encode()))
    assert good(read(f"a.ndjson.{packing}")) == ["a", "b"]
    assert read(f"a.ndjson.{packing}")[1].source == f"a.ndjson.{packing}:2"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_texts_are_read_in_the_encoding_that_they_mark(encoding):
    write("a.txt", "Grüße\r\n\r\nund Küsse".encode(encoding))
    assert good(read("a.txt")) == ["Grüße\n\nund Küsse"]


def test_texts_in_another_encoding_or_without_text_are_bad_documents():
    write("a.txt", "Grüße".encode("latin-1"))
    write("b.txt", "")
    write("c.txt.gz", b"not packed at all")
    write("d.md", "# good")
    found = read(".")
    assert good(found) == ["# good"]
    assert bad(found)["a.txt"] == "not UTF-8: byte 0xfc at 2; convert the file"
    assert bad(found)["b.txt"] == "the document is empty"
    assert "cannot be read" in bad(found)["c.txt.gz"]


def test_csv_rows_are_read_one_by_one_and_a_bad_one_is_alone():
    rows = 'id,text\n1,"first, with\ncomma"\n\n2,caf\xe9\n3,too,many\n4\n5,\n6,last\n'
    write("a.csv", b"\xef\xbb\xbf" + rows.encode("latin-1"))
    found = read("a.csv", id_field="id")
    assert good(found) == ["first, with\ncomma", "last"]
    assert bad(found) == {
        "a.csv#1": "not UTF-8: byte 0xe9 in 'text'",
        "a.csv#2": "the row has 3 cells under 2 names; a comma without quotes?",
        "a.csv#3": "no field 'text'; the fields are 'id'",
        "a.csv#4": "the document is empty",
    }
    assert [item.document_id for item in found if isinstance(item, Document)] == ["1", "6"]
    assert good(read("a.csv")) == good(found)


def test_parquet_with_nulls_dictionaries_and_broken_utf8_is_read_row_by_row():
    broken = pa.Array.from_buffers(
        pa.string(), 3, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0"), pa.py_buffer(b"a\xffc")]
    )
    pq.write_table(pa.table({"text": broken}), "a.parquet")
    pq.write_table(pa.table({"text": pa.array(["x", None, "x"]).dictionary_encode()}), "b.parquet")
    found = read("a.parquet", "b.parquet")
    assert good(found) == ["a", "c", "x", "x"]
    assert bad(found) == {
        "a.parquet#1": "field 'text' holds what is not UTF-8: byte 0xff at 0, not text",
        "b.parquet#1": "field 'text' is null",
    }


def test_a_broken_or_differing_file_among_good_ones_is_one_bad_document():
    pq.write_table(pa.table({"text": ["good"]}), "a.parquet")
    write("b.parquet", b"PAR1 but not really")
    pq.write_table(pa.table({"body": ["x", "y"]}), "c.parquet")
    pq.write_table(pa.table({"text": [1, 2]}), "d.parquet")
    write("e.csv", "text\ngood\n")
    write("f.csv", "body\nx\ny\n")
    check_fields(find_files(["."]), "text", None)
    found = read(".", target_bytes=10)
    assert good(found) == ["good", "good"]
    assert list(bad(found)) == ["b.parquet", "c.parquet", "d.parquet", "f.csv"]
    assert bad(found)["d.parquet"] == "field 'text' holds int64, not text"
    assert count_documents(plan_splits(find_files(["b.parquet"]))) == 0


def test_a_file_that_vanished_is_one_bad_document(tmp_path):
    write("a.txt", "x")
    write("b.txt", "y")
    splits = plan_splits(find_files(["."]))
    (tmp_path / "a.txt").unlink()
    found = [item for split in splits for item in read_split(split, "text", None, 100)]
    assert (list(bad(found)), good(found)) == (["a.txt"], ["y"])


def test_a_long_document_is_cut():
    write("a.txt", "A sentence of ten. " * 500_000)
    (found,) = read("a.txt", max_characters=1000)
    assert (found.truncated, found.characters) == (True, 9_499_999)
    assert 900 < len(found.text) <= 1000


def test_a_big_archive_is_read_in_little_memory():
    line = texts("word " * 200).encode()
    with gzip.open("a.jsonl.gz", "wb", compresslevel=1) as out:
        for _ in range(30_000):
            out.write(line)
    (split,) = plan_splits(find_files(["a.jsonl.gz"]))
    tracemalloc.start()
    assert sum(1 for _ in read_split(split, "text", None, 1000)) == 30_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


# --- which fields


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_a_field_that_is_not_there_is_refused_with_those_that_are(kind):
    if kind == "jsonl":
        write("a.jsonl", lines({"id": 1, "body": "x"}))
    elif kind == "csv":
        write("a.csv", "id,body\n1,x\n")
    else:
        pq.write_table(pa.table({"id": [1], "body": ["x"]}), "a.parquet")
    files = find_files(["."])
    check_fields(files, "body", "id")
    assert refusal(check_fields, files, "text", None) == (
        f"a.{kind}: no field 'text'; the fields are 'id', 'body'; set documents.text_field to one of them"
    )
    assert "documents.id_field" in refusal(check_fields, files, "body", "key")


def test_a_field_without_text_is_refused():
    write("a.jsonl", lines({"text": 1}, {"text": [2]}))
    pq.write_table(pa.table({"text": [1]}), "b.parquet")
    assert "a.jsonl: field 'text' holds a list, not text" in refusal(
        check_fields, find_files(["a.jsonl"]), "text", None
    )
    assert "b.parquet: field 'text' holds int64" in refusal(check_fields, find_files(["b.parquet"]), "text", None)


def test_some_bad_records_at_the_beginning_do_not_refuse_a_file():
    write("a.jsonl", "")
    write("b.jsonl", "broken\n" + lines({"other": 1}, {"text": None}, {"text": 7}, {"text": "good"}))
    check_fields(find_files(["."]), "text", None)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "it is empty"),
        (b"[\n  {},\n]\n", "not JSON: Expecting value at character 2 of the line"),
        (texts("x").encode("utf-16"), "not UTF-8: byte 0xff at 0 of the line"),
    ],
)
def test_a_file_without_any_record_is_refused_with_the_reason(data, why):
    write("a.jsonl", data)
    message = refusal(check_fields, find_files(["."]), "text", None)
    assert message == f"a.jsonl: no record can be read in it: {why}"


def test_texts_need_no_fields():
    write("a.txt", "x")
    check_fields(find_files(["."]), "text", "id")


# --- personas that were given


def given(*patterns, text_field="persona", target_bytes=TARGET_BYTES):
    splits = plan_splits(find_files(patterns), target_bytes)
    kind = DocumentKind.PERSONA
    return [found for split in splits for found in read_split(split, text_field, None, 50, kind)]


def test_personas_are_read_from_every_kind_of_file_and_never_cut():
    long = "A baker in Paris who rises before the others, " + "works on " * 20 + "and sleeps at noon."
    write("a.jsonl", lines({"persona": f"{long}\n"}, {"persona": "A  nurse\nin Leeds"}))
    pq.write_table(pa.table({"persona": [long, "A sailor of Oban"], "n": [1, 2]}), "b.parquet")
    write("c.csv", "persona\nA clerk in Ohio\n")
    write("d.txt", "A teacher\nin Poland.")
    assert good(given("*")) == [
        long,
        "A nurse in Leeds",
        long,
        "A sailor of Oban",
        "A clerk in Ohio",
        "A teacher in Poland.",
    ]


def test_what_is_no_persona_stands_in_its_place_with_the_reason():
    write("a.jsonl", lines({"persona": ""}, {"persona": None}, {"persona": "x" * 100_000}, {"persona": "A nurse"}))
    pq.write_table(pa.table({"persona": ["A nurse in Leeds", "  ", None]}), "b.parquet")
    assert bad(given("*")) == {
        "a.jsonl:1": "the persona is empty",
        "a.jsonl:2": "field 'persona' is null",
        "a.jsonl:3": "longer than a persona, which has 1,000 characters at most",
        "a.jsonl:4": "shorter than a persona, which has 3 words at least",
        "b.parquet#1": "the persona is empty",
        "b.parquet#2": "field 'persona' is null",
    }
