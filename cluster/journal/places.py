"""What a journal's place means: a folder, or an object store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cluster.journal.file_writer import JournalWriter
from cluster.journal.folder import Folder
from cluster.journal.record import Record, is_sound, record_of
from cluster.journal.store import Store, Writer
from cluster.object_path import ObjectPath


def store_at(place: Path) -> Store:
    """Where the segments of the journal at `place` lie."""
    if not isinstance(place, ObjectPath):
        return Folder(place)
    from cluster.journal.bucket import Bucket

    return Bucket(place)


def open_writer(place: Path, writer_id: str) -> Writer:
    """A writer of the kind that the place needs. Call it where its event loop runs."""
    if not isinstance(place, ObjectPath):
        return JournalWriter(place, writer_id)
    from cluster.journal.bucket import Bucket
    from cluster.journal.object_writer import ObjectWriter

    return ObjectWriter(Bucket(place), writer_id)


def segments(folder: Path) -> list[Path]:
    """The segments of a journal in a folder, by name."""
    return sorted(folder.glob("*.jsonl"))


def read_records(segment: Path) -> Iterator[Record]:
    """The sound records of a segment in the order in which they were paid, duplicates included."""
    for _, line in Folder(segment.parent).lines(segment.name, 0):
        if is_sound(line):
            yield record_of(line)
