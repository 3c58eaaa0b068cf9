import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dialogues import TOOLS, conversations, row, said, talk, tooled, write_run
from openai.types.chat import ChatCompletionMessageParam
from pydantic import TypeAdapter
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.export import asked
from pipelines.export.output import Output

ROOT = Path(__file__).resolve().parent.parent.parent
FORMATS = ["messages", "sharegpt", "alpaca", "dpo", "tools"]


def rows_of(count: int, first: int = 0) -> list[dict]:
    """Conversations of two exchanges, five a document."""
    found = range(first, first + count)
    return [row(str(n), talk("s\n", f"q {n}", '"a"', "r", "b"), document_id=f"d{n // 5}", score=0.5) for n in found]


def worse(rows: list[dict]) -> list[dict]:
    return [
        row(one["conversation_id"], [*one["messages"][:-1], said("assistant", "worse")], document_id=one["document_id"])
        for one in rows
    ]


@pytest.fixture
def run(tmp_path):
    parts = [rows_of(60), rows_of(60, 60)]
    return write_run(tmp_path / "run", parts, [worse(part) for part in parts])


@pytest.fixture
def tool_run(tmp_path):
    rows = [row(str(n), tooled(f"{n}"), TOOLS) if n % 2 else one for n, one in enumerate(rows_of(20))]
    others = [row(one["conversation_id"], [*one["messages"][:-1], said("assistant", "No.")]) for one in rows]
    return write_run(tmp_path / "run", [rows], [others])


def exported(*arguments: object) -> str:
    """What it says, in one line each."""
    done = CliRunner().invoke(app, ["export", *map(str, arguments)], env={"COLUMNS": "400"})
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def refusal(*arguments: object) -> str:
    done = CliRunner().invoke(app, ["export", *map(str, arguments)])
    assert done.exit_code == 2, (done.output, done.exception)
    [line] = done.stderr.splitlines()
    return line.removeprefix("populace: ")


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def loaded(tmp_path: Path, source: str, files) -> datasets.Dataset:
    return datasets.load_dataset(source, data_files=str(files), split="train", cache_dir=str(tmp_path / "cache"))


# --- read back by consumers


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
@pytest.mark.parametrize("format_", FORMATS[:4])
def test_datasets_reads_every_format_as_it_was_written(run, tmp_path, format_, kind):
    said = exported(run, "--format", format_, "--as", kind)
    assert said.startswith("exported 120 of 120\n")
    folder = run / "exports" / format_
    found = loaded(tmp_path, "json" if kind == "jsonl" else kind, folder / f"train.{kind}")
    exported(run, "--format", format_, "--to", tmp_path / "plain.jsonl")
    expected = lines(tmp_path / "plain.jsonl")
    assert len(found) == 120
    assert [{name: value for name, value in one.items() if value is not None} for one in found] == expected


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
@pytest.mark.parametrize("format_", ["messages", "tools", "dpo"])
def test_datasets_reads_messages_with_tools_without_keys_that_they_do_not_have(tool_run, tmp_path, format_, kind):
    exported(tool_run, "--format", format_, "--as", kind)
    path = tool_run / "exports" / format_ / f"train.{kind}"
    found = loaded(tmp_path, "json" if kind == "jsonl" else kind, path)
    exported(tool_run, "--format", format_, "--to", tmp_path / "plain.jsonl")
    expected = lines(tmp_path / "plain.jsonl")
    assert [{name: value for name, value in one.items() if value is not None} for one in found] == expected


def test_the_folder_of_an_export_is_a_dataset_with_its_splits(run, tmp_path):
    said = exported(run, "--format", "messages", "--split", "0.6,0.2,0.2")
    found = datasets.load_dataset(str(run / "exports" / "messages"), cache_dir=str(tmp_path / "cache"))
    told = ", ".join(f"{split} {len(found[split])}" for split in ("train", "validation", "test"))
    assert said.splitlines()[0] == f"exported 120 of 120; {told}"


def test_messages_are_those_of_openai(tool_run):
    exported(tool_run, "--format", "messages")
    told = TypeAdapter(list[ChatCompletionMessageParam])
    for one in lines(tool_run / "exports" / "messages" / "train.jsonl"):
        read = told.validate_python(one["messages"])
        assert [message.keys() for message in read] == [message.keys() for message in one["messages"]]


# --- splits


def documents(run: Path, split: str) -> set[str]:
    return {one["conversation_id"] for one in lines(run / "exports" / "alpaca" / f"{split}.jsonl")}


