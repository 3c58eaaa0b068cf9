import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.json
import pytest

from cluster import journal
from cluster.errors import Halt
from cluster.journal import JournalReader, JournalWriter, call_key, index_segments, read_records, segments

REPOSITORY = Path(__file__).parents[2]


def key(number: int) -> bytes:
    return call_key({"number": number}, "")


def answer(number: int) -> dict[str, object]:
    return {"text": f'»{number}« "quoted"\n', "usage": {"tokens": number}}


def write(folder: Path, numbers: range, writer_id: str = "a", **options: int) -> Path:
    """A closed journal of one writer; returns its last segment."""
    writer = JournalWriter(folder, writer_id, **options)
    for number in numbers:
        writer.append(key(number), f"item {number}", answer(number))
    writer.close()
    return writer.segment


def held(folder: Path, numbers: range) -> list[int]:
    """Which of the numbers a fresh reader finds, each with its own answer."""
    reader = JournalReader(folder)
    found = [number for number in numbers if reader.get(key(number)) is not None]
    assert all(reader.get(key(number)) == answer(number) for number in found)
    reader.close()
    return found


def test_a_call_has_one_key_whatever_the_order_of_its_fields():
    assert call_key({"a": 1, "b": [2]}, "x") == call_key({"b": [2], "a": 1}, "x")
    keys = {call_key({"a": 1}, "x"), call_key({"a": 1}, "y"), call_key({"a": 2}, "x"), call_key({"a": "ü\ud83d"}, "")}
    assert len(keys) == 4 and {len(key) for key in keys} == {16}


def test_the_key_of_a_call_never_changes_between_versions():
    request = {"model": "m", "messages": [{"role": "user", "content": "Grüße"}], "temperature": 0.7}
    assert call_key(request, "doc/0").hex() == "433ae9b7aedad9a269baa6473e19a6ee"  # b2sum -l 128


def test_what_is_journaled_is_found_after_indexing(tmp_path):
    write(tmp_path, range(100))
    summary = index_segments(tmp_path)
    assert held(tmp_path, range(200)) == list(range(100))
    assert (summary.segments, summary.records, summary.duplicates, summary.dropped) == (1, 100, 0, 0)
    assert summary.bytes == sum(path.stat().st_size for path in segments(tmp_path))
    assert summary.first_at is not None and summary.last_at is not None
    assert time.time() - 60 < summary.first_at <= summary.last_at <= time.time()


def test_an_empty_or_missing_journal_holds_nothing_and_is_not_made(tmp_path):
    folder = tmp_path / "journal"
    assert index_segments(folder).records == 0
    assert JournalReader(folder).get(key(1)) is None and len(JournalReader(folder)) == 0
    assert not folder.exists()


def test_a_reader_of_what_is_not_indexed_yet_finds_nothing(tmp_path):
    write(tmp_path, range(3))
    assert held(tmp_path, range(3)) == []


def test_records_come_back_as_they_were_written(tmp_path):
    path = write(tmp_path, range(5))
    records = list(read_records(path))
    assert [record.key for record in records] == [key(number) for number in range(5)]
    assert [record.item for record in records] == [f"item {number}" for number in range(5)]
    assert [record.answer for record in records] == [answer(number) for number in range(5)]


CONTROLS = ["", "\0\x1f\x7f", "\u2028\r\n\t", "\\u0041\\"]
ODD = [*CONTROLS, "😀é漢", '"}],"crc":"00000000"}', "half \ud83d pair", "x" * 100_000]


def test_any_text_survives_and_pyarrow_reads_it(tmp_path):
    writer = JournalWriter(tmp_path, "a")
    for number, text in enumerate(ODD):
        writer.append(key(number), text[:50], {"text": text, "mixed": [number, text][number % 2]})
    writer.close()
    assert index_segments(tmp_path).records == len(ODD)
    reader = JournalReader(tmp_path)
    assert [reader.get(key(number))["text"] for number in range(len(ODD))] == ODD
    table = pyarrow.json.read_json(writer.segment)
    assert table.column_names == ["v", "key", "at", "item", "answer", "crc"]
    assert [json.loads(text)["text"] for text in table["answer"].to_pylist()] == ODD
    assert table["key"].to_pylist() == [key(number).hex() for number in range(len(ODD))]


