"""Documents in files: which files there are, in which pieces they are read, and what is in a piece.

    patterns ─find_files▶ SourceFile ─plan_splits▶ Split ─read_split▶ Document | BadDocument

Reads local paths and fsspec URLs as streams, in memory that does not grow with a file. What cannot be read is a
BadDocument in its place; only input of which nothing could be read is a UserError. Knows no Ray.

Lines count from 1, as editors count them; rows of Parquet and CSV from 0, as data frames count them.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import itertools
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from actors.logic.document import BadDocument, Document, document
from cluster.errors import FailureKind, UserError


class Kind(StrEnum):
    """How records lie in a file."""

    JSONL = "jsonl"
    PARQUET = "parquet"
    CSV = "csv"
    TEXT = "text"


KINDS = {
    ".jsonl": Kind.JSONL,
    ".ndjson": Kind.JSONL,
    ".parquet": Kind.PARQUET,
    ".csv": Kind.CSV,
    ".txt": Kind.TEXT,
    ".md": Kind.TEXT,
}
PACKED = (".gz", ".zst")
KNOWN = "known are .jsonl .ndjson .csv .txt .md, each also with .gz or .zst, and .parquet"

TARGET_BYTES = 32 << 20  # of one split
MAX_FILES = 256  # in one split
MAX_RECORD = 64 << 20  # bytes of one line or one text file; a longer one is refused, not held
BUFFER = 1 << 20
ZSTD_PIECE = 4 << 10  # compressed bytes at a time, which even at their best unpack to 128 MiB
PARQUET_BATCH = 4 << 20  # bytes of text, about
PEEK_FILES, PEEK_LINES = 10, 100  # looked at for their fields
EXACT_BYTES = 4 << 30  # of a local file are read again at most to tell the number of a bad line
TROUBLE = (OSError, EOFError, zlib.error, zstandard.ZstdError, pa.ArrowException)  # what reading a file can raise


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file. `path` is absolute or a URL, `name` is what it is called in messages; `size` is 0 if nobody tells."""

    path: str
    size: int
    kind: Kind
    name: str


@dataclass(frozen=True, slots=True)
class Split:
    """What one task reads: several whole files of one kind (`end` is None), or a range of one.

    A range is of bytes in JSON Lines, where it owns the lines that start in it, and of row groups in Parquet.
    """

    kind: Kind
    files: tuple[SourceFile, ...]
    begin: int = 0
    end: int | None = None


# --- which files ------------------------------------------------------------------------------------------------------


def find_files(patterns: Sequence[str]) -> list[SourceFile]:
    """The files that the patterns name, each once, sorted by path.

    A pattern is a file, a glob, a folder (for all files of a known kind below it) or an fsspec URL of one of these;
    hidden files are found only by their own name.
    """
    if not patterns or not all(pattern.strip() for pattern in patterns):
        raise UserError("documents.path names nothing: give it files, globs, folders or URLs")
    found = {file.path: file for pattern in patterns for file in _match(pattern)}
    return [found[path] for path in sorted(found)]


def _match(pattern: str) -> list[SourceFile]:
    try:
        with _foreign_errors():
            fs, path = fsspec.core.url_to_fs(pattern)
            if _is_http(pattern) or fs.isfile(path):
                return [_one(fs, path, pattern)]
            if fs.isdir(path):
                return _known(fs, path, fs.find(path, detail=True), f"{pattern}: no documents in this folder")
            if _has_magic(path):
                plain = itertools.takewhile(lambda part: not _has_magic(part), path.split("/"))
                return _known(fs, "/".join(plain), fs.glob(path, detail=True), f"{pattern}: no documents match")
            raise UserError(_missing(fs, path, pattern))
    except OSError as error:
        raise UserError(f"{pattern}: cannot be listed: {error}") from error


