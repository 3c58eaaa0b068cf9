import json
import subprocess
from pathlib import Path

import pytest
from journals import held, write

from cluster.errors import Halt, PopulaceError, UserError
from cluster.journal import belongs_to_another, prepare


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refusal(folder: Path, run_id: str, kind: type[PopulaceError] = UserError) -> str:
    with pytest.raises(kind) as caught:
        prepare(folder, run_id)
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)
    return str(caught.value)


def test_a_new_journal_says_whose_it_is(tmp_path):
    folder = tmp_path / "run" / "journal"
    assert prepare(folder, "r1").records == 0
    assert json.loads((folder / "journal.json").read_text()) == {"format": 1, "run": "r1"}
    assert prepare(folder, "r1").records == 0


def test_a_journal_from_before_it_had_a_name_is_taken_over(tmp_path):
    write(tmp_path, range(10))
    assert prepare(tmp_path, "r1").records == 10
    assert held(tmp_path, range(10)) == list(range(10))
    assert "journal of run r1" in refusal(tmp_path, "r2")


def test_a_journal_of_another_run_is_refused_and_left_as_it_is(tmp_path):
    prepare(tmp_path, "r1")
    write(tmp_path, range(10))
    before = contents(tmp_path)
    line = refusal(tmp_path, "r2")
    assert line == (
        f"{tmp_path} is the journal of run r1, and this is run r2; move it away, "
        "put the manifest.json of its run back, or choose another run_dir"
    )
    assert contents(tmp_path) == before
    assert belongs_to_another(tmp_path, "r2") and not belongs_to_another(tmp_path, "r1")
    assert not belongs_to_another(tmp_path, None) and not belongs_to_another(tmp_path / "nowhere", "r2")


def test_a_journal_of_a_newer_version_is_refused_and_left_as_it_is(tmp_path):
    write(tmp_path, range(3))
    (tmp_path / "journal.json").write_text('{"format": 2, "run": "r1"}')
    before = contents(tmp_path)
    assert "is a journal of format 2, this populace reads 1; use the populace that wrote it" in refusal(tmp_path, "r1")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("content", ["", "{", "[]", "7", '{"format": 1}'])
def test_a_name_that_cannot_be_read_is_refused(tmp_path, content):
    (tmp_path / "journal.json").write_text(content)
    assert "does not say whose journal it is; remove that file" in refusal(tmp_path, "r1")


def test_a_read_only_journal_is_found_at_the_start(small_disk):
    folder = small_disk / "journal"
    prepare(folder, "r1")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    assert refusal(folder, "r1", Halt) == f"journal {folder}: Read-only file system; make it writable and run again"


def test_a_full_disk_is_found_at_the_start(small_disk):
    folder = small_disk / "journal"
    prepare(folder, "r1")
    with (small_disk / "ballast").open("wb", buffering=0) as ballast, pytest.raises(OSError, match="No space left"):
        while True:
            ballast.write(bytes(1 << 12))
    assert refusal(folder, "r1", Halt) == f"journal {folder}: No space left on device; free some and run again"


def test_a_file_is_no_journal(tmp_path):
    (tmp_path / "journal").write_text("x")
    assert "journal is no folder; move it away" in refusal(tmp_path / "journal", "r1")
