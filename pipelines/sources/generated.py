"""Which documents are themselves generated: told by the dataset card of their folder, or by columns that populace
writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import yaml

from cluster.errors import UserError
from pipelines.sources.byte_streams import TROUBLE, is_http, open_stream
from pipelines.sources.fields import PEEK_FILES, peek
from pipelines.sources.files import Kind, SourceFile
from pipelines.sources.record import is_own

_TAGS = {"synthetic", "synthetic-data"}
_FOLDERS_ABOVE = 3
_CARD_BYTES = 64 << 10


def marked(files: Sequence[SourceFile]) -> list[SourceFile]:
    """The files, those `generated` of which a dataset card says so: a README.md beside them, or up to three folders
    above, as the Hugging Face hub has them. Those with a web address have no folder to look in. The card of a run's own
    folder says nothing of what else lies there: what populace makes is known by its columns."""

    @cache
    def tagged(folder: str) -> bool:
        return _says_synthetic(f"{folder}/README.md") and not _is_run(folder)

    def mark(file: SourceFile) -> SourceFile:
        generated = not is_http(file.path) and any(map(tagged, _folders(file.path)))
        return replace(file, generated=True) if generated else file

    return [mark(file) for file in files]


def check_generated(files: Sequence[SourceFile], setting: str) -> str:
    """What to warn of where documents are themselves generated, "" where nothing is known or all are allowed;
    `UserError` where they are refused."""
    found = first_generated(files) if setting != "allow" else None
    if not found:
        return ""
    file, why = found
    others = sum(one.generated for one in files) - 1
    what = f"{file.name}{f' and {others:,} more' if others > 0 else ''}: a model wrote this ({why})"
    if setting == "refuse":
        raise UserError(f"{what}, and documents.generated is refuse; leave it out of documents.path, or allow it")
    return f"{what}; personas grown from it repeat what that model said. documents.generated: allow says nothing of it"


def first_generated(files: Sequence[SourceFile]) -> tuple[SourceFile, str] | None:
    """One of the files that is generated and how that is known; of each kind the fields of the first ten are read."""
    for file in files:
        if file.generated:
            return file, "a README.md beside or above it is tagged synthetic"
    for kind in (Kind.JSONL, Kind.PARQUET, Kind.CSV):
        for file in [one for one in files if one.kind is kind][:PEEK_FILES]:
            if is_own(peek(file)):
                return file, "it has the columns of what populace makes"
    return None


def _folders(path: str) -> list[str]:
    """The folder of a file and those above it, as far as they are looked into."""
    found = []
    for _ in range(1 + _FOLDERS_ABOVE):
        path, slash, _ = path.rpartition("/")
        if not slash or path.endswith((":", "/")):
            break
        found.append(path)
    return found


def _says_synthetic(card: str) -> bool:
    """Whether there is a dataset card whose header says that models wrote what it describes."""
    try:
        with open_stream(card) as stream:
            head = stream.read(_CARD_BYTES).decode(errors="replace")
    except TROUBLE:
        return False
    opening, _, rest = head.partition("\n")
    if opening.strip() != "---":
        return False
    try:
        header = yaml.safe_load(rest.partition("\n---")[0])
    except (yaml.YAMLError, ValueError, RecursionError):
        return False
    if not isinstance(header, dict):
        return False
    creators = header.get("language_creators")
    return not _TAGS.isdisjoint(_words(header.get("tags"))) or "machine-generated" in _words(creators)


def _is_run(folder: str) -> bool:
    try:
        with open_stream(f"{folder}/manifest.json") as stream:
            return b'"run_id"' in stream.read(_CARD_BYTES)
    except TROUBLE:
        return False


def _words(value: object) -> set[str]:
    return {str(one).lower() for one in (value if isinstance(value, list) else [value])}
