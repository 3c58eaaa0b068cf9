"""Documents as scripts hand them over, and the personas that come back with them."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset

from actors.logic import tables
from actors.logic.persona import Persona
from cluster.errors import UserError
from cluster.manifest import Manifest, Stage
from cluster.parts import write_part
from pipelines import (
    DatasetDocumentProvider,
    DirectoryDocumentProvider,
    Document,
    FileSystemDocumentProvider,
    InMemoryDocumentProvider,
    JSONLDocumentProvider,
    ParquetDocumentProvider,
)
from pipelines.api.documents import provider_of

TEXTS = ["Bees see no red.", "Tides follow the moon."]


def of_list(folder):
    return InMemoryDocumentProvider(TEXTS)


def of_documents(folder):
    return InMemoryDocumentProvider([Document(text, f"d{number}") for number, text in enumerate(TEXTS)])


def of_jsonl(folder):
    (folder / "a.jsonl").write_text("".join(json.dumps({"body": text}) + "\n" for text in TEXTS))
    return JSONLDocumentProvider(folder / "a.jsonl", text_field="body")


def of_parquet(folder):
    pq.write_table(pa.table({"text": TEXTS}), folder / "a.parquet")
    return ParquetDocumentProvider(folder / "a.parquet")


def of_folder(folder):
    for number, text in enumerate(TEXTS):
        (folder / f"{number}.txt").write_text(text)
    return DirectoryDocumentProvider(folder)


def of_glob(folder):
    of_folder(folder)
    return FileSystemDocumentProvider(str(folder / "*.txt"))


def of_dataset(folder):
    return DatasetDocumentProvider(Dataset.from_dict({"story": TEXTS, "name": ["a", "b"]}), "story", "name")


KINDS = [of_list, of_documents, of_jsonl, of_parquet, of_folder, of_glob, of_dataset]


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_a_provider_has_its_documents_and_files_that_a_run_reads(make, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    provider = make(source)
    assert [one.text for one in provider] == TEXTS and len(provider) == 2
    assert provider[1].text == TEXTS[1] and not provider[0].personas and not provider.has_personas
    section = provider.section(tmp_path / "run")
    again = JSONLDocumentProvider(section["path"], section["text_field"], section["id_field"])
    assert [one.text for one in again] == TEXTS
    assert provider.section(tmp_path / "run") == section, "the same documents have the same file"
    with pytest.raises(IndexError):
        provider[2]


def test_ids_that_are_given_stay():
    [first, _] = of_documents(None)
    assert first.document_id == "d0"


def test_other_documents_go_into_another_file(tmp_path):
    one, other = (InMemoryDocumentProvider([text]).section(tmp_path) for text in TEXTS)
    assert one["path"] != other["path"]


def test_personas_come_back_when_a_provider_is_read_again(tmp_path):
    persona = Persona("p1", "d0", None, 0, "A beekeeper.", "read", "m", "sha", 0.0)
    deeper = Persona("p2", "d0", "p1", 1, "Her cousin.", "family", "m", "sha", 0.0)
    write_part(tmp_path / "personas", "a", tables.personas([deeper, persona]))
    rows = [
        {
            "document_id": f"d{number}",
            "text": text,
            "source": "",
            "characters": 1,
            "truncated": False,
            "generated": False,
        }
        for number, text in enumerate(TEXTS)
    ]
    write_part(tmp_path / "documents", "a", pa.Table.from_pylist(rows, tables.DOCUMENTS))
    manifest = Manifest(tmp_path / "manifest.json", "r", {})
    manifest.personas = Stage(done=True, parts={"a": {"personas": 2}})
    manifest.save()
    provider = InMemoryDocumentProvider(TEXTS, run_dir=tmp_path)
    for _ in range(2):
        first, second = provider
        assert first.personas == (persona, deeper) and second.personas == ()
    assert [one.parent_id for one in provider.personas()] == [None, "p1"]


@pytest.mark.parametrize(
    ("documents", "told"),
    [
        ([], "has no document"),
        ("one text", "give a list of texts"),
        ([7], "must be a text or a Document, got int"),
        (Dataset.from_dict({"story": TEXTS}), "the dataset has no column 'text'; it has story"),
    ],
)
def test_documents_that_are_none_are_refused_in_a_line(documents, told, tmp_path):
    with pytest.raises(UserError, match=told):
        provider_of(documents).section(tmp_path)
