import asyncio
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from journals import answer, append, environment, get, held, key, write

from cluster.journal import JournalReader, JournalWriter, index_segments, read_records, segments
from cluster.journal.folder import Folder
from cluster.journal.record import line_of


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
    assert held(folder, [1]) == [] and len(JournalReader(folder)) == 0
    assert not folder.exists()


def test_a_reader_of_what_is_not_indexed_yet_finds_nothing(tmp_path):
    write(tmp_path, range(3))
    assert held(tmp_path, range(3)) == []


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


def test_a_record_damaged_after_it_was_indexed_is_paid_again_not_served(tmp_path, caplog):
    path = write(tmp_path, range(3))
    index_segments(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole.replace("»1«".encode(), "»7«".encode()))
    assert held(tmp_path, [1]) == []
    assert "damaged" in caplog.text
    path.unlink()
    assert held(tmp_path, [0]) == []


def journal(folder: Path, segment: str, *answers: tuple[float, str]) -> None:
    """A segment whose records, all of one key, tell these times."""
    lines = [line_of(key(1), at, "", {"text": text}) for at, text in answers]
    (folder / segment).write_bytes(b"".join(lines))


def test_of_a_key_journaled_twice_the_first_answer_is_kept_for_good(tmp_path):
    journal(tmp_path, "z-0.jsonl", (1, "first"), (2, "first again"))
    journal(tmp_path, "a-0.jsonl", (3, "second"), (4, "second again"))
    assert index_segments(tmp_path).duplicates == 3
    assert get(JournalReader(tmp_path), 1) == {"text": "first"}
    journal(tmp_path, "0-0.jsonl", (0, "from a clock that was set back"))
    assert index_segments(tmp_path).duplicates == 4
    assert get(JournalReader(tmp_path), 1) == {"text": "first"}
    assert len(JournalReader(tmp_path)) == 1


@pytest.mark.parametrize("first", [range(100), range(50, 150)])
def test_a_clock_that_jumps_loses_no_answer_and_doubles_none(tmp_path, first):
    times = random.Random(0).choices([0.0, 5.0, 2e9, 9e9], k=300)
    spans = [first, range(100, 250), range(200, 300)]
    for writer, numbers in enumerate(spans):
        lines = [line_of(key(number), times[number], "", answer(number)) for number in numbers]
        (tmp_path / f"w{writer}-0.jsonl").write_bytes(b"".join(lines))
    summary = index_segments(tmp_path)
    expected = sorted(set().union(*spans))
    assert held(tmp_path, range(300)) == expected
    assert (summary.records - summary.duplicates, summary.dropped) == (len(expected), 0)
    assert (summary.first_at, summary.last_at) == (0.0, 9e9)


def test_records_of_one_moment_are_taken_in_the_order_of_their_segments(tmp_path):
    for name in "bca":
        journal(tmp_path, f"{name}-0.jsonl", (7.0, name))
    index_segments(tmp_path)
    assert get(JournalReader(tmp_path), 1) == {"text": "a"}


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
    assert "made again" in caplog.text
    assert held(tmp_path, range(20)) == list(range(10, 19))
    second.unlink()
    assert index_segments(tmp_path).records == 0
    assert len(JournalReader(tmp_path)) == 0


@pytest.mark.parametrize("note", ["[]", '[["a-0.jsonl", 1]]', '{"0": 7}', "{"])
def test_an_index_of_another_form_is_made_anew(tmp_path, note):
    write(tmp_path, range(10))
    index_segments(tmp_path)
    path = tmp_path / "index" / "index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"note": note}))
    assert index_segments(tmp_path).records == 10
    assert held(tmp_path, range(10)) == list(range(10))


DYING = """
import os, sys
from pathlib import Path
from cluster import digest_map
from cluster.journal import index_segments
adds, add = int(sys.argv[2]), digest_map.DigestMap.add
def dying(self, *rest):
    global adds
    add(self, *rest)
    adds -= 1
    if not adds: os.kill(os.getpid(), 9)
digest_map.DigestMap.add = dying
index_segments(Path(sys.argv[1]), batch_records=30)
"""


def test_an_index_that_was_cut_off_at_any_batch_is_carried_on(tmp_path):
    for writer in range(4):
        write(tmp_path, range(100 * writer, 100 * writer + 100), f"w{writer}")
    for adds in (1, 3):
        child = subprocess.run([sys.executable, "-c", DYING, tmp_path, str(adds)], env=environment())
        assert child.returncode == -signal.SIGKILL
        assert len(JournalReader(tmp_path)) >= 30 * adds
    assert index_segments(tmp_path, batch_records=30).records == 400
    assert held(tmp_path, range(500)) == list(range(400))


def test_two_processes_that_index_at_once_make_one_whole_index(tmp_path):
    for writer in range(20):
        write(tmp_path, range(100 * writer, 100 * writer + 100), f"w{writer}")
    code = "import sys; from pathlib import Path; from cluster.journal import index_segments\n"
    code += "print(index_segments(Path(sys.argv[1]), batch_records=50).records)"
    command = [sys.executable, "-c", code, str(tmp_path)]
    children = [subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE) for _ in range(3)]
    assert [child.communicate()[0] for child in children] == [b"2000\n"] * 3
    assert held(tmp_path, range(2_000)) == list(range(2_000))


def test_more_segments_than_may_be_open_are_read_all_the_same(tmp_path):
    write(tmp_path, range(20), segment_bytes=1)

    async def read() -> list[bool]:
        folder = Folder(tmp_path, open_segments=3)
        lines = [await folder.line(path.name, 0) for path in segments(tmp_path) * 2]
        folder.close()
        return [line.endswith(b"\n") for line in lines]

    assert asyncio.run(read()) == [True] * 40


def test_what_others_paid_in_this_run_can_be_caught_up_with(tmp_path):
    write(tmp_path, range(10), "old")
    index_segments(tmp_path)
    reader = JournalReader(tmp_path)
    dead, other = JournalWriter(tmp_path, "dead-7", segment_bytes=500), JournalWriter(tmp_path, "dead")
    append(other, 99)
    append(dead, *range(5, 20))
    assert reader.catch_up() == 11
    append(dead, 20)
    assert reader.catch_up() == 1
    assert reader.catch_up() == 0
    found = [number for number in range(100) if get(reader, number) == answer(number)]
    assert found == [*range(21), 99]


def test_two_hundred_thousand_records_of_several_writers_are_looked_up_right(tmp_path):
    count = 200_000
    for writer in range(4):
        numbers = range(writer * count // 4, (writer + 1) * count // 4)
        lines = [line_of(key(number), 1.0, "", {"n": number}) for number in numbers]
        (tmp_path / f"w{writer}-0.jsonl").write_bytes(b"".join(lines))
    assert index_segments(tmp_path).records == count

    async def look_up() -> None:
        reader = JournalReader(tmp_path)
        assert len(reader) == count
        for number in random.Random(0).sample(range(count), 20_000):
            assert await reader.get(key(number)) == {"n": number}
        for number in range(count, count + 20_000):
            assert await reader.get(key(number)) is None

    asyncio.run(look_up())
