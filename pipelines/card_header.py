"""The YAML header of a dataset card, as the Hugging Face hub reads it: what the data is, and the columns of each part
of it.

Numbers of rows are told in the text, not here: `datasets` refuses files that have other numbers than their card, and
a run that goes on adds files.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from actors.logic import tables
from actors.logic.filters.languages import language_of
from cluster.local_copies import readable
from pipelines.closing import said
from pipelines.settings import Settings

_SIZES = [(1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (10**7, "1M<n<10M")]
_SCHEMAS = {
    "conversations": tables.CONVERSATIONS,
    "rejected_conversations": tables.REJECTED_CONVERSATIONS,
    "personas": tables.PERSONAS,
    "bios": tables.BIOS,
    "rejected": tables.REJECTED,
    "failures": tables.FAILURES,
}
_TASK_TAGS = {"tools": "tool-use", "tool": "tool-use", "math": "math", "reasoning": "reasoning", "instruction": "sft"}
_READ, _SHARE = 200, 0.05  # rows whose language is looked at, and the share from which one is told


def header(settings: Settings, counts: dict[str, Any], name: str) -> dict[str, Any]:
    """Everything that the hub has a field for. The licence is `other`: who knows the sources says more."""
    folder = settings.folder
    there = [one for one in _SCHEMAS if any((folder / one).glob("part-*.parquet"))]
    main = "conversations" if "conversations" in there or "bios" not in there else "bios"
    languages = _languages(folder / main)
    return {
        "pretty_name": name,
        **({"language": languages} if languages else {}),
        "license": "other",
        "license_name": "that-of-its-sources",
        "license_link": "README.md",
        "annotations_creators": ["machine-generated"],
        "language_creators": ["machine-generated"],
        "source_datasets": ["original"],
        "task_categories": ["text-generation"],
        "tags": _tags(settings),
        "size_categories": [size_category(counts.get(main) or 0)],
        "configs": [
            {"config_name": one, "data_files": f"{one}/part-*.parquet"} | ({"default": True} if one == main else {})
            for one in there
        ],
        "dataset_info": [{"config_name": one, "features": features(_SCHEMAS[one])} for one in there],
    }


def size_category(rows: int) -> str:
    """As the hub has them: `1K<n<10K`."""
    return next((label for bound, label in _SIZES if rows < bound), "n>10M")


def features(schema: pa.Schema) -> list[dict[str, Any]]:
    """The columns as `datasets` writes them into a card."""
    return [{"name": field.name} | _feature(field.type) for field in schema]


def _feature(kind: pa.DataType) -> dict[str, Any]:
    if pa.types.is_struct(kind):
        return {"struct": [{"name": field.name} | _feature(field.type) for field in kind]}
    if pa.types.is_list(kind):
        inner = _feature(kind.value_type)
        return {"list": inner.get("dtype") or inner.get("struct") or inner}
    return {"dtype": _NAMES.get(str(kind), str(kind))}


_NAMES = {"double": "float64", "float": "float32"}


def _tags(settings: Settings) -> list[str]:
    tags = ["synthetic", "persona", "populace"]
    if settings.bios and not settings.documents.path:
        return [*tags, "simulation"]
    chosen = settings.conversations
    tags.append(_TASK_TAGS.get(chosen.strategy, "conversational"))
    return [*tags, *(["rag"] if chosen.context == "rag" else []), *(["preference"] if chosen.candidates > 1 else [])]


def _languages(folder: Path) -> list[str]:
    """ISO codes of those that a twentieth of the first rows are in, the most frequent first."""
    found: Counter[str] = Counter()
    for path in sorted(folder.glob("part-*.parquet"))[:1]:
        with pq.ParquetFile(readable(path)) as file:
            column = "messages" if "messages" in file.schema_arrow.names else "text"
            for batch in file.iter_batches(batch_size=_READ, columns=[column]):
                found.update(filter(None, map(_language, batch.column(0).to_pylist())))
                break
    return [code for code, rows in found.most_common() if rows >= _SHARE * found.total()]


def _language(value: Any) -> str:
    text = value if isinstance(value, str) else " ".join(said(one) for one in value or () if one["role"] != "system")
    return language_of(text)


def sizes(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Of each part of the data its rows, files and bytes."""
    found = {}
    for name in _SCHEMAS:
        paths = list((folder / name).glob("part-*.parquet"))
        if paths:
            rows = sum(pq.read_metadata(readable(path)).num_rows for path in paths)
            found[name] = rows, len(paths), sum(path.stat().st_size for path in paths)
    return found
