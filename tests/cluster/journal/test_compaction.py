import json
import os
import random
import signal
import sys
from pathlib import Path

import pyarrow.json
import pytest
from journals import append, close, get, held, key, write

from cluster.journal import JournalReader, JournalWriter, compact, index_segments, read_records, segments
from cluster.journal.compaction_rule import Rule
from cluster.journal.record import line_of

ALWAYS = Rule(many=2, waste=0.01, least_waste_bytes=1)


def sizes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in segments(folder)}


def many(folder: Path, writers: int = 10, each: int = 50) -> None:
    """Segments of which each has half its keys from the one before."""
    for writer in range(writers):
        write(folder, range(writer * each // 2, writer * each // 2 + each), f"w{writer:02}")


def test_many_segments_become_one_without_duplicates(tmp_path):
    many(tmp_path)
    summary = compact(tmp_path, ALWAYS)
    [path] = segments(tmp_path)
    assert path.name.startswith("compacted-")
    assert (summary.segments, summary.records, summary.duplicates, summary.dropped) == (1, 275, 0, 0)
    assert held(tmp_path, range(300)) == list(range(275))
    assert sorted(record.key for record in read_records(path)) == sorted(key(number) for number in range(275))
    assert pyarrow.json.read_json(path).num_rows == 275
    assert not list(tmp_path.glob("compaction.json")) and not list(tmp_path.glob(".*.tmp"))


def test_an_index_made_anew_of_what_was_compacted_says_the_same(tmp_path):
    many(tmp_path)
    compact(tmp_path, ALWAYS)
    for path in (tmp_path / "index").iterdir():
        path.unlink()
    assert index_segments(tmp_path).records == 275
    assert held(tmp_path, range(300)) == list(range(275))


def test_of_a_key_paid_twice_the_answer_that_was_given_out_is_the_one_that_stays(tmp_path):
    def one(name: str, at: float, text: str) -> None:
        (tmp_path / f"{name}.jsonl").write_bytes(line_of(key(1), at, "", {"text": text}))

    one("z-0", 9, "given out")
    index_segments(tmp_path)
    one("a-0", 1, "by a clock that was set back")
    compact(tmp_path, ALWAYS)
    one("b-0", 0, "by a clock that was set back further")
    for path in (tmp_path / "index").iterdir():
        path.unlink()
    index_segments(tmp_path)
    assert get(JournalReader(tmp_path), 1) == {"text": "given out"}


def test_what_does_not_pay_is_not_done(tmp_path):
    many(tmp_path)
    before = sizes(tmp_path)
    assert compact(tmp_path).duplicates == 225
    assert sizes(tmp_path) == before


def test_what_was_compacted_grows_and_is_compacted_again(tmp_path):
    for session in range(6):
        many(tmp_path, writers=2 + session)
        compact(tmp_path, ALWAYS)
        assert len(segments(tmp_path)) == 1
        assert held(tmp_path, range(300)) == list(range(25 * (3 + session)))


def test_segments_that_need_no_compaction_keep_their_place_in_the_index(tmp_path):
    write(tmp_path, range(500), "large")
    many(tmp_path, 4)
    write(tmp_path, range(1_000, 1_010), "small")
    summary = compact(tmp_path, Rule(small_bytes=20_000, many=2))
    assert "large-0.jsonl" in sizes(tmp_path) and len(sizes(tmp_path)) == 2
    assert summary.duplicates == 0
    assert held(tmp_path, range(1_020)) == [*range(500), *range(1_000, 1_010)]
    write(tmp_path, range(2_000, 2_010), "next")
    index_segments(tmp_path)
    assert held(tmp_path, range(2_020)) == [*range(500), *range(1_000, 1_010), *range(2_000, 2_010)]


def test_groups_become_a_segment_each(tmp_path):
    many(tmp_path, 20)
    compact(tmp_path, Rule(many=2, output_bytes=10_000))
    assert 2 < len(segments(tmp_path)) < 20
    assert held(tmp_path, range(600)) == list(range(525))


def test_a_segment_that_a_living_process_may_append_to_is_left_alone(tmp_path):
    many(tmp_path, 3)
    living = JournalWriter(tmp_path, "living")
    append(living, 1_000)
    compact(tmp_path, ALWAYS)
    assert {path.name for path in segments(tmp_path)} >= {"living-0.jsonl"}
    append(living, 1_001)
    close(living)
    compact(tmp_path, ALWAYS)
    assert len(segments(tmp_path)) == 1
    assert held(tmp_path, range(1_010)) == [*range(100), 1_000, 1_001]


def test_lines_that_are_not_sound_go_and_files_that_are_no_segments_stay(tmp_path):
    many(tmp_path, 2)
    torn = write(tmp_path, range(900, 903), "torn")
    torn.write_bytes(torn.read_bytes()[:-5])
    (tmp_path / "mine.jsonl").write_text('{"mine": 1}\n')
    compact(tmp_path, ALWAYS)
    assert len(segments(tmp_path)) == 2 and (tmp_path / "mine.jsonl").read_text() == '{"mine": 1}\n'
    assert held(tmp_path, range(910)) == [*range(75), 900, 901]


def test_a_segment_of_nothing_but_duplicates_goes_without_a_trace(tmp_path):
    write(tmp_path, range(100), "a")
    index_segments(tmp_path)
    write(tmp_path, range(100), "b")
    compact(tmp_path, Rule(small_bytes=1, many=10, waste=0.4, least_waste_bytes=1))
    assert list(sizes(tmp_path)) == ["a-0.jsonl"]
    assert held(tmp_path, range(100)) == list(range(100))


def test_a_segment_damaged_since_it_was_indexed_costs_its_record_alone(tmp_path, caplog):
    many(tmp_path)
    index_segments(tmp_path)
    path = tmp_path / "w00-0.jsonl"
    path.write_bytes(path.read_bytes().replace("»1«".encode(), "»7«".encode()))
    compact(tmp_path, ALWAYS)
    assert "is damaged" in caplog.text
    compact(tmp_path, ALWAYS)
    assert len(segments(tmp_path)) == 1
    assert held(tmp_path, range(300)) == [0, *range(2, 275)]


def test_where_the_disk_has_no_room_the_journal_stays_as_it_is(small_disk, caplog):
    folder = small_disk / "journal"
    for writer in range(4):
        write(folder, range(1_000 * writer, 1_000 * writer + 700), f"w{writer}")
    index_segments(folder)
    before = sizes(folder)
    assert sum(before.values()) > 500_000
    assert compact(folder, ALWAYS).records == 2_800
    assert "No space left on device" in caplog.text
    assert sizes(folder) == before
    assert {path.name for path in folder.iterdir()} == {*before, "index", ".lock"}
    assert len(held(folder, range(4_000))) == 2_800


def killed(folder: Path, step: int) -> bool:
    """Whether a process that compacts the journal was killed before its `step`th change of a name, or was done."""
    child = os.fork()
    if not child:
        left = step

        def kill(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal left
            if event in ("os.rename", "os.remove") and str(arguments[0]).startswith(str(folder)):
                left -= 1
                if not left:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(kill)
        compact(folder, Rule(many=2, waste=0.01, least_waste_bytes=1, output_bytes=10_000))
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_a_compaction_that_is_killed_at_any_step_loses_nothing_and_leaves_nothing(tmp_path):
    steps, going = 0, True
    while going:
        steps += 1
        folder = tmp_path / str(steps)
        many(folder, 4)
        index_segments(folder)
        going = killed(folder, steps)
        killed(folder, random.Random(steps).randrange(1, 20))
        index_segments(folder)
        assert held(folder, range(150)) == list(range(125)), steps
        summary = compact(folder, ALWAYS)
        assert (summary.records, summary.duplicates) == (125, 0), steps
        assert held(folder, range(150)) == list(range(125)), steps
        names = {path.name for path in folder.iterdir() if path.suffix != ".jsonl"}
        assert names == {"index", ".lock"}, steps
    assert steps > 15


def test_outputs_that_are_not_all_there_do_not_take_the_place_of_their_sources(tmp_path):
    many(tmp_path, 3)
    before = sizes(tmp_path)
    said = {"outputs": {"compacted-0-0.jsonl": 9}, "sources": list(before)}
    (tmp_path / "compaction.json").write_text(json.dumps(said))
    compact(tmp_path)
    assert sizes(tmp_path) == before and not (tmp_path / "compaction.json").exists()


def test_a_note_of_a_compaction_that_cannot_be_read_is_removed(tmp_path):
    many(tmp_path, 3)
    before = sizes(tmp_path)
    (tmp_path / "compaction.json").write_text("x")
    compact(tmp_path)
    assert sizes(tmp_path) == before and not (tmp_path / "compaction.json").exists()


@pytest.mark.parametrize("place", ["journal", "deep/journal"])
def test_a_missing_journal_is_not_made(tmp_path, place):
    assert compact(tmp_path / place).records == 0
    assert list(tmp_path.iterdir()) == []
