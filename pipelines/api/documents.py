"""Documents as a script hands them over, and what they keep: the personas that were found in each.

A provider names files where there are files, so that the run reads them itself; what is in memory, or in a data set,
is written beside the run once, under a name that follows from its content.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from actors.logic.document import BadDocument
from actors.logic.persona import Persona
from cluster.errors import UserError
from cluster.files import atomic_path
from cluster.manifest import load
from cluster.object_path import path_of
from pipelines.pools import read_all_pools
from pipelines.sources import count_documents, find_files, plan_splits, read_split

if TYPE_CHECKING:
    from ray.data import Dataset as RayDataset

_ROWS = 4096
_SCHEMA = pa.schema([("text", pa.string()), ("id", pa.string())])
_CHARACTERS = 2_000_000  # of a document that is shown; a run cuts by the model's context


@dataclass(frozen=True, slots=True)
class Document:
    """A text; `document_id` is a hash of it unless it was given. `personas` are those found in it, shallow ones
    first, each with `depth`, `parent_id`, `relation` and `text`; empty until a `PersonaGenerator` has been there."""

    text: str
    document_id: str | None = None
    personas: tuple[Persona, ...] = field(default=(), repr=False)


class DocumentProvider(ABC):
    """A source of documents. `target_context_usage_count`: in how many rows each is to be used, from which the depth
    of its personas follows. `run_dir` is where its personas lie, None while there are none; a provider that is made
    with the folder of an earlier run has the personas of that run."""

    def __init__(self, target_context_usage_count: int | None = None, run_dir: str | Path | None = None) -> None:
        if target_context_usage_count is not None and target_context_usage_count < 1:
            raise UserError(f"target_context_usage_count must be at least 1, got {target_context_usage_count}")
        self.target_context_usage_count = target_context_usage_count
        self.run_dir = path_of(run_dir) if run_dir is not None else None

    @abstractmethod
    def section(self, run_dir: Path) -> dict[str, Any]:
        """The section `documents` of a config; what has no file yet is written below `run_dir`."""

    @abstractmethod
    def _texts(self) -> Iterator[Document]:
        """The documents as they are, without personas."""

    def __iter__(self) -> Iterator[Document]:
        """The documents with their personas, in the order of the run that found these; before, in their own."""
        return _grown(self.run_dir) if self.run_dir and self.has_personas else self._texts()

    def __len__(self) -> int:
        return sum(1 for _ in self._texts())

    def __getitem__(self, at: int) -> Document:
        """The document at a place from 0 on."""
        try:
            return next(islice(iter(self), at, None))
        except StopIteration:
            raise IndexError(at) from None

    @property
    def has_personas(self) -> bool:
        """Whether personas were found, to the end, by the run in `run_dir`."""
        return self.run_dir is not None and _is_grown(self.run_dir)

    def personas(self) -> Iterator[Persona]:
        """Those of all documents."""
        return (persona for one in self for persona in one.personas)


class InMemoryDocumentProvider(DocumentProvider):
    """Texts, or `Document`s, of a list."""

    def __init__(
        self,
        texts: Iterable[str | Document],
        target_context_usage_count: int | None = None,
        run_dir: str | Path | None = None,
    ) -> None:
        super().__init__(target_context_usage_count, run_dir)
        self._documents = [_document(one) for one in texts]
        if not self._documents:
            raise UserError("InMemoryDocumentProvider has no document; give it a list of texts")

    def section(self, run_dir: Path) -> dict[str, Any]:
        named = any(one.document_id for one in self._documents)
        return _written(partial(_batches, self._documents), run_dir, "id" if named else None)

    def _texts(self) -> Iterator[Document]:
        return iter(self._documents)

    def __len__(self) -> int:
        return len(self._documents)


class FileDocumentProvider(DocumentProvider):
    """Files, folders, globs and URLs of .jsonl, .parquet, .csv, .txt and .md, also .gz and .zst, as `documents.path`
    takes them; `text_field` and `id_field` name the columns."""

    def __init__(
        self,
        path: str | Path | Sequence[str | Path],
        text_field: str = "text",
        id_field: str | None = None,
        target_context_usage_count: int | None = None,
        run_dir: str | Path | None = None,
    ) -> None:
        super().__init__(target_context_usage_count, run_dir)
        paths = [path] if isinstance(path, str | Path) else list(path)
        self._paths, self._text_field, self._id_field = [str(one) for one in paths], text_field, id_field

    def section(self, run_dir: Path) -> dict[str, Any]:
        return {"path": self._paths, "text_field": self._text_field, "id_field": self._id_field}

    def _texts(self) -> Iterator[Document]:
        for split in plan_splits(find_files(self._paths)):
            for one in read_split(split, self._text_field, self._id_field, _CHARACTERS):
                if not isinstance(one, BadDocument):
                    yield Document(one.text, one.document_id)

    def __len__(self) -> int:
        return count_documents(plan_splits(find_files(self._paths)))


class FileSystemDocumentProvider(FileDocumentProvider):
    """The files of a glob such as `notes/**/*.md`."""


class DirectoryDocumentProvider(FileDocumentProvider):
    """The files of a folder, and of those in it."""


class JSONLDocumentProvider(FileDocumentProvider):
    """Files of JSON Lines, .jsonl, also .gz and .zst."""


class ParquetDocumentProvider(FileDocumentProvider):
    """Files of Parquet, a row a document."""


class DatasetDocumentProvider(DocumentProvider):
    """A `datasets.Dataset`, or a `ray.data.Dataset`, with a column of texts and, where it is named, one of ids."""

    def __init__(
        self,
        dataset: RayDataset | Any,
        text_field: str = "text",
        id_field: str | None = None,
        target_context_usage_count: int | None = None,
        run_dir: str | Path | None = None,
    ) -> None:
        super().__init__(target_context_usage_count, run_dir)
        self._dataset, self._text_field, self._id_field = dataset, text_field, id_field

    def section(self, run_dir: Path) -> dict[str, Any]:
        return _written(self._read, run_dir, "id" if self._id_field else None)

    def _texts(self) -> Iterator[Document]:
        for batch in self._read():
            for row in batch.to_pylist():
                yield Document(row["text"] or "", row["id"])

    def _read(self) -> Iterator[pa.Table]:
        for batch in _arrow_batches(self._dataset):
            for name in filter(None, [self._text_field, self._id_field]):
                if name not in batch.column_names:
                    raise UserError(f"the dataset has no column {name!r}; it has {', '.join(batch.column_names)}")
            texts = batch.column(self._text_field).cast(pa.string())
            none = pa.nulls(len(batch), pa.string())
            ids = batch.column(self._id_field).cast(pa.string()) if self._id_field else none
            yield pa.table([texts, ids], schema=_SCHEMA)


Documents = DocumentProvider | Iterable[str | Document]
"""What stands for documents wherever some are asked for."""


def provider_of(documents: Documents) -> DocumentProvider:
    """The provider, one of a list of texts, or one of a data set. `UserError` for anything else."""
    if isinstance(documents, DocumentProvider):
        return documents
    if isinstance(documents, str | Path):
        raise UserError("documents is one text; give a list of texts, or a provider such as DirectoryDocumentProvider")
    if hasattr(documents, "iter_batches") or hasattr(documents, "with_format"):
        return DatasetDocumentProvider(documents)
    return InMemoryDocumentProvider(documents)


def _document(one: str | Document) -> Document:
    if isinstance(one, Document):
        return one
    if isinstance(one, str):
        return Document(one)
    raise UserError(f"a document must be a text or a Document, got {type(one).__name__}")


def _arrow_batches(dataset: Any) -> Iterator[pa.Table]:
    if hasattr(dataset, "iter_batches"):
        yield from dataset.iter_batches(batch_size=_ROWS, batch_format="pyarrow")
        return
    if not hasattr(dataset, "with_format"):
        raise UserError(f"documents is a {type(dataset).__name__}; give a datasets.Dataset or a ray.data.Dataset")
    yield from dataset.with_format("arrow").iter(batch_size=_ROWS)


def _batches(documents: Sequence[Document]) -> Iterator[pa.Table]:
    for start in range(0, len(documents), _ROWS):
        some = documents[start : start + _ROWS]
        yield pa.Table.from_pylist([{"text": one.text, "id": one.document_id} for one in some], _SCHEMA)


def _written(batches: Callable[[], Iterator[pa.Table]], run_dir: Path, id_field: str | None) -> dict[str, Any]:
    """The section of documents that are in a file below `run_dir`, which bears a digest of what is in it."""
    digest = hashlib.sha256()
    for batch in batches():
        for text, name in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            digest.update(f"{text}\x1f{name}\x1e".encode("utf-8", "surrogatepass"))
    path = run_dir.absolute() / "given" / f"documents-{digest.hexdigest()[:12]}.parquet"
    if not path.exists():
        with atomic_path(path) as free, pq.ParquetWriter(free, _SCHEMA, compression="zstd") as writer:
            for batch in batches():
                writer.write_table(batch)
    return {"path": [str(path)], "text_field": "text", "id_field": id_field}


def _is_grown(run_dir: Path) -> bool:
    manifest = load(run_dir / "manifest.json")
    return manifest is not None and manifest.personas.done and manifest.personas.total("personas") > 0


def _grown(run_dir: Path) -> Iterator[Document]:
    """The documents of a run with their personas, a part at a time."""
    manifest = load(run_dir / "manifest.json")
    for name in sorted(manifest.personas.parts) if manifest else ():
        for pool in read_all_pools(run_dir, name):
            yield Document(pool.text, pool.document_id, tuple(sorted(pool.personas, key=lambda one: one.depth)))