def test_no_document_is_in_two_splits_and_a_grown_run_keeps_them(run):
    arguments = (run, "--format", "alpaca", "--split", "0.5,0.25,0.25")
    exported(*arguments)
    before = {split: documents(run, split) for split in ("train", "validation", "test")}
    of = [{int(one) // 5 for one in before[split]} for split in before]
    assert not of[0] & of[1] and not of[0] & of[2] and not of[1] & of[2]
    assert sum(map(len, before.values())) == 120
    write_run(run, [rows_of(60), rows_of(60, 60), rows_of(40, 100)])
    exported(*arguments)
    for split, ids in before.items():
        assert ids <= documents(run, split)


def test_what_is_about_documents_of_several_splits_is_left_out_and_counted(run):
    others = [[f"d{(n // 5 + 1) % 12}"] * (n % 2) for n in range(60)]
    pairs = [{"document_ids": [f"d{n // 5}", *others[n]]} for n in range(60)]
    write_run(run, [[one | pair for one, pair in zip(rows_of(60), pairs, strict=True)]])
    said = exported(run, "--format", "alpaca", "--split", "0.5,0.5")
    kept = [documents(run, split) for split in ("train", "validation")]
    assert f"{60 - sum(map(len, kept))} are about documents of several splits" in said
    about = [{one for number in ids for one in pairs[int(number)]["document_ids"]} for ids in kept]
    assert about[0] and about[1] and not about[0] & about[1]
    assert sum(map(len, kept)) >= 30


# --- what is written, and what is not


def test_only_parts_that_are_committed_are_read(run):
    path = run / "conversations" / "part-p9.parquet"
    pq.write_table(pa.Table.from_batches([conversations(rows_of(5, 900))]), path)
    said = exported(run, "--format", "messages")
    assert said.splitlines()[0] == "exported 120 of 120"
    assert said.splitlines()[-1] == f"{run} is not finished; export it again for the rest"


def test_what_is_left_out_is_told_in_one_line_by_reason(tool_run):
    said = exported(tool_run, "--format", "alpaca")
    assert said.splitlines()[0] == "exported 10 of 20: 10 left out (10 have tool calls, which alpaca cannot say)"
    said = exported(tool_run, "--format", "tools", "--to", tool_run / "tools.parquet")
    assert said.splitlines()[0] == "exported 10 of 20: 10 left out (10 have no tools)"
    assert pq.read_metadata(tool_run / "tools.parquet").num_rows == 10


def test_an_export_replaces_its_own_former_files_and_no_others(run, tmp_path):
    folder = tmp_path / "mine"
    exported(run, "--format", "messages", "--to", folder, "--split", "0.6,0.2,0.2")
    (folder / "notes.txt").write_text("mine")
    exported(run, "--format", "messages", "--to", folder, "--as", "parquet")
    visible = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    assert visible == {"train.parquet", "README.md", "export.json", "notes.txt"}
    (folder / "test.jsonl").write_text("mine")
    line = refusal(run, "--format", "messages", "--to", folder)
    assert line == f"{folder / 'test.jsonl'} is there already and of no export; choose another --to, or remove it"
    assert (folder / "test.jsonl").read_text() == "mine"
    assert (folder / "train.parquet").exists()


def test_a_file_of_somebody_else_is_not_replaced(run, tmp_path):
    mine = tmp_path / "mine.jsonl"
    mine.write_text("mine")
    assert "is there already and of no export" in refusal(run, "--format", "messages", "--to", mine)
    assert mine.read_text() == "mine"
    mine.unlink()
    for _ in range(2):
        exported(run, "--format", "messages", "--to", mine)
    assert len(lines(mine)) == 120


def test_the_export_of_another_run_is_not_replaced(run, tmp_path):
    exported(run, "--format", "messages", "--to", tmp_path / "out")
    other = write_run(tmp_path / "other", [rows_of(5)], run_id="other")
    line = refusal(other, "--format", "messages", "--to", tmp_path / "out")
    assert line == f"{tmp_path / 'out'} has messages of run run; choose another --to, or remove that"
    assert "has messages of run run" in refusal(run, "--format", "alpaca", "--to", tmp_path / "out")


@pytest.mark.slow  # a process
def test_a_killed_export_leaves_nothing_half_and_the_next_one_sweeps_what_it_left(run):
    exported(run, "--format", "messages")
    folder = run / "exports" / "messages"
    before = (folder / "train.jsonl").read_bytes()
    code = f"""
import os, signal
from pathlib import Path
from pipelines.export import asked
from pipelines.export.output import Output
from dialogues import conversations, row, talk
with Output(asked(Path({str(run)!r}), "messages", None, None, "1", None), "run") as output:
    output.write("train", conversations([row("a", talk("s", "q", "a"))]))
    os.kill(os.getpid(), signal.SIGKILL)
"""
    path = os.pathsep.join([str(ROOT / "tests" / "actors"), str(ROOT)])
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": path}, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert (folder / "train.jsonl").read_bytes() == before
    assert list(folder.glob(".train.jsonl.*.tmp"))
    exported(run, "--format", "messages")
    assert not list(folder.glob(".*.tmp"))


def test_two_exports_at_once_do_not_write_to_one_folder(run):
    with Output(asked(run, "messages", None, None, "1", None), "run"):
        line = refusal(run, "--format", "messages")
    assert line == f"another export writes to {run / 'exports' / 'messages'}; wait for it"
    exported(run, "--format", "messages")


# --- wrong use


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--format", "sharegtp"], "sharegtp is no format; did you mean sharegpt?"),
        (["--format", "xml"], "xml is no format; there are messages, sharegpt, alpaca, dpo, tools"),
        (["--as", "csv"], "--as must be jsonl or parquet, got csv"),
        (["--to", "a.jsonl", "--as", "parquet"], "--to a.jsonl ends in .jsonl, and --as says parquet; leave one out"),
        (["--to", "a.json"], "--to a.json is no .jsonl and no .parquet; choose one of these endings, or name a folder"),
        (["--split", "0.9,0.05"], "--split 0.9,0.05 sums to 0.95, not to 1; for example --split 0.9,0.05,0.05"),
        (["--split", ".9,.1", "--to", "a.jsonl"], "--split makes a file of each part, and --to a.jsonl is one file; "),
        (["--push", "me"], "--push wants OWNER/NAME, got me"),
        (["--push", "me/it", "--to", "a.jsonl"], "--push sends a folder with its card, and --to a.jsonl is one file; "),
    ],
)
def test_wrong_options_are_refused_in_one_line(run, arguments, said):
    told = refusal(run, *([] if "--format" in arguments else ["--format", "dpo"]), *arguments)
    assert told.removesuffix("name a folder") == said.removesuffix("name a folder")
    assert not (run / "exports").exists()


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    assert refusal(tmp_path, "--format", "messages") == f"{tmp_path} is no run: it has no manifest.json"


