"""Whether the fields that a config names are in the files, told before anything is started."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterable, Mapping, Sequence

from actors.logic.document import BadDocument
from cluster.errors import UserError
from pipelines.sources.byte_streams import TROUBLE, open_stream
from pipelines.sources.csv_rows import csv_rows
from pipelines.sources.files import Kind, SourceFile
from pipelines.sources.json_lines import json_object, read_lines
from pipelines.sources.parquet_rows import columns_of, open_parquet
from pipelines.sources.reading import read_split
from pipelines.sources.record import Unreadable, held_by, no_field, no_text
from pipelines.sources.splits import Split

PEEK_FILES, PEEK_LINES = 10, 100  # looked at for their fields


def check_fields(
    files: Sequence[SourceFile], text_field: str, id_field: str | None, text_key: str = "documents.text_field"
) -> None:
    """Refuses fields that the first records do not have, before anything is started. Texts have no fields.

    `text_key` is the setting that names the field of the text.
    """
    for kind in (Kind.JSONL, Kind.PARQUET, Kind.CSV):
        alike = [file for file in files if file.kind is kind]
        peeks = ((file, peek(file)) for file in alike[:PEEK_FILES])
        if alike:
            _check(*next((peek for peek in peeks if peek[1]), (alike[0], {})), text_field, id_field, text_key)


def _check(file: SourceFile, fields: Mapping[str, str], text_field: str, id_field: str | None, text_key: str) -> None:
    if not fields:
        first = next(read_split(Split(file.kind, (file,)), text_field, id_field, 1), None)
        why = first.message if isinstance(first, BadDocument) else "it is empty"
        raise UserError(f"{file.name}: no record can be read in it: {why}")
    for key, name in ((text_key, text_field), ("documents.id_field", id_field)):
        if name is not None and name not in fields:
            raise UserError(f"{file.name}: {no_field(name, fields)}; set {key} to one of them")
    if held := fields[text_field]:
        raise UserError(f"{file.name}: {no_text(text_field, held)}; set {text_key} to one that does")


def peek(file: SourceFile) -> Mapping[str, str]:
    """The fields of the first records, each with what it holds, "" for text; none where no record can be read."""
    try:
        if file.kind is Kind.PARQUET:
            with open_parquet(file) as parquet:
                return columns_of(parquet)
        with open_stream(file.path) as stream:
            if file.kind is Kind.CSV:
                header = next(csv_rows(stream), [])
                return {} if isinstance(header, csv.Error) else dict.fromkeys(header, "")
            return _peek_lines(itertools.islice(read_lines(stream), PEEK_LINES))
    except TROUBLE:
        return {}


def _peek_lines(lines: Iterable[tuple[int, bytes | None]]) -> Mapping[str, str]:
    fields: dict[str, str] = {}
    for _, line in lines:
        try:
            record = json_object(line)
        except Unreadable:
            continue
        for name, value in record.items():
            fields[name] = fields.get(name, "?") and ("" if value is None else held_by(value))
    return fields
