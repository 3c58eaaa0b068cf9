"""What the URL of a journal in an object store stands for."""

from __future__ import annotations

import os
from hashlib import blake2b
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import pyarrow as pa
from pyarrow.fs import FileSystem, FSSpecHandler, PyFileSystem

from cluster.errors import UserError


def file_system(url: str) -> tuple[FileSystem, str]:
    """Arrow's own file system for the URL, or else fsspec's, and the path in it."""
    if url.startswith("s3://"):
        url += f"{'&' if '?' in url else '?'}allow_delayed_open=true"  # one request for a small object, not three
    try:
        return cast(tuple[FileSystem, str], FileSystem.from_uri(url))
    except pa.ArrowInvalid:
        import fsspec

        try:
            system, path = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise UserError(f"journal {shown(url)}: no file system for it ({error})") from None
        return PyFileSystem(FSSpecHandler(system)), path


def shown(url: str) -> str:
    """The URL without user, password and options."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")


def cache_of(url: str) -> Path:
    """Where this machine keeps the index of the journal at the URL."""
    name = blake2b(url.replace(urlsplit(url).netloc.rpartition("@")[0], "").encode(), digest_size=12).hexdigest()
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "populace" / "journals" / name / "index"