def _one(fs: Any, path: str, pattern: str) -> SourceFile:
    kind = _kind(path)
    if kind is None:
        raise UserError(f"{pattern}: not a kind of document that can be read; {KNOWN}")
    return SourceFile(_full(fs, path), fs.info(path).get("size") or 0, kind, _name(fs, path))


def _known(fs: Any, root: str, entries: Mapping[str, Mapping[str, Any]], nothing: str) -> list[SourceFile]:
    found = [
        SourceFile(_full(fs, path), entry.get("size") or 0, kind, _name(fs, path))
        for path, entry in entries.items()
        if (kind := _kind(path)) and "/." not in path.removeprefix(root.rstrip("/")) and _is_file(path, entry)
    ]
    if not found:
        raise UserError(f"{nothing}; {KNOWN}")
    return found


def _missing(fs: Any, path: str, pattern: str) -> str:
    folder, _, name = path.rpartition("/")
    if not fs.isdir(folder):
        return f"{pattern}: no such file; there is no folder {folder} either"
    names = [entry.rstrip("/").rpartition("/")[2] for entry in fs.ls(folder, detail=False)]
    near = get_close_matches(name, names, n=1)
    return f"{pattern}: no such file" + (f"; did you mean {pattern.removesuffix(name)}{near[0]}?" if near else "")


def _has_magic(path: str) -> bool:
    return any(mark in path for mark in "*?[")


def _is_file(path: str, entry: Mapping[str, Any]) -> bool:
    """fsspec calls a local link neither a file nor a folder."""
    return entry["type"] == "file" or (bool(entry.get("islink")) and Path(path).is_file())


def _is_local(fs: Any) -> bool:
    return "file" in (fs.protocol if isinstance(fs.protocol, tuple) else (fs.protocol,))


def _is_http(path: str) -> bool:
    return path.startswith(("http://", "https://"))


def _full(fs: Any, path: str) -> str:
    return path if _is_local(fs) else str(fs.unstrip_protocol(path))


def _name(fs: Any, path: str) -> str:
    """Relative where it can be, without what a web address may hold in secret, and encodable, as not all paths are."""
    if _is_http(path):
        address = urlsplit(path)
        return f"{address.scheme}://{address.netloc.rpartition('@')[2]}{address.path}"
    return _full(fs, path).removeprefix(f"{Path.cwd()}/").encode(errors="replace").decode()


def _kind(path: str) -> Kind | None:
    before, last = _suffixes(path)
    kind = KINDS.get(before if last in PACKED else last)
    return None if kind is Kind.PARQUET and last in PACKED else kind


def _is_packed(path: str) -> bool:
    return _suffixes(path)[1] in PACKED


def _suffixes(path: str) -> tuple[str, str]:
    """The last two; those of a web address stand before its query."""
    plain = urlsplit(path).path if _is_http(path) else path
    suffixes = ["", "", *PurePosixPath(plain.lower()).suffixes]
    return suffixes[-2], suffixes[-1]


# --- in which pieces --------------------------------------------------------------------------------------------------


def plan_splits(files: Sequence[SourceFile], target_bytes: int = TARGET_BYTES) -> list[Split]:
    """The files cut and grouped into pieces of about `target_bytes`, in their order; the same files, the same pieces.

    Only JSON Lines and Parquet can be cut, and only uncompressed and where a part of a file can be asked for.
    """
    splits: list[Split] = []
    weight = 0
    for file in files:
        if ranges := _ranges(file, target_bytes):
            splits += ranges
        elif splits and _has_room(splits[-1], file.kind) and weight + file.size <= target_bytes:
            splits[-1] = Split(file.kind, (*splits[-1].files, file))
            weight += file.size
        else:
            splits.append(Split(file.kind, (file,)))
            weight = file.size
    return splits


def _has_room(split: Split, kind: Kind) -> bool:
    return split.kind is kind and split.end is None and len(split.files) < MAX_FILES


