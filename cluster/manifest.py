"""What of a run is done: the parts that count, by stage, and the settings that they were made under.

Grows with parts, not rows. A part's file is whole before the manifest names it; files that it does not name are swept.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cluster.errors import UserError
from cluster.files import write_atomically

VERSION = 2
_SAVE_EVERY_S = 1.0


@dataclass(slots=True)
class Stage:
    """Parts of one half of the run, by name, each with its counts."""

    done: bool = False
    parts: dict[str, dict[str, int]] = field(default_factory=dict)

    def total(self, count: str) -> int:
        return sum(part.get(count, 0) for part in self.parts.values())


@dataclass(slots=True)
class Lap:
    """One pass for `rows` conversations or bios; a later lap makes up for what failed or was added (of bios: added).
    `merged` names those of its parts that were put together before it was done; `over` is how many of the persona
    parts it is over, the first ones (None: all), for documents may come later."""

    rows: int
    unit_rows: int
    done: bool = False
    merged: list[str] = field(default_factory=list)
    over: int | None = None


@dataclass(slots=True)
class Manifest:
    """`manifest.json`. `settings` holds what may not change while the run lasts; `facts` what was counted once."""

    path: Path
    run_id: str
    settings: dict[str, Any]
    facts: dict[str, Any] = field(default_factory=dict)
    personas: Stage = field(default_factory=Stage)
    conversations: Stage = field(default_factory=Stage)
    laps: list[Lap] = field(default_factory=list)
    bios: Stage = field(default_factory=Stage)
    bio_laps: list[Lap] = field(default_factory=list)
    version: int = VERSION
    _saved_at: float = 0.0

    def save(self, now: bool = True) -> None:
        """Write it; with `now` False at most once a second (what a crash forgets is swept and done again for free)."""
        if not now and time.monotonic() - self._saved_at < _SAVE_EVERY_S:
            return
        content = {name: value for name, value in asdict(self).items() if name not in ("path", "_saved_at")}
        write_atomically(self.path, json.dumps(content, indent=1, ensure_ascii=False))
        self._saved_at = time.monotonic()


def load(path: Path) -> Manifest | None:
    """The manifest at `path`, or None; `UserError` where it is no manifest of this version."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise UserError(f"{path} is no manifest ({error}); choose another run_dir, or --fresh to start over") from None
    if not isinstance(content, dict) or content.get("version") != VERSION:
        found = content.get("version") if isinstance(content, dict) else None
        raise UserError(
            f"{path} is of version {found}, this populace writes {VERSION}; choose another run_dir, or --fresh"
        )
    try:
        return _read(path, content)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is no manifest ({error!r}); choose another run_dir, or --fresh") from None


def _read(path: Path, content: dict[str, Any]) -> Manifest:
    return Manifest(
        path=path,
        run_id=content["run_id"],
        settings=content["settings"],
        facts=content["facts"],
        personas=Stage(**content["personas"]),
        conversations=Stage(**content["conversations"]),
        laps=[Lap(**lap) for lap in content["laps"]],
        bios=Stage(**content.get("bios", {})),
        bio_laps=[Lap(**lap) for lap in content.get("bio_laps", ())],
    )
