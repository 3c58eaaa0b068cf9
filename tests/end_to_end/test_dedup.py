"""`populace dedup` as a user types it: what it keeps, against another set, killed and resumed, and what it refuses."""

from __future__ import annotations

import json
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from sentence_transformers import SentenceTransformer

from actors.encoder import DEFAULT_MODEL
from actors.local_encoder import locate

PEOPLE = ["nurse", "farmer", "pilot", "baker", "judge", "welder", "potter", "sailor", "tailor", "teacher"]
PLACES = ["a night market", "an island", "a mine", "an old theatre", "a border town", "a desert", "the harbour"]
CARES = ["tides", "orphaned foxes", "tax law", "medieval song", "bridges", "a lost brother", "chess"]


def texts() -> list[str]:
    return [f"A {who} in {where}, given to {care}." for who in PEOPLE for where in PLACES for care in CARES[:4]]


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_first_of_each_group_stays_with_its_columns_and_the_rest_say_why(tmp_path, shared_ray, run_populace):
    rows = [{"text": text, "id": number} for number, text in enumerate(texts()[:60])]
    rows += [row | {"text": row["text"].upper(), "id": 100 + row["id"]} for row in rows]
    rows += [{"text": " ".join(reversed(row["text"].split())), "id": 200 + row["id"]} for row in rows[:4]]
    source, other = write(tmp_path / "in.jsonl", rows), tmp_path / "other.parquet"
    pq.write_table(pa.table({"text": [rows[5]["text"]]}), other)
    out = tmp_path / "out.jsonl"
    options = (
        "--address",
        shared_ray.address,
        "--keep-rejected",
        "--threshold",
        1.0,
        "--minhash",
        0.9,
        "--against",
        other,
    )
    done = run_populace("dedup", source, out, *options)
    assert done.returncode == 0, done.stderr
    assert "124 rows: 59 kept; refused: 61 exact, 4 minhash" in done.stdout
    assert read(out) == [row for row in rows[:60] if row["id"] != 5]
    neighbours = {row["id"]: row["dedup_neighbour"] for row in read(tmp_path / "out.rejected.jsonl")}
    assert neighbours[5] == neighbours[105] == "row 0 of the other set" and neighbours[107] == "row 7"
    assert sorted(one.name for one in tmp_path.iterdir() if "populace" not in one.name) == [
        "in.jsonl",
        "other.parquet",
        "out.jsonl",
        "out.rejected.jsonl",
    ]
    again = run_populace("dedup", source, out)
    assert again.returncode == 2 and "out.jsonl is there already; choose another OUTPUT" in again.stderr


@pytest.mark.slow
def test_a_job_that_is_killed_goes_on_and_keeps_what_an_undisturbed_one_keeps(
    tmp_path, shared_ray, run_populace, start_populace
):
    rows = [{"text": f"{text} Number {number % 3}."} for number in range(9) for text in texts()]
    source, address = write(tmp_path / "in.jsonl", rows), ("--address", shared_ray.address)
    assert run_populace("dedup", source, tmp_path / "whole.jsonl", *address).returncode == 0
    log = tmp_path / "out.jsonl.dedup" / "log"
    job = start_populace("dedup", source, tmp_path / "out.jsonl", *address)
    deadline = time.monotonic() + 120
    while not (log.is_dir() and any(one.stat().st_size > 50_000 for one in log.iterdir())):
        assert time.monotonic() < deadline and job.poll() is None, job.said()
        time.sleep(0.02)
    job.kill()
    job.wait()
    resumed = run_populace("dedup", source, tmp_path / "out.jsonl", *address)
    assert resumed.returncode == 0, resumed.stderr
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_what_is_no_table_of_texts_is_refused_in_one_line(tmp_path, run_populace):
    for options, line in (
        ((tmp_path / "none.jsonl", tmp_path / "o.jsonl"), "none.jsonl: no such file"),
        ((write(tmp_path / "in.jsonl", [{"text": "a"}]), tmp_path / "o.parquet"), "so OUTPUT is a folder or a .jsonl"),
    ):
        done = run_populace("dedup", *options)
        assert done.returncode == 2 and line in done.stderr and "Traceback" not in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.slow
def test_a_model_that_gives_no_vectors_is_named_with_the_text_and_the_job_can_go_on(tmp_path, shared_ray, run_populace):
    broken = SentenceTransformer(locate(DEFAULT_MODEL))
    with torch.no_grad():
        broken[0].auto_model.encoder.layer[3].output.dense.weight[0, 0] = float("nan")
    broken.save(str(tmp_path / "model"))
    source, out = write(tmp_path / "in.jsonl", [{"text": "A nurse in a mine."}]), tmp_path / "out.jsonl"
    done = run_populace("dedup", source, out, "--model", tmp_path / "model", "--address", shared_ray.address)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    said, kept = done.stderr.strip().splitlines()
    assert "model: a vector is NaN, infinite or zero, that of the text 'A nurse in a mine.'" in said
    assert kept.startswith("What is done is kept; `populace dedup")


@pytest.mark.slow
def test_a_table_without_a_text_leaves_a_table_of_its_columns(tmp_path, shared_ray, run_populace):
    source, out = tmp_path / "in.parquet", tmp_path / "out.parquet"
    pq.write_table(pa.table({"text": pa.array([None, " "], pa.string()), "id": [1, 2]}), source)
    done = run_populace("dedup", source, out, "--address", shared_ray.address)
    assert done.returncode == 0 and "2 rows: 0 kept; refused: 2 malformed" in done.stdout
    assert pq.read_table(out).schema.names == ["text", "id"]