def _ranges(file: SourceFile, target_bytes: int) -> list[Split]:
    bounds: Sequence[int] = ()
    if file.size <= target_bytes:
        pass
    elif file.kind is Kind.PARQUET:
        bounds = _row_group_bounds(file, target_bytes)
    elif file.kind is Kind.JSONL and not _is_http(file.path) and not _is_packed(file.path):
        bounds = [*range(0, file.size, target_bytes), file.size]
    return [Split(file.kind, (file,), begin, end) for begin, end in itertools.pairwise(bounds)]


def _row_group_bounds(file: SourceFile, target_bytes: int) -> list[int]:
    """None where the footer cannot be read: the file stays whole, and whoever reads it says why."""
    try:
        with _open_parquet(file) as parquet:
            sizes = [parquet.metadata.row_group(at).total_byte_size for at in range(parquet.num_row_groups)]
    except TROUBLE:
        return []
    bounds, weight = [0], 0
    for at, size in enumerate(sizes):
        if weight and weight + size > target_bytes:
            bounds.append(at)
            weight = 0
        weight += size
    return [*bounds, len(sizes)]


def count_documents(splits: Iterable[Split], stop_at: int | None = None) -> int:
    """How many documents there are, at most `stop_at`, broken ones among them: records are counted, not parsed."""
    total = 0
    for number in (number for split in splits for file in split.files for number in _counts(file, split)):
        total += number
        if stop_at is not None and total >= stop_at:
            return stop_at
    return total


def _counts(file: SourceFile, split: Split) -> Iterator[int]:
    """Numbers that add up to the documents of the file, as far as it can be read."""
    try:
        if file.kind is Kind.TEXT:
            yield 1
        elif file.kind is Kind.PARQUET:
            with _open_parquet(file) as parquet:
                yield sum(parquet.metadata.row_group(at).num_rows for at in _row_groups(parquet, split))
        elif file.kind is Kind.CSV:
            with _open(file) as stream:
                yield from (1 for _ in itertools.islice(_csv_rows(stream), 1, None))
        else:
            with _open(file, split.begin) as stream:
                yield from (1 for _, line in _lines(stream, split.begin, split.end) if not _is_blank(line))
    except TROUBLE:
        return


# --- which fields -----------------------------------------------------------------------------------------------------


def check_fields(files: Sequence[SourceFile], text_field: str, id_field: str | None) -> None:
    """Refuses fields that the first records do not have, before anything is started. Texts have no fields."""
    for kind in (Kind.JSONL, Kind.PARQUET, Kind.CSV):
        alike = [file for file in files if file.kind is kind]
        peeks = ((file, _peek(file)) for file in alike[:PEEK_FILES])
        if alike:
            _check(*next((peek for peek in peeks if peek[1]), (alike[0], {})), text_field, id_field)


def _check(file: SourceFile, fields: Mapping[str, str], text_field: str, id_field: str | None) -> None:
    if not fields:
        raise UserError(f"{file.name}: no record can be read in it; is it empty, or not {file.kind} in UTF-8?")
    for key, name in (("text_field", text_field), ("id_field", id_field)):
        if name is not None and name not in fields:
            raise UserError(f"{file.name}: {_no_field(name, fields)}; set documents.{key} to one of them")
    if held := fields[text_field]:
        raise UserError(f"{file.name}: {_no_text(text_field, held)}; set documents.text_field to one that does")


def _peek(file: SourceFile) -> Mapping[str, str]:
    """The fields of the first records, each with what it holds, "" for text; none where no record can be read."""
    try:
        if file.kind is Kind.PARQUET:
            with _open_parquet(file) as parquet:
                return _columns(parquet)
        with _open(file) as stream:
            if file.kind is Kind.CSV:
                header = next(_csv_rows(stream), [])
                return {} if isinstance(header, csv.Error) else dict.fromkeys(header, "")
            return _peek_lines(itertools.islice(_lines(stream), PEEK_LINES))
    except TROUBLE:
        return {}


