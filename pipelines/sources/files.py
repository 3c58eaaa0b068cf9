"""Which files there are: what the user's patterns name, on any file system. Opens none of them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cluster.errors import UserError
from pipelines.sources.byte_streams import PACKED, file_system, foreign_errors, in_a_line, is_http, suffixes

NEAR_NAMES = 10_000  # of a folder are compared with a misspelt one


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
KNOWN = "known are .jsonl .ndjson .csv .txt .md, each also with .gz or .zst, and .parquet"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file. `path` is absolute or a URL, `name` is what it is called in messages; `size` is 0 if nobody tells.
    `generated` says that a model wrote what is in it, as far as its dataset card tells."""

    path: str
    size: int
    kind: Kind
    name: str
    generated: bool = False


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
        with foreign_errors():
            fs, path = file_system(pattern)
            if is_http(pattern) or fs.isfile(path):
                return [_one(fs, path, pattern)]
            if fs.isdir(path):
                return _known(fs, path, fs.find(path, detail=True), f"{pattern}: no documents in this folder")
            if _has_magic(path):
                plain = itertools.takewhile(lambda part: not _has_magic(part), path.split("/"))
                return _known(fs, "/".join(plain), fs.glob(path, detail=True), f"{pattern}: no documents match")
            raise UserError(_missing(fs, path, pattern))
    except OSError as error:
        cause = error.__cause__ or error
        raise UserError(f"{pattern}: cannot be looked up: {in_a_line(cause)}") from error


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
    names = [entry.rstrip("/").rpartition("/")[2] for entry in fs.ls(folder, detail=False)[:NEAR_NAMES]]
    near = get_close_matches(name, names, n=1)
    return f"{pattern}: no such file" + (f"; did you mean {pattern.removesuffix(name)}{near[0]}?" if near else "")


def _has_magic(path: str) -> bool:
    return any(mark in path for mark in "*?[")


def _is_file(path: str, entry: Mapping[str, Any]) -> bool:
    """fsspec calls a local link neither a file nor a folder."""
    return entry["type"] == "file" or (bool(entry.get("islink")) and Path(path).is_file())


def _is_local(fs: Any) -> bool:
    return "file" in (fs.protocol if isinstance(fs.protocol, tuple) else (fs.protocol,))


def _full(fs: Any, path: str) -> str:
    return path if _is_local(fs) else str(fs.unstrip_protocol(path))


def _name(fs: Any, path: str) -> str:
    """Relative where it can be, without what a web address may hold in secret, and encodable, as not all paths are."""
    if is_http(path):
        address = urlsplit(path)
        return f"{address.scheme}://{address.netloc.rpartition('@')[2]}{address.path}"
    return _full(fs, path).removeprefix(f"{Path.cwd()}/").encode(errors="replace").decode()


def _kind(path: str) -> Kind | None:
    before, last = suffixes(path)
    kind = KINDS.get(before if last in PACKED else last)
    return None if kind is Kind.PARQUET and last in PACKED else kind
