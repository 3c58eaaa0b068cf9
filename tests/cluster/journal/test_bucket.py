import asyncio
import subprocess
import sys
import uuid

import pyarrow.json
import pytest
from journals import answer, environment, held, key

from cluster.errors import Halt, UserError
from cluster.journal import JournalReader, compact, index_segments, open_writer, prepare
from cluster.journal.bucket import Bucket
from cluster.journal.compaction_rule import Rule
from cluster.journal.object_writer import ObjectWriter
from cluster.object_path import ObjectPath, path_of

ALWAYS = Rule(many=2, waste=0.01, least_waste_bytes=1)


@pytest.fixture
def place(object_store) -> ObjectPath:
    """A journal of its own; the index is kept under the test's folder."""
    return path_of(f"s3://bucket/run-{uuid.uuid4().hex}/journal")


def put(place: ObjectPath, *numbers: int, writer_id: str = "w", **options: float) -> None:
    """Appends all at once, and closes."""

    async def main() -> None:
        writer = ObjectWriter(Bucket(place), writer_id, **options)
        calls = [asyncio.ensure_future(writer.append(key(n), f"item {n}", answer(n))) for n in numbers]
        await asyncio.sleep(0)
        await writer.close()
        await asyncio.gather(*calls)

    asyncio.run(main())


def segments(place: ObjectPath) -> dict[str, int]:
    return Bucket(place).sizes()


def test_what_is_stored_is_found_after_indexing(place):
    put(place, *range(100))
    assert len(segments(place)) == 1
    assert index_segments(place).records == 100
    assert held(place, range(200)) == list(range(100))


def test_an_answer_is_given_out_when_its_segment_is_stored_within_the_time_told(place):
    async def main() -> None:
        writer = open_writer(place, "w")
        await writer.append(key(1), "item 1", answer(1))
        assert await asyncio.to_thread(held, place, [1]) == [1]
        await writer.close()

    asyncio.run(main())


def test_what_comes_together_is_one_segment_and_a_full_one_does_not_wait(place):
    async def main() -> int:
        writer = ObjectWriter(Bucket(place), "w", linger_s=3_600, segment_bytes=1_000)
        first = [asyncio.ensure_future(writer.append(key(n), "", answer(n))) for n in range(12)]
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        stored = len(segments(place))
        await writer.close()
        await asyncio.gather(*first)
        return stored

    assert asyncio.run(main()) >= 1
    assert 1 < len(segments(place)) < 12
    assert held(place, range(20)) == list(range(12))


def test_writers_of_one_name_do_not_meet(place):
    for number in range(3):
        put(place, number, writer_id="w")
    assert len(segments(place)) == 3
    assert held(place, range(5)) == [0, 1, 2]


def test_a_store_that_fails_for_a_while_delays_and_loses_nothing(place, object_store):
    object_store.fail(12, "PUT", "POST")
    put(place, *range(10))
    object_store.fail(8, "GET", "HEAD")
    assert index_segments(place).records == 10
    object_store.fail(8, "GET", "HEAD")
    assert held(place, range(20)) == list(range(10))


def test_a_store_that_fails_for_long_halts_all_who_wait_and_keeps_what_comes_after(place, object_store):
    async def main() -> None:
        writer = ObjectWriter(Bucket(place, patience_s=0.2), "w", linger_s=0.01)
        object_store.fail(10**6, "PUT")
        both = await asyncio.gather(
            *(writer.append(key(number), "", answer(number)) for number in range(2)), return_exceptions=True
        )
        assert [type(one) for one in both] == [Halt, Halt]
        line = str(both[0])
        assert line.startswith("journal s3://bucket/run-") and "run again" in line and "\n" not in line
        assert "testing" not in line
        object_store.fail(0)
        await writer.append(key(2), "", answer(2))
        await writer.close()

    asyncio.run(main())
    assert held(place, range(5)) == [2]