def _peek_lines(lines: Iterable[tuple[int, bytes | None]]) -> Mapping[str, str]:
    fields: dict[str, str] = {}
    for _, line in lines:
        try:
            record = _json_object(line)
        except _Unreadable:
            continue
        for name, value in record.items():
            fields[name] = fields.get(name, "?") and ("" if value is None else _held(value))
    return fields


# --- what is in a piece -----------------------------------------------------------------------------------------------

Found = Iterator[Document | BadDocument]


def read_split(split: Split, text_field: str, id_field: str | None, max_characters: int) -> Found:
    """The documents of a piece in their order, each as soon as it is read; what cannot be read stands in its place.

    The source of a document is file, file:line or file#row. In a range that does not begin its file it is file@byte,
    since lines before it were not counted; those before a bad one are.
    """
    wanted = _Wanted(text_field, id_field, max_characters)
    for file in split.files:
        yield from _read_file(file, split, wanted)


@dataclass(frozen=True, slots=True)
class _Wanted:
    text_field: str
    id_field: str | None
    max_characters: int


class _Unreadable(Exception):
    """What is wrong with one record, in words; its reader knows where it stood."""

    def at(self, source: str) -> BadDocument:
        return BadDocument(source, FailureKind.UNREADABLE, str(self))


def _read_file(file: SourceFile, split: Split, wanted: _Wanted) -> Found:
    last = ""
    try:
        for found in _READERS[file.kind](file, split, wanted):
            yield found
            last = found.source
    except TROUBLE as error:
        where = f"after {last} the file" if last else "the file"
        yield _Unreadable(f"{where} cannot be read: {error}").at(file.name)


def _read_jsonl(file: SourceFile, split: Split, wanted: _Wanted) -> Found:
    places = _Places(file, split.begin)
    with _open(file, split.begin) as stream:
        for number, (at, line) in enumerate(_lines(stream, split.begin, split.end), 1):
            if _is_blank(line):
                continue
            try:
                found = _document(_json_object(line), places.cheap(at, number), wanted)
            except _Unreadable as trouble:
                found = trouble.at("")
            if isinstance(found, BadDocument):
                found = BadDocument(places.exact(at, number), found.kind, found.message)
            yield found


def _read_csv(file: SourceFile, split: Split, wanted: _Wanted) -> Found:
    with _open(file) as stream:
        rows = _csv_rows(stream)
        header = next(rows, [])
        if isinstance(header, csv.Error) or (header and wanted.text_field not in header):
            names = [] if isinstance(header, csv.Error) else header
            yield _Unreadable(_no_field(wanted.text_field, names)).at(file.name)
            return
        for number, cells in enumerate(rows):
            source = f"{file.name}#{number}"
            try:
                yield _document(_csv_record(header, cells), source, wanted)
            except _Unreadable as trouble:
                yield trouble.at(source)


def _read_parquet(file: SourceFile, split: Split, wanted: _Wanted) -> Found:
    with _open_parquet(file) as parquet:
        if fault := _fault(_columns(parquet), wanted):
            yield _Unreadable(fault).at(file.name)
            return
        names = list(dict.fromkeys(name for name in (wanted.text_field, wanted.id_field) if name))
        row = sum(parquet.metadata.row_group(at).num_rows for at in range(split.begin))
        groups = _row_groups(parquet, split)
        for batch in parquet.iter_batches(_batch_rows(parquet, groups), groups, names, use_threads=False):
            for values in zip(*(_values(batch.column(name)) for name in names), strict=True):
                source = f"{file.name}#{row}"
                row += 1
                try:
                    yield _document(dict(zip(names, values, strict=True)), source, wanted)
                except _Unreadable as trouble:
                    yield trouble.at(source)


def _read_text(file: SourceFile, split: Split, wanted: _Wanted) -> Found:
    with _open(file) as stream:
        data = stream.read(MAX_RECORD + 1)
    try:
        yield document(_decoded(data), None, file.name, wanted.max_characters)
    except _Unreadable as trouble:
        yield trouble.at(file.name)


