"""The two seams of a journal: where its segments lie, and who adds to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Protocol


class Store(Protocol):
    """Segments by name, `*.jsonl`, and small documents beside them. Raises `Halt` for what only the user can mend."""

    @property
    def name(self) -> str:
        """How messages call the journal."""

    @property
    def index(self) -> Path:
        """The local folder of the index."""

    def sizes(self) -> dict[str, int]:
        """Every segment and its bytes."""

    def began_at(self, segment: str) -> float:
        """When the segment got its first record, by the clock of that time; infinity where it has none."""

    def expect(self, segments: list[str]) -> None:
        """Tells which segments are about to be read from their start, in this order."""

    def lines(self, segment: str, start: int) -> Iterator[tuple[int, bytes]]:
        """Offset and content of the whole lines from `start` on; not of a last one without its end."""

    async def line(self, segment: str, offset: int) -> bytes:
        """The line at `offset`, or what there is of it."""

    def in_use(self, segment: str) -> bool:
        """Whether a process may still append to the segment."""

    def create(self, segment: str) -> AbstractContextManager[BinaryIO]:
        """A new segment to write to; there, whole, when the block has ended well."""

    def remove(self, segments: list[str]) -> None:
        """Removes segments; one that is gone already is no error."""

    def sweep(self) -> None:
        """Removes what a killed `create` or `write` left behind."""

    def probe(self) -> None:
        """Raises `Halt` where the journal could not take a record now."""

    def read(self, document: str) -> bytes | None:
        """A small document, or None."""

    def write(self, document: str, content: bytes | None) -> None:
        """Replaces a small document, whole or not at all; None removes it."""

    def close(self) -> None:
        """Gives back what reading holds; the store can still be asked."""


class Writer(Protocol):
    """Keeps answers; one per process, for one event loop."""

    def room_for(self, size: int) -> AbstractContextManager[None]:
        """Holds room for an answer of about `size` bytes; raises `Halt` where there is none, before it is paid."""

    async def append(self, key: bytes, item: str, answer: Mapping[str, object]) -> None:
        """Returns when the record is kept; raises `Halt` when it cannot be, and others may still be."""

    async def close(self) -> None:
        """Keeps what is not yet. May be called twice."""
