"""The dataset card: what the hub reads in its header, and `datasets` in what it describes."""

import re

import pytest
import yaml
from made_run import HOSTILE, Made, made_run

from actors.logic import tables
from pipelines.card import card
from pipelines.card_header import features, size_category
from pipelines.run_reading import find_run
from pipelines.settings import parse

ENDPOINT = {"base_url": "http://127.0.0.1:1/v1", "model": "m"}


@pytest.fixture
def folder(tmp_path):
    return made_run(tmp_path / "run", Made(hostile=HOSTILE))


def written(folder, **sections) -> tuple[dict, str]:
    """Header and body of the card, which is written too."""
    base = {"run_dir": str(folder), "documents": {"path": ["corpus/*.txt"]}, "llm": {"endpoints": [ENDPOINT]}}
    text = card(parse(base | sections), find_run(folder).manifest)
    (folder / "README.md").write_text(text)
    found = re.fullmatch(r"---\n(.*?)\n---\n(.*)", text, re.DOTALL)
    return yaml.safe_load(found[1]), found[2]


@pytest.mark.parametrize(
    "name", ["CONVERSATIONS", "REJECTED_CONVERSATIONS", "PERSONAS", "REJECTED", "FAILURES", "BIOS", "DOCUMENTS"]
)
def test_columns_are_written_as_datasets_writes_them(name):
    from datasets import Features

    schema = getattr(tables, name)
    assert features(schema) == Features.from_arrow_schema(schema)._to_yaml_list()


def test_datasets_reads_every_config_with_the_columns_that_the_card_names(folder):
    from datasets import Features, load_dataset

    header, _ = written(folder)
    told = {one["config_name"]: one["features"] for one in header["dataset_info"]}
    assert list(told) == [one["config_name"] for one in header["configs"]] == ["conversations", "personas", "failures"]
    rows = {"conversations": 24, "personas": 60, "failures": 5}
    for name, columns in told.items():
        read = load_dataset(str(folder), name, split="train", cache_dir=str(folder / "cache"))
        assert read.features == Features._from_yaml_list(columns) and len(read) == rows[name]
    assert HOSTILE in load_dataset(str(folder), "personas", split="train", cache_dir=str(folder / "cache"))["text"]
    assert len(load_dataset(str(folder), split="train", cache_dir=str(folder / "cache"))) == 24


def test_the_hub_knows_every_field_of_the_header(folder):
    from huggingface_hub import DatasetCard

    header, _ = written(folder)
    data = DatasetCard.load(folder / "README.md").data
    assert data.license == "other" and data.license_name and data.license_link
    assert data.size_categories == ["n<1K"] and "synthetic" in data.tags and data.task_categories == ["text-generation"]
    assert data.annotations_creators == data.language_creators == ["machine-generated"]
    assert set(header) <= set(data.to_dict())


def test_the_text_tells_sizes_sources_prompts_and_limits(folder):
    _, body = written(folder)
    assert re.search(r"\| `conversations` \| 24 \| 1 \| [\d,]+ \|", body)
    assert "| persona | `p` | 60 |" in body and "`corpus/*.txt`" in body
    assert "Facts in it were not checked" in body and "<script>" not in body


def test_tags_say_what_the_rows_are_for(folder):
    header, _ = written(folder, conversations={"strategy": "math"})
    assert "math" in header["tags"] and "conversational" not in header["tags"]
    header, _ = written(folder, conversations={"context": "rag", "candidates": 2, "judge": True})
    assert {"rag", "preference", "conversational"} <= set(header["tags"])


def test_a_run_without_rows_has_a_card_without_columns(tmp_path):
    empty = made_run(tmp_path / "run", Made(documents=0, personas=0, conversations=0, failures=0))
    header, body = written(empty)
    assert header["configs"] == header["dataset_info"] == [] and "language" not in header
    assert "| personas | 0 |" in body


def test_sizes_are_the_hubs():
    assert [size_category(rows) for rows in (0, 999, 1000, 10**8)] == ["n<1K", "n<1K", "1K<n<10K", "n>10M"]