def test_a_torn_tail_costs_its_record_alone_wherever_it_is_torn(tmp_path):
    path = write(tmp_path, range(3))
    whole = path.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    for cut in range(last, len(whole)):
        path.write_bytes(whole[:cut])
        for index in (tmp_path / "index").glob("*"):
            index.unlink()
        summary = index_segments(tmp_path)
        assert (summary.records, summary.dropped) == (2, int(cut > last)), cut
        assert held(tmp_path, range(3)) == [0, 1]
        assert len(list(read_records(path))) == 2


def test_zeros_at_the_end_as_a_power_cut_leaves_them_are_a_torn_tail(tmp_path):
    path = write(tmp_path, range(3))
    path.write_bytes(path.read_bytes() + bytes(5_000))
    assert (index_segments(tmp_path).records, index_segments(tmp_path).dropped) == (3, 1)
    assert held(tmp_path, range(3)) == [0, 1, 2]


def test_a_torn_tail_that_is_completed_later_is_taken_in(tmp_path):
    path = write(tmp_path, range(3))
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    assert index_segments(tmp_path).dropped == 1
    path.write_bytes(whole)
    summary = index_segments(tmp_path)
    assert (summary.records, summary.dropped) == (3, 0)
    assert held(tmp_path, range(3)) == [0, 1, 2]


def test_a_changed_byte_anywhere_in_a_record_costs_that_record_alone(tmp_path):
    path = write(tmp_path, range(3))
    whole = path.read_bytes()
    start = whole.index(b"\n") + 1
    for at in range(start, whole.index(b"\n", start)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert [record.key for record in read_records(path)] == [key(0), key(2)], at
    summary = index_segments(tmp_path)
    assert (summary.records, summary.dropped) == (2, 1)
    assert held(tmp_path, range(3)) == [0, 2]


def test_a_record_damaged_after_it_was_indexed_is_paid_again_not_served(tmp_path, caplog):
    path = write(tmp_path, range(3))
    index_segments(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole.replace("»1«".encode(), "»7«".encode()))
    assert JournalReader(tmp_path).get(key(1)) is None
    assert "damaged" in caplog.text
    path.unlink()
    assert JournalReader(tmp_path).get(key(0)) is None


def test_of_a_key_journaled_twice_the_first_answer_is_kept_for_good(tmp_path):
    def journal_answer(writer_id: str, text: str) -> None:
        writer = JournalWriter(tmp_path, writer_id)
        for again in ("", " again"):
            writer.append(key(1), "", {"text": text + again})
        writer.close()
        time.sleep(0.002)

    journal_answer("z", "first")
    journal_answer("a", "second")
    assert index_segments(tmp_path).duplicates == 3
    assert JournalReader(tmp_path).get(key(1)) == {"text": "first"}
    journal_answer("0", "third")
    assert index_segments(tmp_path).duplicates == 5
    assert JournalReader(tmp_path).get(key(1)) == {"text": "first"}
    assert len(JournalReader(tmp_path)) == 1


def test_indexing_reads_only_what_is_new_and_keeps_the_rest(tmp_path):
    for session in range(12):
        write(tmp_path, range(100 * session, 100 * session + 100))
        assert index_segments(tmp_path).records == 100 * session + 100
        assert index_segments(tmp_path).segments == session + 1
    assert held(tmp_path, range(1_200)) == list(range(1_200))
    assert len(list((tmp_path / "index").glob("*.run"))) == 1


def test_a_segment_that_is_gone_or_cut_makes_the_index_anew(tmp_path, caplog):
    first = write(tmp_path, range(10))
    second = write(tmp_path, range(10, 20))
    index_segments(tmp_path)
    first.unlink()
    second.write_bytes(second.read_bytes()[:-1])
    assert index_segments(tmp_path).records == 9
    assert held(tmp_path, range(20)) == list(range(10, 19))
    second.unlink()
    assert index_segments(tmp_path).records == 0
    assert len(JournalReader(tmp_path)) == 0


def test_an_index_that_was_cut_off_at_any_batch_is_carried_on(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "_BATCH_RECORDS", 30)
    for writer in range(4):
        write(tmp_path, range(100 * writer, 100 * writer + 100), f"w{writer}")
    code = (
        "import os, sys; from pathlib import Path; from cluster import journal, digest_index\n"
        "journal._BATCH_RECORDS = 30; adds = int(sys.argv[2]); add = digest_index.DigestMap.add\n"
        "def dying(self, *rest):\n"
        "    global adds; add(self, *rest); adds -= 1\n"
        "    if not adds: os.kill(os.getpid(), 9)\n"
        "digest_index.DigestMap.add = dying; journal.index_segments(Path(sys.argv[1]))"
    )
    for adds in (1, 3):
        child = subprocess.run([sys.executable, "-c", code, tmp_path, str(adds)], env=environment())
        assert child.returncode == -signal.SIGKILL
        assert len(JournalReader(tmp_path)) >= 30 * adds
    assert index_segments(tmp_path).records == 400
    assert held(tmp_path, range(500)) == list(range(400))


def test_a_full_segment_is_followed_by_another(tmp_path):
    write(tmp_path, range(50), segment_bytes=1_000)
    paths = segments(tmp_path)
    assert len(paths) > 5 and all(path.stat().st_size <= 1_000 for path in paths)
    assert index_segments(tmp_path).records == 50
    assert held(tmp_path, range(50)) == list(range(50))


def test_more_segments_than_may_be_open_are_read_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "_OPEN_SEGMENTS", 3)
    write(tmp_path, range(20), segment_bytes=1)
    index_segments(tmp_path)
    assert held(tmp_path, range(20)) == list(range(20))


