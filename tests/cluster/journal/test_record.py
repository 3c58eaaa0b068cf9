import json

import pyarrow.json
import pytest
from journals import answer, append, close, get, key, write

from cluster.journal import JournalReader, JournalWriter, call_key, index_segments, read_records
from cluster.journal.record import line_of

CONTROLS = ["", "\0\x1f\x7f", "\u2028\r\n\t", "\\u0041\\"]
ODD = [*CONTROLS, "😀é漢", '"}],"crc":"00000000"}', "half \ud83d pair", "x" * 100_000]


def test_a_call_has_one_key_whatever_the_order_of_its_fields():
    assert call_key({"a": 1, "b": [2]}, "x") == call_key({"b": [2], "a": 1}, "x")
    keys = {call_key({"a": 1}, "x"), call_key({"a": 1}, "y"), call_key({"a": 2}, "x"), call_key({"a": "ü\ud83d"}, "")}
    assert len(keys) == 4 and {len(key) for key in keys} == {16}


def test_the_key_of_a_call_never_changes_between_versions():
    request = {"model": "m", "messages": [{"role": "user", "content": "Grüße"}], "temperature": 0.7}
    assert call_key(request, "doc/0").hex() == "433ae9b7aedad9a269baa6473e19a6ee"  # b2sum -l 128


def test_a_line_never_changes_between_versions():
    line = line_of(bytes(16), 1.5, "doc/0", {"text": "Grüße\n"})
    assert line.decode() == (
        '{"v":1,"key":"00000000000000000000000000000000","at":1.500,"item":"doc/0",'
        '"answer":"{\\"text\\":\\"Grüße\\\\n\\"}","crc":"CRC"}\n'
    ).replace("CRC", line[-11:-3].decode())
    assert json.loads(line)["crc"] == line[-11:-3].decode()


def test_records_come_back_as_they_were_written(tmp_path):
    records = list(read_records(write(tmp_path, range(5))))
    assert [record.key for record in records] == [key(number) for number in range(5)]
    assert [record.item for record in records] == [f"item {number}" for number in range(5)]
    assert [record.answer for record in records] == [answer(number) for number in range(5)]


def test_any_text_survives_and_pyarrow_reads_it(tmp_path):
    lines = [
        line_of(key(number), 1.0, text[:50], {"text": text, "mixed": [number, text][number % 2]})
        for number, text in enumerate(ODD)
    ]
    (tmp_path / "a-0.jsonl").write_bytes(b"".join(lines))
    assert index_segments(tmp_path).records == len(ODD)
    reader = JournalReader(tmp_path)
    assert [get(reader, number)["text"] for number in range(len(ODD))] == ODD
    table = pyarrow.json.read_json(tmp_path / "a-0.jsonl")
    assert table.column_names == ["v", "key", "at", "item", "answer", "crc"]
    assert [json.loads(text)["text"] for text in table["answer"].to_pylist()] == ODD
    assert table["key"].to_pylist() == [key(number).hex() for number in range(len(ODD))]


def test_a_key_of_another_length_is_refused():
    with pytest.raises(ValueError, match="16 bytes"):
        line_of(b"short", 1.0, "", {})


def test_a_changed_byte_anywhere_in_a_record_costs_that_record_alone(tmp_path):
    path = write(tmp_path, range(3))
    whole = path.read_bytes()
    start = whole.index(b"\n") + 1
    for at in range(start, whole.index(b"\n", start)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert [record.key for record in read_records(path)] == [key(0), key(2)], at
    summary = index_segments(tmp_path)
    assert (summary.records, summary.dropped) == (2, 1)


def test_a_segment_that_is_still_written_to_can_be_read(tmp_path):
    writer = JournalWriter(tmp_path, "a")
    append(writer, 1, 2)
    assert len(list(read_records(writer.segment))) == 2
    close(writer)