_READERS: Mapping[Kind, Callable[[SourceFile, Split, _Wanted], Found]] = {
    Kind.JSONL: _read_jsonl,
    Kind.PARQUET: _read_parquet,
    Kind.CSV: _read_csv,
    Kind.TEXT: _read_text,
}


def _document(record: Mapping[str, object], source: str, wanted: _Wanted) -> Document | BadDocument:
    if wanted.text_field not in record:
        raise _Unreadable(_no_field(wanted.text_field, record))
    text = record[wanted.text_field]
    if text is None:
        return BadDocument(source, FailureKind.EMPTY_DOCUMENT, f"field {wanted.text_field!r} is null")
    if not isinstance(text, str):
        raise _Unreadable(_no_text(wanted.text_field, _held(text)))
    return document(text, _given_id(record, wanted.id_field), source, wanted.max_characters)


def _given_id(record: Mapping[str, object], id_field: str | None) -> str | None:
    if id_field is None:
        return None
    if id_field not in record:
        raise _Unreadable(_no_field(id_field, record))
    given = record[id_field]
    if given is None or isinstance(given, (bool, list, dict, UnicodeDecodeError)) or not str(given).strip():
        raise _Unreadable(f"field {id_field!r} holds {_held(given) or 'a blank text'}, which is no id")
    return str(given)


def _no_field(name: str, fields: Iterable[str]) -> str:
    names = [repr(field) for field in itertools.islice(fields, 20)]
    return f"no field {name!r}; the fields are {', '.join(names)}" if names else f"no field {name!r}, nor any other"


def _no_text(name: str, held: str) -> str:
    return f"field {name!r} holds {held}, not text"


_JSON_NAMES = {
    str: "",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
    type(None): "null",
}


def _held(value: object) -> str:
    """What a value is, in the words of JSON; "" for text."""
    if isinstance(value, UnicodeDecodeError):
        return f"what is not UTF-8: {_bad_byte(value)}"
    return _JSON_NAMES.get(type(value), type(value).__name__)


# --- JSON Lines -------------------------------------------------------------------------------------------------------


class _Places:
    """Names the lines of a range by their number where that costs nothing (`cheap`) or is worth a count (`exact`)."""

    def __init__(self, file: SourceFile, begin: int) -> None:
        self._file, self._begin = file, begin
        self._lines_before: int | None = None if begin else 0

    def cheap(self, at: int, number: int) -> str:
        return f"{self._file.name}@{at}" if self._begin else f"{self._file.name}:{number}"

    def exact(self, at: int, number: int) -> str:
        if self._lines_before is None:
            if _is_url(self._file.path) or at > EXACT_BYTES:
                return self.cheap(at, number)
            self._lines_before = _newlines(self._file, at) + 1 - number
        return f"{self._file.name}:{self._lines_before + number}"


def _newlines(file: SourceFile, end: int) -> int:
    with _open(file) as stream:
        chunks = (stream.read(min(BUFFER, end - at)) for at in range(0, end, BUFFER))
        return sum(chunk.count(b"\n") for chunk in chunks)


def _lines(stream: BinaryIO, begin: int = 0, end: int | None = None) -> Iterator[tuple[int, bytes | None]]:
    """Where each line that starts in the range starts, and the line; None for one of more than MAX_RECORD bytes.

    The stream stands at `begin` - 1, or at 0.
    """
    at = begin - 1 + _rest_of_line(stream) if begin else 0
    while end is None or at < end:
        line = stream.readline(MAX_RECORD + 1)
        if not line:
            return
        if len(line) <= MAX_RECORD:
            yield at, line if at else line.removeprefix(codecs.BOM_UTF8)
        else:
            yield at, None
            at += 0 if line.endswith(b"\n") else _rest_of_line(stream)
        at += len(line)


