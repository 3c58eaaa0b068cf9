"""Takes over the personas of another run, so that several datasets are made of people who were paid for once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from cluster.errors import UserError
from cluster.files import atomic_path
from cluster.local_copies import local_copy
from cluster.manifest import Manifest, Stage, load
from cluster.object_path import path_of
from cluster.parts import part_path
from pipelines.settings import Settings

_FOLDERS = ("documents", "personas", "rejected", "failures")
_ITS_OWN = ("config", "stopped", "quality", "bios")
_GROWING = "log-*"  # of a dedup log; all else in it is written once


def take_personas(settings: Settings, manifest: Manifest) -> None:
    """Make the parts of `personas.reuse` this run's own, where it has none yet: linked where they may be, for they are
    written once. `UserError` where that run has no finished personas."""
    if settings.personas.reuse is None or manifest.personas.done:
        return
    source = path_of(settings.personas.reuse).expanduser().absolute()
    other = load(source / "manifest.json")
    if other is None:
        raise UserError(f"personas.reuse: {settings.personas.reuse} is no run; it has no manifest.json")
    if not other.personas.done:
        raise UserError(f"personas.reuse: {settings.personas.reuse} has no finished personas yet; run it again first")
    for kind in _FOLDERS:
        _take((part_path(source / kind, name) for name in other.personas.parts), settings.folder / kind)
    for folder in (source / "dedup", *source.glob("dedup/shard-*")):
        _take((one for one in folder.glob("*") if one.is_file()), settings.folder / folder.relative_to(source))
    manifest.personas = Stage(done=True, parts=dict(other.personas.parts))
    manifest.facts |= {name: fact for name, fact in other.facts.items() if name not in _ITS_OWN}
    manifest.save()


def _take(paths: Iterable[Path], folder: Path) -> None:
    for path in paths:
        if path.exists():
            with atomic_path(folder / path.name) as free:
                _link_or_copy(local_copy(path), free, copies=path.match(_GROWING))


def _link_or_copy(path: Path, target: Path, copies: bool) -> None:
    if not copies:
        try:
            os.link(path, target)
            return
        except OSError:  # another file system, or one without links
            pass
    shutil.copyfile(path, target)
