"""JSON Lines: where each line of a range of bytes starts, what it holds, and what it is called."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from typing import BinaryIO

from pipelines.sources.byte_streams import BUFFER, is_url, open_stream
from pipelines.sources.files import SourceFile
from pipelines.sources.record import MAX_RECORD, Unreadable, bad_byte, held_by

EXACT_BYTES = 4 << 30  # of a local file are read again at most to tell the number of a bad line


def read_lines(stream: BinaryIO, begin: int = 0, end: int | None = None) -> Iterator[tuple[int, bytes | None]]:
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


def is_blank(line: bytes | None) -> bool:
    return line is not None and not line.strip()


def json_object(line: bytes | None) -> dict[str, object]:
    if line is None:
        raise Unreadable(f"the line is longer than {MAX_RECORD >> 20} MiB")
    try:
        value = json.loads(line.decode())
    except UnicodeDecodeError as error:
        raise Unreadable(f"not UTF-8: {bad_byte(error)} of the line") from error
    except json.JSONDecodeError as error:
        raise Unreadable(f"not JSON: {error.msg} at character {error.pos} of the line") from error
    except (ValueError, RecursionError) as error:  # a number of too many digits, brackets in brackets without end
        raise Unreadable(f"not JSON that can be held: {error}") from error
    if not isinstance(value, dict):
        raise Unreadable(f"the line holds {held_by(value) or 'a string'}, not an object")
    return value


class Places:
    """Names the lines of a range by their number where that costs nothing (`cheap`) or is worth a count (`exact`)."""

    def __init__(self, file: SourceFile, begin: int) -> None:
        self._file, self._begin = file, begin
        self._lines_before: int | None = None if begin else 0

    def cheap(self, at: int, number: int) -> str:
        return f"{self._file.name}@{at}" if self._begin else f"{self._file.name}:{number}"

    def exact(self, at: int, number: int) -> str:
        if self._lines_before is None:
            if is_url(self._file.path) or at > EXACT_BYTES:
                return self.cheap(at, number)
            self._lines_before = _newlines(self._file.path, at) + 1 - number
        return f"{self._file.name}:{self._lines_before + number}"


def _newlines(path: str, end: int) -> int:
    with open_stream(path) as stream:
        chunks = (stream.read(min(BUFFER, end - at)) for at in range(0, end, BUFFER))
        return sum(chunk.count(b"\n") for chunk in chunks)
