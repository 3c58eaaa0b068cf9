import asyncio
import errno
import os
import random
import signal
import subprocess
import sys

import pytest
from journals import answer, append, close, environment, get, held, key, write

from cluster.errors import Halt
from cluster.journal import JournalReader, JournalWriter, index_segments, read_records, segments


def test_a_full_segment_is_followed_by_another(tmp_path):
    write(tmp_path, range(50), segment_bytes=1_000)
    paths = segments(tmp_path)
    assert len(paths) > 5 and all(path.stat().st_size <= 1_000 for path in paths)
    assert index_segments(tmp_path).records == 50
    assert held(tmp_path, range(50)) == list(range(50))


def test_no_segment_is_written_by_two_writers_even_of_the_same_name(tmp_path):
    writers = [JournalWriter(tmp_path, "a") for _ in range(3)]
    for number, writer in enumerate(writers):
        append(writer, number)
        close(writer)
    assert [path.name for path in segments(tmp_path)] == ["a-0.jsonl", "a-1.jsonl", "a-2.jsonl"]


def test_a_writer_that_wrote_nothing_leaves_nothing(tmp_path):
    writer = JournalWriter(tmp_path, "a")
    close(writer)
    close(writer)
    assert segments(tmp_path) == []


@pytest.mark.parametrize("writer_id", ["", "a/b", "..", "a b"])
def test_a_writer_that_cannot_name_a_file_is_refused(tmp_path, writer_id):
    with pytest.raises(ValueError, match="cannot be"):
        JournalWriter(tmp_path, writer_id)


@pytest.mark.parametrize(("every", "unsynced"), [(0.0, False), (3_600.0, True), (None, True)])
def test_a_writer_syncs_when_it_is_due(tmp_path, every, unsynced):
    writer = JournalWriter(tmp_path, "a", fsync_every_s=every)
    append(writer, 1)
    assert (writer.unsynced > 0) is unsynced


WRITER = """
import asyncio, sys
from pathlib import Path
from cluster.journal import JournalWriter, call_key
async def main(number):
    writer = JournalWriter(Path(sys.argv[1]), "w", segment_bytes=200_000)
    while True:
        answer = {"text": "x" * (number * 37 % 3_000), "n": number}
        await writer.append(call_key({"number": number}, ""), "", answer)
        sys.stdout.buffer.write(b"%d\\n" % number); sys.stdout.buffer.flush()
        number += 1
asyncio.run(main(int(sys.argv[2])))
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
    assert [number for number in acknowledged if (get(reader, number) or {}).get("n") != number] == []


def fill(writer: JournalWriter) -> list[int]:
    """Appends until the disk refuses; returns what was acknowledged."""
    done: list[int] = []

    async def each() -> None:
        for number in range(100_000):
            await writer.append(key(number), "", answer(number) | {"padding": "x" * 5_000})
            done.append(number)

    with pytest.raises(Halt) as halt:
        asyncio.run(each())
    assert "\n" not in str(halt.value) and str(writer.segment) in str(halt.value)
    assert str(halt.value).endswith("run again")
    return done


def test_a_full_disk_halts_keeps_what_was_written_and_goes_on_when_there_is_room(small_disk):
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(200_000))
    writer = JournalWriter(small_disk / "journal", "a")
    done = fill(writer)
    assert len(done) > 100
    assert [record.key for record in read_records(writer.segment)] == [key(number) for number in done]
    assert writer.segment.read_bytes().endswith(b'"}\n')
    with pytest.raises(Halt, match="No space left on device; free some and run again"):
        index_segments(small_disk / "journal")
    ballast.unlink()
    append(writer, -1)
    close(writer)
    assert index_segments(small_disk / "journal").dropped == 0
    reader = JournalReader(small_disk / "journal")
    assert len(reader) == len(done) + 1 and get(reader, -1) == answer(-1)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(Halt, match="Read-only file system; make it writable and run again"):
        JournalWriter(small_disk / "journal", "b")
    assert get(reader, 0) is not None
    reader.close()


def test_room_is_held_for_every_answer_on_its_way(small_disk):
    writer = JournalWriter(small_disk / "journal", "a")
    with writer.room_for(600_000):
        with pytest.raises(Halt, match=r"No space left .* for the answers on their way"), writer.room_for(600_000):
            raise AssertionError("there is no room for both")
        with writer.room_for(1_000):
            pass
    with writer.room_for(600_000):
        pass
    close(writer)


LIMITED = """
import asyncio, resource, signal, sys
from pathlib import Path
from cluster.errors import Halt
from cluster.journal import JournalWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
writer = JournalWriter(Path(sys.argv[1]), "a")
async def main():
    try:
        for number in range(100):
            await writer.append(bytes([number]) * 16, "", {"text": "x" * 700})
    except Halt as halt:
        print(number, halt)
asyncio.run(main())
"""


def test_a_write_that_the_system_cuts_short_is_taken_back(tmp_path):
    child = subprocess.run([sys.executable, "-c", LIMITED, tmp_path], env=environment(), capture_output=True, text=True)
    written, _, message = child.stdout.partition(" ")
    (path,) = segments(tmp_path)
    assert message.strip() == f"journal {path}: {os.strerror(errno.EFBIG)}; " + (
        "raise the file size limit (ulimit -f) and run again"
    )
    assert len(list(read_records(path))) == int(written) and path.read_bytes().endswith(b"\n")