def _rest_of_line(stream: BinaryIO) -> int:
    """Skips to the next line; returns the bytes skipped."""
    length = 0
    while chunk := stream.readline(BUFFER):
        length += len(chunk)
        if chunk.endswith(b"\n"):
            break
    return length


def _is_blank(line: bytes | None) -> bool:
    return line is not None and not line.strip()


def _json_object(line: bytes | None) -> dict[str, object]:
    if line is None:
        raise _Unreadable(f"the line is longer than {MAX_RECORD >> 20} MiB")
    try:
        value = json.loads(line.decode())
    except UnicodeDecodeError as error:
        raise _Unreadable(f"not UTF-8: {_bad_byte(error)} of the line") from error
    except (ValueError, RecursionError) as error:
        raise _Unreadable(f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise _Unreadable(f"the line holds {_held(value) or 'a string'}, not an object")
    return value


# --- CSV --------------------------------------------------------------------------------------------------------------


def _csv_rows(stream: BinaryIO) -> Iterator[list[str] | csv.Error]:
    """The rows with something in them, header first; bytes that are not UTF-8 are lone surrogates in them."""
    csv.field_size_limit(MAX_RECORD)
    rows = csv.reader(_csv_lines(stream))
    while True:
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield error
            continue
        if cells:
            yield cells


def _csv_lines(stream: BinaryIO) -> Iterator[str]:
    for _, line in _lines(stream):
        if line is None:
            raise OSError(f"a line is longer than {MAX_RECORD >> 20} MiB")
        yield line.decode(errors="surrogateescape")


def _csv_record(header: Sequence[str], cells: list[str] | csv.Error) -> dict[str, object]:
    if isinstance(cells, csv.Error):
        raise _Unreadable(f"not CSV: {cells}")
    if any(cells[len(header) :]):
        raise _Unreadable(f"the row has {len(cells)} cells under {len(header)} names; a comma without quotes?")
    for name, cell in zip(header, cells, strict=False):
        try:
            cell.encode()
        except UnicodeEncodeError as error:
            raise _Unreadable(f"not UTF-8: byte 0x{ord(cell[error.start]) & 0xFF:02x} in {name!r}") from error
    return dict(zip(header, cells, strict=False))


# --- Parquet ----------------------------------------------------------------------------------------------------------


@contextmanager
def _open_parquet(file: SourceFile) -> Iterator[pq.ParquetFile]:
    """Buffered and not read ahead: a row group of any size takes a few MiB of memory."""
    with _raw(file) as raw, pq.ParquetFile(raw, pre_buffer=False, buffer_size=BUFFER) as parquet:
        yield parquet


def _columns(parquet: pq.ParquetFile) -> dict[str, str]:
    """What each column holds, "" for text."""
    return {column.name: "" if _is_text(column.type) else str(column.type) for column in parquet.schema_arrow}


def _is_text(kind: pa.DataType) -> bool:
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(plain) or pa.types.is_large_string(plain) or pa.types.is_string_view(plain))


def _fault(columns: Mapping[str, str], wanted: _Wanted) -> str:
    for name in (wanted.text_field, wanted.id_field):
        if name is not None and name not in columns:
            return _no_field(name, columns)
    held = columns[wanted.text_field]
    return _no_text(wanted.text_field, held) if held else ""


def _row_groups(parquet: pq.ParquetFile, split: Split) -> list[int]:
    return list(range(split.begin, parquet.num_row_groups if split.end is None else split.end))


def _batch_rows(parquet: pq.ParquetFile, groups: Sequence[int]) -> int:
    """So few rows at a time that a batch of long texts stays small."""
    metadata = [parquet.metadata.row_group(at) for at in groups]
    longest = max((group.total_byte_size / max(1, group.num_rows) for group in metadata), default=1)
    return int(min(1024, max(1, PARQUET_BATCH / max(1, longest))))


