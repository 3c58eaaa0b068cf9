"""What is in a split: documents in their order, and a BadDocument in the place of what cannot be read.

Lines count from 1, as editors count them; rows of Parquet and CSV from 0, as data frames count them.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from actors.logic.document import BadDocument, Document, DocumentKind
from cluster.errors import FailureKind
from pipelines.sources.byte_streams import TROUBLE, open_stream
from pipelines.sources.csv_rows import csv_record, csv_rows
from pipelines.sources.files import Kind, SourceFile
from pipelines.sources.json_lines import Places, is_blank, json_object, read_lines
from pipelines.sources.parquet_rows import batch_rows, columns_of, open_parquet, values_of
from pipelines.sources.record import MAX_RECORD, Unreadable, Wanted, as_document, decoded, fault_of, is_own, made_of
from pipelines.sources.splits import Split, row_groups

Found = Iterator[Document | BadDocument]


def read_split(
    split: Split,
    text_field: str,
    id_field: str | None,
    max_characters: int,
    kind: DocumentKind = DocumentKind.TEXT,
    refuse_generated: bool = False,
) -> Found:
    """The documents of a piece in their order, each as soon as it is read; what cannot be read stands in its place.

    The source of a document is file, file:line or file#row. In a range that does not begin its file it is file@byte,
    since lines before it were not counted; those before a bad one are. A document that is known to be generated says
    so, or is a bad one where such are refused.
    """
    wanted = Wanted(text_field, id_field, max_characters, kind, refuse_generated)
    for file in split.files:
        yield from _read_file(file, split, wanted)


def _read_file(file: SourceFile, split: Split, wanted: Wanted) -> Found:
    last = ""
    try:
        for found in _READERS[file.kind](file, split, wanted):
            yield _as_generated(found, wanted) if file.generated else found
            last = found.source
    except TROUBLE as error:
        where = f"after {last} the file" if last else "the file"
        yield Unreadable(f"{where} cannot be read: {error}").at(file.name)


def _as_generated(found: Document | BadDocument, wanted: Wanted) -> Document | BadDocument:
    if isinstance(found, BadDocument):
        return found
    if wanted.refuse_generated:
        return BadDocument(found.source, FailureKind.GENERATED, "a model wrote this document")
    return replace(found, generated=True)


def _read_jsonl(file: SourceFile, split: Split, wanted: Wanted) -> Found:
    places = Places(file, split.begin)
    with open_stream(file.path, split.begin) as stream:
        for number, (at, line) in enumerate(read_lines(stream, split.begin, split.end), 1):
            if is_blank(line):
                continue
            try:
                record = json_object(line)
                found = as_document(record, places.cheap(at, number), wanted)
                found = _as_generated(found, wanted) if is_own(record) else found
            except Unreadable as trouble:
                found = trouble.at("")
            if isinstance(found, BadDocument):
                found = BadDocument(places.exact(at, number), found.kind, found.message)
            yield found


def _read_csv(file: SourceFile, split: Split, wanted: Wanted) -> Found:
    with open_stream(file.path) as stream:
        rows = csv_rows(stream)
        header = next(rows, None)
        if header is None:
            return
        if isinstance(header, csv.Error) or (fault := fault_of(dict.fromkeys(header, ""), wanted)):
            yield Unreadable(f"not CSV: {header}" if isinstance(header, csv.Error) else fault).at(file.name)
            return
        own = is_own(header)
        for number, cells in enumerate(rows):
            source = f"{file.name}#{number}"
            try:
                found = as_document(csv_record(header, cells), source, wanted)
                yield _as_generated(found, wanted) if own else found
            except Unreadable as trouble:
                yield trouble.at(source)


def _read_parquet(file: SourceFile, split: Split, wanted: Wanted) -> Found:
    with open_parquet(file) as parquet:
        columns = columns_of(parquet)
        own = is_own(columns)
        if fault := fault_of(columns, wanted):
            if not split.begin:  # once is enough
                yield Unreadable(fault).at(file.name)
            return
        names = list(dict.fromkeys(name for name in (wanted.text_field, wanted.id_field) if name))
        row = sum(parquet.metadata.row_group(at).num_rows for at in range(split.begin))
        groups = row_groups(parquet, split)
        for batch in parquet.iter_batches(batch_rows(parquet, groups), groups, names, use_threads=False):
            for values in zip(*(values_of(batch.column(name)) for name in names), strict=True):
                source = f"{file.name}#{row}"
                row += 1
                try:
                    found = as_document(dict(zip(names, values, strict=True)), source, wanted)
                    yield _as_generated(found, wanted) if own else found
                except Unreadable as trouble:
                    yield trouble.at(source)


def _read_text(file: SourceFile, split: Split, wanted: Wanted) -> Found:
    with open_stream(file.path) as stream:
        data = stream.read(MAX_RECORD + 1)
    try:
        yield made_of(decoded(data), None, file.name, wanted)
    except Unreadable as trouble:
        yield trouble.at(file.name)


_READERS: Mapping[Kind, Callable[[SourceFile, Split, Wanted], Found]] = {
    Kind.JSONL: _read_jsonl,
    Kind.PARQUET: _read_parquet,
    Kind.CSV: _read_csv,
    Kind.TEXT: _read_text,
}