def test_no_segment_is_written_by_two_writers_even_of_the_same_name(tmp_path):
    writers = [JournalWriter(tmp_path, "a") for _ in range(3)]
    for number, writer in enumerate(writers):
        writer.append(key(number), "", answer(number))
        writer.close()
    assert [path.name for path in segments(tmp_path)] == ["a-0.jsonl", "a-1.jsonl", "a-2.jsonl"]


def test_a_writer_that_wrote_nothing_leaves_nothing(tmp_path):
    writer = JournalWriter(tmp_path, "a")
    writer.close()
    writer.close()
    assert segments(tmp_path) == []


@pytest.mark.parametrize("writer_id", ["", "a/b", "..", "a b"])
def test_a_writer_that_cannot_name_a_file_is_refused(tmp_path, writer_id):
    with pytest.raises(ValueError, match="cannot be"):
        JournalWriter(tmp_path, writer_id)


def test_a_key_of_another_length_is_refused(tmp_path):
    with pytest.raises(ValueError, match="16 bytes"):
        JournalWriter(tmp_path, "a").append(b"short", "", {})


@pytest.mark.parametrize(("every", "unsynced"), [(0.0, False), (3_600.0, True), (None, True)])
def test_a_writer_syncs_when_it_is_due(tmp_path, every, unsynced):
    writer = JournalWriter(tmp_path, "a", fsync_every_s=every)
    writer.append(key(1), "", answer(1))
    assert (writer.unsynced > 0) is unsynced


def test_what_others_paid_in_this_run_can_be_caught_up_with(tmp_path):
    write(tmp_path, range(10), "old")
    index_segments(tmp_path)
    reader = JournalReader(tmp_path)
    dead, other = JournalWriter(tmp_path, "dead-7", segment_bytes=500), JournalWriter(tmp_path, "dead")
    other.append(key(99), "", answer(99))
    for number in range(5, 20):
        dead.append(key(number), "", answer(number))
    assert reader.catch_up() == 11
    dead.append(key(20), "", answer(20))
    assert reader.catch_up() == 1
    assert reader.catch_up() == 0
    found = [number for number in range(100) if reader.get(key(number)) == answer(number)]
    assert found == [*range(21), 99]


