"""What the tests of the journal share: numbered answers, written and looked up."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path

from cluster.journal import JournalReader, JournalWriter, Writer, call_key

REPOSITORY = Path(__file__).parents[2]


def environment() -> dict[str, str]:
    """Of a child that imports what is tested here."""
    return {**os.environ, "PYTHONPATH": str(REPOSITORY)}


def key(number: int) -> bytes:
    return call_key({"number": number}, "")


def answer(number: int) -> dict[str, object]:
    return {"text": f'»{number}« "quoted"\n', "usage": {"tokens": number}}


def append(writer: Writer, *numbers: int) -> None:
    """Appends one after the other, without closing."""

    async def each() -> None:
        for number in numbers:
            await writer.append(key(number), f"item {number}", answer(number))

    asyncio.run(each())


def close(writer: Writer) -> None:
    asyncio.run(writer.close())


def write(folder: Path, numbers: Iterable[int], writer_id: str = "a", **options: int) -> Path:
    """A closed journal of one writer; returns its last segment."""
    writer = JournalWriter(folder, writer_id, **options)
    append(writer, *numbers)
    close(writer)
    return writer.segment


def get(reader: JournalReader, number: int) -> dict[str, object] | None:
    return asyncio.run(reader.get(key(number)))


def held(place: Path, numbers: Iterable[int]) -> list[int]:
    """Which of the numbers a fresh reader finds, each with its own answer."""

    async def found() -> list[int]:
        reader = JournalReader(place)
        answers = {number: await reader.get(key(number)) for number in numbers}
        reader.close()
        assert all(found in (None, answer(number)) for number, found in answers.items())
        return [number for number, found in answers.items() if found]

    return asyncio.run(found())
