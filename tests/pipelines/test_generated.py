import csv
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from actors.logic.document import BadDocument
from cluster.errors import FailureKind, UserError
from pipelines.sources import check_generated, find_files, marked, plan_splits, read_split
from pipelines.sources.generated import first_generated

SYNTHETIC = "---\nlicense: mit\ntags:\n- text\n- Synthetic\n---\n# Data\n"


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(path, *records):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def files(*patterns):
    return marked(find_files([str(one) for one in patterns]))


def read(*patterns, refuse=False):
    splits = plan_splits(files(*patterns))
    return [found for split in splits for found in read_split(split, "text", None, 1000, refuse_generated=refuse)]


@pytest.mark.parametrize("place", ["", "data", "data/en", "data/en/train"])
def test_a_card_that_is_tagged_synthetic_marks_the_files_beside_and_below_it(tmp_path, place):
    write(tmp_path / "set" / place / "a.jsonl", {"text": "One."})
    (tmp_path / "set" / "README.md").write_text(SYNTHETIC)
    [file] = files(tmp_path / "set" / place / "*.jsonl")
    assert file.generated
    assert first_generated([file])[1] == "a README.md beside or above it is tagged synthetic"
    assert [one.generated for one in read(tmp_path / "set" / place / "*.jsonl")] == [True]


def test_a_card_further_up_says_nothing_of_them(tmp_path):
    write(tmp_path / "set/a/b/c/d/a.jsonl", {"text": "One."})
    (tmp_path / "set" / "README.md").write_text(SYNTHETIC)
    assert first_generated(files("set/a/b/c/d/*.jsonl")) is None


@pytest.mark.parametrize(
    "card",
    [
        "# A read-me about synthetic data\n\ntags: [synthetic]\n",
        "---\ntags: [text]\n---\nsynthetic",
        "---\ntags: synthetically\n---\n",
        "---\n- synthetic\n---\n",
        "---\n: [\n---\n",
        "",
    ],
)
def test_other_cards_say_nothing(tmp_path, card):
    write(tmp_path / "a.jsonl", {"text": "One."})
    (tmp_path / "README.md").write_text(card)
    assert first_generated(files("a.jsonl")) is None


@pytest.mark.parametrize(
    "header", ["tags: synthetic", "language_creators:\n- machine-generated", "tags: [synthetic-data]"]
)
def test_a_card_may_say_so_in_other_ways(tmp_path, header):
    write(tmp_path / "a.jsonl", {"text": "One."})
    (tmp_path / "README.md").write_text(f"---\n{header}\n---\n")
    assert first_generated(files("a.jsonl"))


OWN = {
    "personas": {"persona_id": "1", "document_id": "d", "parent_id": None, "relation": "read", "text": "A nurse."},
    "conversations": {"persona_id": "1", "persona_generation_depth": 0, "text": "A nurse asks."},
    "exports": {"messages": [], "persona": "A nurse.", "text": "A nurse asks."},
    "bios": {"bio_id": "1", "traits_said": 1.0, "text": "She is a nurse."},
}


@pytest.mark.parametrize("kind", OWN)
def test_our_own_columns_are_recognised_in_every_format(tmp_path, kind):
    record = OWN[kind]
    write(tmp_path / "a.jsonl", record)
    pq.write_table(pa.Table.from_pylist([record]), tmp_path / "b.parquet")
    with (tmp_path / "c.csv").open("w", newline="") as file:
        csv.writer(file).writerows([list(record), [str(one) for one in record.values()]])
    for name in ("a.jsonl", "b.parquet", "c.csv"):
        assert first_generated(files(name))[1] == "it has the columns of what populace makes"
        assert [(one.text, one.generated) for one in read(name)] == [(record["text"], True)]


def test_of_a_mixed_file_only_the_generated_records_are_marked_and_refused(tmp_path):
    write(tmp_path / "a.jsonl", {"text": "Real."}, OWN["personas"], {"text": "Real, too.", "persona_id": "x"})
    assert [one.generated for one in read("a.jsonl")] == [False, True, False]
    real, refused, other = read("a.jsonl", refuse=True)
    assert (real.text, other.text) == ("Real.", "Real, too.")
    assert isinstance(refused, BadDocument) and refused.kind is FailureKind.GENERATED
    assert refused.source == "a.jsonl:2"


def test_all_documents_of_a_marked_file_are_refused(tmp_path):
    (tmp_path / "README.md").write_text(SYNTHETIC)
    (tmp_path / "a.txt").write_text("A story.")
    assert [one.kind for one in read("a.txt", refuse=True)] == [FailureKind.GENERATED]


def test_generated_files_are_warned_of_refused_or_allowed(tmp_path):
    write(tmp_path / "set/a.jsonl", {"text": "One."})
    write(tmp_path / "set/b.jsonl", {"text": "Two."})
    (tmp_path / "set" / "README.md").write_text(SYNTHETIC)
    found = files("set/*.jsonl")
    assert check_generated(found, "allow") == ""
    assert check_generated(found, "warn").startswith("set/a.jsonl and 1 more: a model wrote this (a README.md")
    with pytest.raises(UserError, match=r"documents\.generated is refuse"):
        check_generated(found, "refuse")


def test_of_real_files_there_is_nothing_to_say(tmp_path):
    write(tmp_path / "a.jsonl", {"text": "One."})
    assert [check_generated(files("a.jsonl"), setting) for setting in ("warn", "refuse", "allow")] == ["", "", ""]
