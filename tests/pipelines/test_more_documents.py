"""Documents that came since the personas were done, told by names and sizes of their files."""

from pathlib import Path

import pytest

from cluster.manifest import Lap, Manifest
from pipelines.more_documents import note_files, reopen
from pipelines.settings import Settings, parse
from pipelines.sources import find_files


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    for name in "abc":
        (folder / f"{name}.txt").write_text(f"text {name}")
    return folder


def of(corpus: Path, *more: str) -> Settings:
    content = {
        "run_dir": str(corpus.parent / "run"),
        "documents": {"path": [f"{corpus}/*.txt"]},
        "llm": {"endpoints": [{"base_url": "http://h/v1", "model": "m", "keys": ["env:A"]}]},
    }
    return parse(content, more)


def done(found: Settings, documents: int = 3) -> Manifest:
    manifest = Manifest(found.folder / "manifest.json", "run", {})
    note_files(found, manifest, find_files(found.documents.path))
    manifest.facts["documents_counted"] = documents
    manifest.personas.parts["a"] = {"documents": documents, "active": documents}
    manifest.personas.done = True
    return manifest


def test_the_same_files_are_not_read_again(corpus):
    manifest = done(of(corpus))
    assert reopen(of(corpus), manifest) is None and manifest.personas.done


@pytest.mark.parametrize("name", ["d.txt", "b.txt"])
def test_another_file_and_a_longer_one_are_noticed(name, corpus):
    manifest = done(of(corpus))
    manifest.laps = [Lap(10, 10, True), Lap(10, 10, over=0)]
    (corpus / name).write_text("a text that is longer")
    files = reopen(of(corpus), manifest)
    assert files and str(corpus / name) in [one.path for one in files]
    assert not manifest.personas.done and "documents_counted" not in manifest.facts
    assert [lap.over for lap in manifest.laps] == [1, 0]


def test_files_that_are_gone_leave_a_run_done(corpus):
    manifest = done(of(corpus))
    for file in corpus.iterdir():
        file.unlink()
    assert reopen(of(corpus), manifest) is None and manifest.personas.done


@pytest.mark.parametrize(
    ("before", "now", "again"), [("2", "3", True), ("2", "null", True), ("2", "2", False), ("3", "2", False)]
)
def test_a_higher_limit_is_noticed_and_a_lower_one_takes_nothing_away(before, now, again, corpus):
    manifest = done(of(corpus, f"documents.limit={before}"), int(before))
    assert bool(reopen(of(corpus, f"documents.limit={now}"), manifest)) is again


def test_where_the_limit_is_reached_more_files_do_not_count(corpus):
    manifest = done(of(corpus, "documents.limit=3"))
    (corpus / "0.txt").write_text("one before all others")
    assert reopen(of(corpus, "documents.limit=3"), manifest) is None


def test_a_run_from_before_files_were_noted_is_read_through_once(corpus):
    manifest = done(of(corpus))
    del manifest.facts["documents_found"]
    assert reopen(of(corpus), manifest)
