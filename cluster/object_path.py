"""A place in an object store that is named, listed, read and removed as a folder or file is.

There is no rename and no append: `atomic_path` and `write_atomically` put an object whole. Folders are the common
beginnings of names, so making or removing one does nothing.
"""

from __future__ import annotations

import io
import os
import secrets
import tempfile
from collections.abc import Generator, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PosixPath
from typing import IO, TYPE_CHECKING, Any

from cluster.errors import Halt, UserError
from cluster.object_store import BEYOND_ITS_END, PATIENCE_S, code_of, store_of, told

if TYPE_CHECKING:
    from obstore.store import S3Store

_SCHEME = "s3:"
_PIECE = 4 << 20
_START_PATIENCE_S = 15.0  # nothing is lost yet


def path_of(place: str | Path) -> Path:
    """A path of this machine, or an `ObjectPath` for s3://BUCKET/NAME. `UserError` for any other address."""
    text = str(place)
    scheme, mark, rest = text.partition("://")
    if not mark:
        return Path(place)
    if scheme == "file":
        return Path(rest)
    if scheme != "s3":
        raise UserError(f"{scheme}://… is no place for a run: use a folder, or s3://BUCKET/NAME of any S3-like store")
    if "@" in rest.partition("/")[0] or "?" in rest:
        raise UserError(
            "an s3:// address has a bucket and a name, and nothing else; credentials and AWS_ENDPOINT_URL go by the "
            "environment"
        )
    if not rest.strip("/"):
        raise UserError("s3:// lacks its bucket: s3://BUCKET/NAME")
    return ObjectPath(text)


class ObjectPath(PosixPath):
    """s3://BUCKET/NAME. Whatever fails for long raises `Halt`; what is not there, FileNotFoundError."""

    def __str__(self) -> str:
        return f"{_SCHEME}//{'/'.join(self.parts[1:])}"

    @property
    def bucket(self) -> str:
        return self.parts[1]

    @property
    def key(self) -> str:
        return "/".join(self.parts[2:])

    def store(self, patience_s: float = PATIENCE_S) -> S3Store:
        return store_of(self.bucket, patience_s)

    def check(self) -> None:
        """`UserError` where objects cannot be listed, put, read and removed here."""
        store, probe = self.store(_START_PATIENCE_S), f"{self.key}/probe-{secrets.token_hex(4)}".lstrip("/")
        for verb, ask in (
            ("listed", lambda: any(store.list(self.key or None, chunk_size=1))),
            ("written to", lambda: store.put(probe, b"populace")),
            ("read", lambda: store.get(probe).bytes()),
            ("removed from", lambda: store.delete(probe)),
        ):
            try:
                with told(f"{self} cannot be {verb}"):
                    ask()
            except (Halt, FileNotFoundError) as error:
                raise UserError(str(error)) from None

    def absolute(self) -> ObjectPath:
        return self

    def resolve(self, strict: bool = False) -> ObjectPath:
        return self

    def head(self) -> dict[str, Any]:
        """`size`, `e_tag`, `last_modified`."""
        with told(str(self)):
            return dict(self.store().head(self.key))

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        found = self.head()
        when = found["last_modified"].timestamp()
        return os.stat_result((0o100644, 0, 0, 1, 0, 0, found["size"], when, when, when))

    def exists(self, *, follow_symlinks: bool = True) -> bool:
        return self.is_file() or self.is_dir()

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        try:
            return bool(self.key) and self.head() is not None
        except FileNotFoundError:
            return False

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        with told(str(self)):
            return any(self.store().list(self.key or None, chunk_size=1))

    def iterdir(self) -> Generator[ObjectPath, None, None]:
        for name, _ in self.listed():
            yield self / name

    def listed(self) -> Iterator[tuple[str, dict[str, Any] | None]]:
        """The names right below, of objects with what `head` tells; a folder's comes with None."""
        with told(str(self)):
            found = self.store().list_with_delimiter(self.key or None)
        yield from ((name.rpartition("/")[2], None) for name in found["common_prefixes"])
        yield from ((one["path"].rpartition("/")[2], dict(one)) for one in found["objects"])

    def glob(self, pattern: str, **_: Any) -> Iterator[ObjectPath]:  # type: ignore[override]
        """Objects and folders, as `Path.glob` without `**`."""
        first, _slash, rest = pattern.partition("/")
        for name, is_object in [(name, found is not None) for name, found in self.listed()]:
            if fnmatchcase(name, first) and not rest:
                yield self / name
            elif fnmatchcase(name, first) and not is_object:
                yield from (self / name).glob(rest)

    def read_bytes(self) -> bytes:
        with told(str(self)):
            return self.store().get(self.key).bytes().to_bytes()

    def read_text(self, encoding: str | None = None, errors: str | None = None, newline: str | None = None) -> str:
        return self.read_bytes().decode(encoding or "utf-8", errors or "strict")

    def read_range(self, start: int, length: int) -> bytes:
        """So many bytes from `start` on, or as many as there are."""
        try:
            with told(str(self)):
                found = self.store().get(self.key, options={"range": (start, start + length)})
                return found.bytes().to_bytes()
        except Halt as halt:
            if code_of(halt.__cause__) == BEYOND_ITS_END:
                return b""
            raise

    def read_into(self, file: IO[bytes]) -> None:
        """The whole content, in pieces."""
        with told(str(self)):
            for piece in self.store().get(self.key).stream(min_chunk_size=_PIECE):
                file.write(piece)

    def open(self, mode: str = "r", *_: Any, encoding: str | None = None, **__: Any) -> Any:
        """To be read, from a nameless copy on this machine."""
        if mode not in ("r", "rt", "rb"):
            raise io.UnsupportedOperation(f"{self} is an object: it is put whole, not opened to be written")
        copy = tempfile.TemporaryFile()  # noqa: SIM115 (the caller's)
        self.read_into(copy)
        copy.seek(0)
        return copy if mode == "rb" else io.TextIOWrapper(copy, encoding=encoding or "utf-8")

    def write_bytes(self, data: Any) -> int:
        """Put whole."""
        with told(str(self)):
            self.store().put(self.key, bytes(data))
        return len(data)

    def write_text(self, data: str, encoding: str | None = None, *_: Any, **__: Any) -> int:
        return self.write_bytes(data.encode(encoding or "utf-8"))

    def put_file(self, file: Path) -> None:
        """A file of this machine, put whole, in pieces where it is large."""
        with told(str(self)):
            self.store().put(self.key, file)

    def unlink(self, missing_ok: bool = True) -> None:
        with told(str(self)):
            self.store().delete(self.key)

    @staticmethod
    def remove_all(paths: Sequence[ObjectPath]) -> None:
        """Objects of one bucket, a thousand a request."""
        with told(str(paths[0].parent)):
            paths[0].store().delete([one.key for one in paths])

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        """Folders are not made."""

    def rmdir(self) -> None:
        """Folders go with their last object."""
