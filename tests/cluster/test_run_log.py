import asyncio
import json
import logging
import os
import uuid

from cluster.keys import Secret
from cluster.object_path import path_of
from cluster.run_log import LOGS, about, run_log

log = logging.getLogger("cluster.test_run_log")
KEY = "sk-Zx81vTq0LmW4rK7p"


def lines(folder) -> list[dict]:
    return [json.loads(line) for path in (folder / LOGS).glob("*.jsonl") for line in path.read_text().splitlines()]


def test_a_line_has_the_ids_of_what_it_is_about(tmp_path):
    with run_log(tmp_path, "run1", "caller"), about(document="d1", persona=None), about(call="c1"):
        log.info("rests %d s", 3)
    [line] = lines(tmp_path)
    assert line["time"].endswith("Z") and "persona" not in line
    told = ("info", "run1", "caller", "d1", "c1", "rests 3 s")
    assert tuple(line[name] for name in ("level", "run", "process", "document", "call", "message")) == told


def test_tasks_that_run_side_by_side_have_their_own_ids_and_those_of_who_started_them(tmp_path):
    async def call(number: int) -> None:
        with about(call=str(number)):
            await asyncio.sleep(0)
            log.info("answered")

    async def item(number: int) -> None:
        with about(item=f"item {number}"):
            await asyncio.gather(call(10 * number), call(10 * number + 1))

    async def both() -> None:
        await asyncio.gather(item(1), item(2))

    with run_log(tmp_path, "run1", "caller"):
        asyncio.run(both())
    found = {(one["item"], one["call"]) for one in lines(tmp_path)}
    assert found == {("item 1", "10"), ("item 1", "11"), ("item 2", "20"), ("item 2", "21")}


def test_no_part_of_a_key_that_the_process_holds_is_written(tmp_path):
    secret = Secret(KEY)
    with run_log(tmp_path, "run1", "caller"):
        log.warning("refused: %s, also as ...%s", KEY, KEY[-8:])
        try:
            raise ValueError(f"Bearer {KEY}")
        except ValueError:
            log.exception("it failed")
    text = "".join(path.read_text() for path in (tmp_path / LOGS).iterdir())
    assert secret.reveal()[-8:] not in text and KEY[:8] not in text and "refused" in text and "Traceback" in text


def test_a_dead_secret_is_forgotten_and_no_key_hides_no_word(tmp_path):
    Secret("forgotten-key-1234")
    kept = Secret("none")
    with run_log(tmp_path, "run1", "caller"):
        log.warning("none is usable")
    assert lines(tmp_path)[0]["message"] == "none is usable" and kept.reveal() == "none"


def test_nothing_is_logged_after_the_block_and_old_files_go(tmp_path):
    (tmp_path / LOGS).mkdir()
    for number in range(60):
        (tmp_path / LOGS / f"caller-{number}.jsonl").write_text("")
    with run_log(tmp_path, "run1", "driver"):
        log.info("in")
    log.warning("out")
    assert [one["message"] for one in lines(tmp_path)] == ["in"]
    assert len(list((tmp_path / LOGS).iterdir())) <= 41


def test_a_folder_that_cannot_be_written_costs_the_log_alone(tmp_path):
    (tmp_path / LOGS).write_text("a file")
    with run_log(tmp_path, "run1", "driver"):
        log.info("in")


def test_of_a_run_in_an_object_store_the_log_is_there_when_the_block_has_ended(object_store):
    place = path_of(f"s3://bucket/{uuid.uuid4().hex}")
    with run_log(place, "r1", "driver"):
        logging.getLogger("cluster.x").info("begun")
    [log] = place.glob("logs/*.jsonl")
    assert log.name == f"driver-{os.getpid()}.jsonl" and json.loads(log.read_text())["message"] == "begun"