def test_pyarrow_reads_a_segment(place):
    put(place, *range(5))
    [name] = segments(place)
    with (place / name).open("rb") as stream:
        assert pyarrow.json.read_json(stream).num_rows == 5


def test_many_small_segments_become_one(place):
    for number in range(8):
        put(place, *range(10 * number, 10 * number + 15), writer_id=f"w{number}")
    summary = compact(place, ALWAYS)
    [name] = segments(place)
    assert name.startswith("compacted-") and (summary.records, summary.duplicates) == (85, 0)
    assert held(place, range(100)) == list(range(85))
    assert Bucket(place).read("compaction.json") is None


def test_an_index_on_another_machine_is_made_from_the_segments(place, tmp_path, monkeypatch):
    for number in range(9):
        put(place, number)
    compact(place, ALWAYS)
    put(place, 100)
    monkeypatch.setenv("POPULACE_CACHE", str(tmp_path / "another machine"))
    assert held(place, range(110)) == [*range(9), 100]


def test_what_others_stored_in_this_run_can_be_caught_up_with(place):
    put(place, *range(5), writer_id="old")
    reader = JournalReader(place)
    put(place, *range(3, 9), writer_id="other")
    assert reader.catch_up() == 4 and reader.catch_up() == 0

    async def found() -> list[int]:
        return [number for number in range(20) if await reader.get(key(number)) == answer(number)]

    assert asyncio.run(found()) == list(range(9))


def test_a_segment_is_fetched_once_for_all_who_ask_for_its_answers(place, object_store):
    put(place, *range(200))

    async def main() -> int:
        reader = JournalReader(place)
        before = object_store.requests("GET")
        answers = await asyncio.gather(*(reader.get(key(number)) for number in range(200)))
        assert answers == [answer(number) for number in range(200)]
        return object_store.requests("GET") - before

    assert asyncio.run(main()) <= 2


def test_records_larger_than_what_is_read_at_once_come_back_whole(place):
    long = [{"text": "x" * (700_000 + number)} for number in range(14)]

    async def main() -> list[object]:
        writer = ObjectWriter(Bucket(place), "w", linger_s=0.2, segment_bytes=1 << 30)
        await asyncio.gather(*(writer.append(key(number), "", said) for number, said in enumerate(long)))
        await writer.close()
        reader = JournalReader(place)
        return [await reader.get(key(number)) for number in range(14)]

    assert asyncio.run(main()) == long
    assert len(segments(place)) == 1


def test_a_journal_of_another_run_is_refused(place):
    prepare(place, "r1")
    put(place, 1)
    assert prepare(place, "r1").records == 1
    with pytest.raises(UserError, match="is the journal of run r1, and this is run r2"):
        prepare(place, "r2")


def test_a_bucket_that_is_not_there_is_found_at_the_start(object_store):
    with pytest.raises(UserError, match=r"s3://nowhere/journal cannot be listed: there is no such bucket"):
        Bucket(path_of("s3://nowhere/journal")).probe()


KILLED = """
import asyncio, sys
from cluster.journal import call_key, open_writer
from cluster.object_path import path_of
async def main():
    writer = open_writer(path_of(sys.argv[1]), "w")
    async def one(number):
        answer = {"text": f'»{number}« "quoted"\\n', "usage": {"tokens": number}}
        await writer.append(call_key({"number": number}, ""), f"item {number}", answer)
        sys.stdout.buffer.write(b"%d\\n" % number); sys.stdout.buffer.flush()
    while True:
        await asyncio.gather(*(one(number) for number in range(main.number, main.number + 20)))
        main.number += 20
main.number = 0
asyncio.run(main())
"""


def test_killing_the_writer_loses_no_answer_that_was_given_out(place):
    command = [sys.executable, "-c", KILLED, str(place)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment()) as child:
        seen = [child.stdout.readline() for _ in range(30)]
        child.kill()
        seen += child.stdout.readlines()
    given_out = {int(line) for line in seen if line.endswith(b"\n")}
    assert len(given_out) >= 30 and given_out <= set(held(place, range(200)))
