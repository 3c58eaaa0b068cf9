"""What of an object store has to lie on this machine while a process works on it: scratch folders, and copies of
objects that are mapped. May be deleted whenever no run works."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from cluster.files import atomic_path
from cluster.object_path import ObjectPath

_SMALL = 8 << 20  # read in one go; what is larger is asked for by the ranges that are wanted


def scratch(folder: Path) -> Path:
    """Where files about `folder` may lie on this machine: itself, unless it is in an object store."""
    if not isinstance(folder, ObjectPath):
        return folder
    home = Path(os.environ.get("POPULACE_CACHE") or "~/.cache/populace").expanduser()
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or "aws"
    where = hashlib.blake2b(f"{endpoint} {folder.bucket}".encode(), digest_size=6).hexdigest()
    return home / "stores" / where / folder.key


def local_copy(path: Path) -> Path:
    """The file itself, or a copy of the object as it is now; copies of what it was before go."""
    if not isinstance(path, ObjectPath):
        return path
    version = hashlib.blake2b(str(path.head()["e_tag"]).encode(), digest_size=8).hexdigest()
    copies = scratch(path.parent) / ".copies"
    copy = copies / f"{version}-{path.name}"
    if not copy.exists():
        with atomic_path(copy) as free, free.open("wb") as file:
            path.read_into(file)
        for other in copies.glob(f"*-{path.name}"):
            if other != copy:
                other.unlink(missing_ok=True)
    return copy


def readable(path: Path) -> Path | pa.NativeFile:
    """What pyarrow reads a Parquet file from."""
    return opened(path) if isinstance(path, ObjectPath) else path


def opened(path: Path) -> pa.NativeFile:
    """Arrow's file, to be read. FileNotFoundError where there is none."""
    if not isinstance(path, ObjectPath):
        return pa.OSFile(str(path))
    size = path.head()["size"]
    return pa.BufferReader(path.read_bytes()) if size <= _SMALL else pa.PythonFile(_Ranges(path, size), "r")


def put_folder(source: Path, target: Path, last: str) -> None:
    """The files of a scratch folder into the store, `last` after all others; those that are no more, go."""
    if not isinstance(target, ObjectPath):
        return
    there = {name for name, _ in target.listed()}
    files = sorted((path for path in source.iterdir() if path.is_file()), key=lambda path: path.name == last)
    for path in files:
        if path.name not in there or path.name == last:
            (target / path.name).put_file(path)
    remove(target / name for name in there - {path.name for path in files})


def local_folder(source: Path, by: str) -> Path:
    """A folder of files that never change, or a copy of it on this machine, known by its file `by`."""
    if not isinstance(source, ObjectPath):
        return source
    copies = scratch(source)
    whole = copies.with_name(f".{copies.name}-{hashlib.blake2b((source / by).read_bytes(), digest_size=8).hexdigest()}")
    if not (whole / by).exists():
        for name, _ in sorted(source.listed(), key=lambda one: one[0] == by):
            with atomic_path(whole / name) as free, free.open("wb") as file:
                (source / name).read_into(file)
    return whole


@contextmanager
def on_this_machine(folder: Path) -> Iterator[Path]:
    """The folder, or for as long as the block lasts a copy of the objects right below."""
    if not isinstance(folder, ObjectPath):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix=f"populace-{os.getpid()}-") as copy:
        for name, found in folder.listed():
            if found:
                with (Path(copy) / name).open("wb") as file:
                    (folder / name).read_into(file)
        yield Path(copy)


def remove(paths: Iterable[Path]) -> None:
    """Files, folders with all that is in them, or objects, these many at a time."""
    objects: list[ObjectPath] = []
    for path in paths:
        if isinstance(path, ObjectPath):
            objects.append(path)
        elif path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    if objects:
        objects[0].remove_all(objects)


class _Ranges:
    """A large object as a file whose reads are requests: Arrow asks for what it needs of it, in large pieces."""

    closed = False

    def __init__(self, path: ObjectPath, size: int) -> None:
        self._path, self._size, self._at = path, size, 0

    def read(self, length: int = -1) -> bytes:
        length = self._size - self._at if length < 0 else min(length, self._size - self._at)
        found = self._path.read_range(self._at, length) if length > 0 else b""
        self._at += len(found)
        return found

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def size(self) -> int:
        return self._size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def close(self) -> None:
        self.closed = True