def _values(column: pa.Array) -> Iterable[object]:
    """Python values; in the place of a text that is not UTF-8, what is wrong with it."""
    try:
        values: list[object] = column.to_pylist()
        return values
    except UnicodeDecodeError:
        return [_value(scalar) for scalar in column]


def _value(scalar: pa.Scalar) -> object:
    try:
        return scalar.as_py()
    except UnicodeDecodeError as error:
        return error


# --- bytes and texts --------------------------------------------------------------------------------------------------


def _decoded(data: bytes) -> str:
    """UTF-8, or UTF-16 that begins with its mark."""
    if len(data) > MAX_RECORD:
        raise _Unreadable(f"the file is larger than {MAX_RECORD >> 20} MiB; put its documents into a .jsonl")
    marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError as error:
        name = "UTF-16" if marked else "UTF-8"
        raise _Unreadable(f"not {name}: {_bad_byte(error)}; convert the file") from error


def _bad_byte(error: UnicodeDecodeError) -> str:
    return f"byte 0x{error.object[error.start]:02x} at {error.start}"


@contextmanager
def _open(file: SourceFile, begin: int = 0) -> Iterator[BinaryIO]:
    """The unpacked bytes, from the one before `begin` on, which tells whether a line starts there."""
    with _raw(file) as raw, io.BufferedReader(raw, BUFFER) as packed:
        if begin:
            packed.seek(begin - 1)
        unpack = _UNPACK.get(_suffixes(file.path)[1])
        if unpack is None:
            yield packed
        else:
            with io.BufferedReader(_Chunks(unpack(packed)), BUFFER) as stream:
                yield stream


def _is_url(path: str) -> bool:
    return "://" in path


def _raw(file: SourceFile) -> io.RawIOBase:
    return _Foreign(file) if _is_url(file.path) else Path(file.path).open("rb", buffering=0)


class _Foreign(io.RawIOBase):
    """A file of an fsspec file system, whose errors of any type become OSError here."""

    def __init__(self, file: SourceFile) -> None:
        with _foreign_errors():
            fs, path = fsspec.core.url_to_fs(file.path)
            streamed = {"block_size": 0} if _is_http(path) and file.kind is not Kind.PARQUET else {}
            self._file = fs.open(path, "rb", **streamed)  # a web server need not know ranges

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._file.seekable())

    def readinto(self, buffer: Any) -> int:
        with _foreign_errors():
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with _foreign_errors():
            return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


@contextmanager
def _foreign_errors() -> Iterator[None]:
    """The boundary to fsspec: each of its file systems raises what its client library raises."""
    try:
        yield
    except (OSError, UserError):
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error


class _Chunks(io.RawIOBase):
    """An iterator of bytes as a file. Gives out each chunk before it asks for the next one, which may be torn."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest = chunks, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        length = min(len(buffer), len(self._rest))
        buffer[:length], self._rest = self._rest[:length], self._rest[length:]
        return length


def _gzip_chunks(packed: BinaryIO) -> Iterator[bytes]:
    return iter(partial(gzip.GzipFile(fileobj=packed).read1, BUFFER), b"")


def _zstd_chunks(packed: BinaryIO) -> Iterator[bytes]:
    """Frame after frame. zstandard's own stream reader takes a torn file for a whole one, so the frames are watched."""
    decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 31)
    piece = packed.read(ZSTD_PIECE)
    while piece:
        frame = decompressor.decompressobj()
        yield frame.decompress(piece)
        while not frame.eof:
            if not (piece := packed.read(ZSTD_PIECE)):
                raise EOFError("the compressed file ends in the middle")
            yield frame.decompress(piece)
        piece = frame.unused_data or packed.read(ZSTD_PIECE)


_UNPACK: Mapping[str, Callable[[BinaryIO], Iterator[bytes]]] = {".gz": _gzip_chunks, ".zst": _zstd_chunks}