def test_two_hundred_thousand_records_of_several_writers_are_looked_up_right(tmp_path):
    count = 200_000
    for writer in range(4):
        numbers = range(writer * count // 4, (writer + 1) * count // 4)
        lines = [journal._line(key(number), 1.0, "", {"n": number}) for number in numbers]
        (tmp_path / f"w{writer}-0.jsonl").write_bytes(b"".join(lines))
    assert index_segments(tmp_path).records == count
    reader = JournalReader(tmp_path)
    assert len(reader) == count
    sample = random.Random(0).sample(range(count), 20_000)
    assert all(reader.get(key(number)) == {"n": number} for number in sample)
    assert all(reader.get(key(number)) is None for number in range(count, count + 20_000))


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(REPOSITORY)}


WRITER = """
import sys
from pathlib import Path
from cluster.journal import JournalWriter, call_key
writer, number = JournalWriter(Path(sys.argv[1]), "w", segment_bytes=200_000), int(sys.argv[2])
while True:
    writer.append(call_key({"number": number}, ""), "", {"text": "x" * (number * 37 % 3_000), "n": number})
    sys.stdout.buffer.write(b"%d\\n" % number); sys.stdout.buffer.flush()
    number += 1
"""


def test_killing_the_writer_at_any_time_loses_no_acknowledged_record(tmp_path):
    rng, start, acknowledged = random.Random(0), 0, set[int]()
    for _ in range(10):
        command = [sys.executable, "-c", WRITER, tmp_path, str(start)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment()) as child:
            assert child.stdout is not None
            seen = [child.stdout.readline() for _ in range(rng.randrange(1, 400))]
            child.send_signal(signal.SIGKILL)
            seen += child.stdout.readlines()
        acknowledged |= {int(line) for line in seen if line.endswith(b"\n")}
        start = 1 + max(acknowledged)
        summary = index_segments(tmp_path)
        assert len(acknowledged) <= summary.records <= len(acknowledged) + 10
    reader = JournalReader(tmp_path)
    assert [number for number in acknowledged if (reader.get(key(number)) or {}).get("n") != number] == []


def fill(writer: JournalWriter) -> list[int]:
    """Appends until the disk refuses; returns what was acknowledged."""
    done: list[int] = []
    with pytest.raises(Halt) as halt:
        for number in range(100_000):
            writer.append(key(number), "", answer(number) | {"padding": "x" * 5_000})
            done.append(number)
    assert "\n" not in str(halt.value) and str(writer.segment) in str(halt.value)
    assert str(halt.value).endswith("run again")
    return done


def test_a_full_disk_halts_keeps_what_was_written_and_goes_on_when_there_is_room(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("mounting is not permitted here")
    try:
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(200_000))
        writer = JournalWriter(disk / "journal", "a")
        done = fill(writer)
        assert len(done) > 100
        assert [record.key for record in read_records(writer.segment)] == [key(number) for number in done]
        assert writer.segment.read_bytes().endswith(b'"}\n')
        with pytest.raises(Halt, match="No space left on device; free some and run again"):
            index_segments(disk / "journal")
        ballast.unlink()
        writer.append(key(-1), "", answer(-1))
        writer.close()
        assert index_segments(disk / "journal").dropped == 0
        reader = JournalReader(disk / "journal")
        assert len(reader) == len(done) + 1 and reader.get(key(-1)) == answer(-1)
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        with pytest.raises(Halt, match="Read-only file system; make it writable and run again"):
            JournalWriter(disk / "journal", "b")
        assert reader.get(key(0)) is not None
        reader.close()
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


LIMITED = """
import resource, signal, sys
from pathlib import Path
from cluster.errors import Halt
from cluster.journal import JournalWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
writer = JournalWriter(Path(sys.argv[1]), "a")
try:
    for number in range(100):
        writer.append(bytes([number]) * 16, "", {"text": "x" * 700})
except Halt as halt:
    print(number, halt)
"""


def test_a_write_that_the_system_cuts_short_is_taken_back(tmp_path):
    child = subprocess.run([sys.executable, "-c", LIMITED, tmp_path], env=environment(), capture_output=True, text=True)
    written, _, message = child.stdout.partition(" ")
    (path,) = segments(tmp_path)
    assert message.strip() == f"journal {path}: {os.strerror(errno.EFBIG)}; " + (
        "raise the file size limit (ulimit -f) and run again"
    )
    assert len(list(read_records(path))) == int(written) and path.read_bytes().endswith(b"\n")
