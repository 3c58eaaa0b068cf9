"""Bytes of a path or an fsspec URL, unpacked, as a stream; whatever goes wrong on the way is one of TROUBLE.

Knows no format and no document.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import fsspec
import pyarrow as pa
import zstandard

from cluster.errors import UserError
from cluster.object_store import file_system_of_s3, in_words

TROUBLE = (OSError, EOFError, zlib.error, zstandard.ZstdError, pa.ArrowException)  # what reading a file can raise
PACKED = (".gz", ".zst")
BUFFER = 1 << 20
ZSTD_PIECE = 4 << 10  # compressed bytes at a time, which even at their best unpack to 128 MiB


@contextmanager
def open_stream(path: str, begin: int = 0) -> Iterator[BinaryIO]:
    """The unpacked bytes, from the one before `begin` on, which tells whether a line starts there."""
    with open_raw(path, begin > 0) as raw, io.BufferedReader(raw, BUFFER) as packed:
        if begin:
            packed.seek(begin - 1)
        unpack = _UNPACK.get(suffixes(path)[1])
        if unpack is None:
            yield packed
        else:
            with io.BufferedReader(_Chunks(unpack(packed)), BUFFER) as stream:
                yield stream


def open_raw(path: str, seeking: bool) -> io.RawIOBase:
    """The bytes as they are; `seeking` says whether they will be read from start to end or not."""
    if not is_url(path):
        return Path(path).open("rb", buffering=0)
    with foreign_errors():
        fs, inner = file_system(path)
        streamed = {"block_size": 0} if is_http(path) and not seeking else {}
        return _Foreign(fs.open(inner, "rb", **streamed))  # not every web server knows ranges


def file_system(path: str) -> tuple[Any, str]:
    """fsspec's file system for a path or URL, and the path in it; s3:// is asked as where runs are kept there."""
    if path.startswith("s3://"):
        return file_system_of_s3(), path.removeprefix("s3://").rstrip("/")
    fs, inner = fsspec.core.url_to_fs(path)
    return fs, inner


def suffixes(path: str) -> tuple[str, str]:
    """The last two; those of a web address stand before its query."""
    plain = urlsplit(path).path if is_http(path) else path
    suffixes = ["", "", *PurePosixPath(plain.lower()).suffixes]
    return suffixes[-2], suffixes[-1]


def is_packed(path: str) -> bool:
    return suffixes(path)[1] in PACKED


def is_url(path: str) -> bool:
    return "://" in path


def is_http(path: str) -> bool:
    return path.startswith(("http://", "https://"))


@contextmanager
def foreign_errors() -> Iterator[None]:
    """The boundary to fsspec: each of its file systems raises what its client library raises."""
    try:
        yield
    except (OSError, UserError):
        raise
    except Exception as error:
        raise OSError(in_a_line(error)) from error


def in_a_line(error: BaseException) -> str:
    """What a file system's error says."""
    of_s3 = type(error).__module__.startswith("obstore")
    return in_words(error) if of_s3 else f"{type(error).__name__}: {error}"


class _Foreign(io.RawIOBase):
    """An open file of an fsspec file system, whose errors of any type become OSError here."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._file.seekable())

    def readinto(self, buffer: Any) -> int:
        with foreign_errors():
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with foreign_errors():
            return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


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
