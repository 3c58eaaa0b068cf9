"""Puts a folder of parts in the place of another in one step, so that whoever lists it sees all of the old parts or all
of the new ones.

The new folder, the successor, is made beside it, of links to the files that stay and of those that are new. An object
store has no such step: there the new parts are put among the old ones, which are removed then.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path

from cluster.files import halt_on_disk_error, sync
from cluster.local_copies import remove
from cluster.object_path import ObjectPath
from cluster.parts import part_path

_EXCHANGE, _HERE = 2, -100  # of Linux's renameat2
_CANNOT = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)
_LISTING_S = 0.1  # who has begun to list the old folder sees it whole for so long


def successor_of(folder: Path) -> Path:
    """Where the folder that is to take this one's place is made."""
    if isinstance(folder, ObjectPath):
        return folder
    return folder.with_name(f".{folder.name}.next")


def link_all(folder: Path, but: Iterable[str]) -> None:
    """The files of `folder` in its successor too, but for these names. `Halt` on a full disk."""
    if isinstance(folder, ObjectPath):
        return
    successor, left_out = successor_of(folder), set(but)
    with halt_on_disk_error(folder):
        for path in sorted(folder.iterdir()):
            if path.is_file() and path.name not in left_out and not path.name.endswith(".tmp"):
                _link(path, successor / path.name)
        sync(successor)


def _link(path: Path, to: Path) -> None:
    to.unlink(missing_ok=True)
    try:
        to.hardlink_to(path)
    except OSError:  # not every file system has links
        shutil.copyfile(path, to)


def succeed(folder: Path, gone: Iterable[str] = ()) -> None:
    """The successor takes the folder's place, and what only the old one had, `gone`, is no more. On Linux's own file
    systems at no moment neither is there; elsewhere the folder is missing between two renames."""
    if isinstance(folder, ObjectPath):
        remove(folder / name for name in gone)
        return
    with halt_on_disk_error(folder):
        if not exchange(folder, successor_of(folder)):
            rename_in_turn(folder, successor_of(folder))
        sync(folder.parent)
        time.sleep(_LISTING_S)
        remove_successor(folder)


def settle(folder: Path, names: Iterable[str]) -> None:
    """Ends what a killed process began: the successor takes the folder's place where only there is one of the parts
    `names`, those that count; and is gone."""
    if isinstance(folder, ObjectPath):
        return
    _put_back(folder)
    successor, named = successor_of(folder), {part_path(folder, name).name for name in names}
    if any(path.name in named and not (folder / path.name).exists() for path in successor.glob("part-*.parquet")):
        succeed(folder)
    remove_successor(folder)


def remove_successor(folder: Path) -> None:
    """Removes the successor's parts; what is nobody's of ours goes into the folder."""
    if isinstance(folder, ObjectPath):
        return
    _put_back(folder)
    for left in (_aside(folder), successor_of(folder)):
        for path in left.glob("*"):
            if path.match("part-*.parquet") or (folder / path.name).is_file():
                path.unlink(missing_ok=True)
            elif not (folder / path.name).exists():
                path.rename(folder / path.name)
        for path in left.glob(".part-*.tmp"):
            path.unlink(missing_ok=True)
        with suppress(OSError):  # it is not there
            left.rmdir()


def _put_back(folder: Path) -> None:
    """Where a process was killed between two renames."""
    if _aside(folder).exists() and not folder.exists():
        _aside(folder).rename(folder)


def rename_in_turn(folder: Path, successor: Path, steps: int = 3) -> None:
    """The successor in the folder's place, where that takes more than one step."""
    aside = _aside(folder)
    for old, new in ((folder, aside), (successor, folder), (aside, successor))[:steps]:
        old.rename(new)


def _aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.before")


def exchange(one: Path, other: Path) -> bool:
    """Whether the two have each other's name now; False where the system or the file system cannot do that."""
    if (rename := _renameat2()) is None:
        return False
    if rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _CANNOT:
        return False
    raise OSError(number, os.strerror(number), str(one))


@cache
def _renameat2() -> Callable[..., int] | None:
    with suppress(OSError, AttributeError):
        found: Callable[..., int] = ctypes.CDLL(None, use_errno=True).renameat2
        return found
    return None