def test_a_run_without_conversations_is_refused(tmp_path):
    empty = write_run(tmp_path / "run", [])
    assert refusal(empty, "--format", "messages") == (
        f"{empty} has no conversations yet; `populace status {empty}` says how far it is"
    )


def test_pairs_of_a_run_without_candidates_are_refused_with_what_to_set(tmp_path):
    bare = write_run(tmp_path / "run", [rows_of(5)])
    assert refusal(bare, "--format", "dpo") == (
        f"{bare} has no refused candidates to pair with its conversations; set `conversations.candidates: 2` or "
        "`conversations.auto_improve: true` in a new run"
    )


def test_a_target_where_no_folder_can_be_is_refused(run, tmp_path):
    (tmp_path / "file").write_text("mine")
    assert "is a file; name a folder" in refusal(run, "--format", "messages", "--to", tmp_path / "file")
    assert "a file stands where a folder has to be" in refusal(run, "--format", "dpo", "--to", tmp_path / "file" / "x")


def test_a_part_that_is_broken_or_gone_is_named(run):
    path = run / "conversations" / "part-p1.parquet"
    path.write_bytes(b"PAR1 no more")
    assert f"{path} cannot be read" in refusal(run, "--format", "messages")
    path.unlink()
    assert refusal(run, "--format", "messages") == (
        f"{path} is gone: the run has gone on or been started over meanwhile; export it again"
    )
    assert not list((run / "exports").rglob("train*"))


@pytest.mark.parametrize("format_", FORMATS)
def test_a_large_part_gives_what_small_ones_give(tmp_path, format_):
    rows = [row(str(n), tooled(f"{n}"), TOOLS, 0.5) if n % 3 else one for n, one in enumerate(rows_of(1300))]
    found = [one for one in worse(rows) if int(one["conversation_id"]) % 7]
    others = [one for one in found for _ in range(int(one["conversation_id"]) % 3)]  # none, one or two of each
    others.insert(700, others[3] | {"conversation_id": "of nobody"})
    small = [rows[at : at + 100] for at in range(0, len(rows), 100)]
    ids = [{one["conversation_id"] for one in part} for part in small]
    theirs = [[one for one in others if one["conversation_id"] in some] for some in ids]
    theirs[4].append(others[700])
    write_run(tmp_path / "large", [rows], [others])
    write_run(tmp_path / "small", small, theirs)
    told = [exported(tmp_path / one, "--format", format_).splitlines()[0] for one in ("large", "small")]
    made = [tmp_path / one / "exports" / format_ / "train.jsonl" for one in ("large", "small")]
    assert told[0] == told[1] and made[0].read_text() == made[1].read_text()


def test_candidates_that_are_gone_are_not_taken_for_none(run):
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["conversations"]["parts"]["p1"]["candidates"] = 60
    (run / "manifest.json").write_text(json.dumps(manifest))
    path = run / "rejected_conversations" / "part-p1.parquet"
    path.unlink()
    assert f"{path} is gone" in refusal(run, "--format", "dpo")


def test_a_part_without_candidates_lies_beside_one_that_has_some(tmp_path):
    parts = [rows_of(20), rows_of(20, 20)]
    write_run(tmp_path / "run", parts, [worse(parts[0])])
    assert "exported 20 of 40" in exported(tmp_path / "run", "--format", "dpo")
