"""What is asked of an export, refused early and in the user's words. Reads nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from actors.logic.export import Format, fractions
from cluster.errors import UserError
from pipelines.settings.wrong import near


class FileKind(StrEnum):
    """How the rows are written."""

    JSONL = "jsonl"
    PARQUET = "parquet"


@dataclass(frozen=True, slots=True)
class Job:
    """`target` is a folder, or a file where its ending is that of a `FileKind`; `shares` are of `SPLITS` in order."""

    run_dir: Path
    format: Format
    kind: FileKind
    target: Path
    shares: tuple[float, ...] = (1.0,)
    repository: str | None = None

    @property
    def is_file(self) -> bool:
        return self.target.suffix == f".{self.kind}"

    @property
    def is_inside(self) -> bool:
        """Whether it goes into the run's own folder, where all exports are ours."""
        return self.target.absolute().is_relative_to((self.run_dir / "exports").absolute())


def asked(run_dir: Path, format_: str, as_: str | None, to: Path | None, split: str, push: str | None) -> Job:
    """The options of the command as a job, or a `UserError`."""
    known = [str(one) for one in Format]
    if format_ not in known:
        raise UserError(f"{format_} is no format{near(format_, known) or '; there are ' + ', '.join(known)}")
    kinds = [str(one) for one in FileKind]
    if as_ is not None and as_ not in kinds:
        raise UserError(f"--as must be {' or '.join(kinds)}, got {as_}{near(as_, kinds)}")
    ending = to.suffix.removeprefix(".") if to else ""
    if ending in kinds and as_ not in (None, ending):
        raise UserError(f"--to {to} ends in .{ending}, and --as says {as_}; leave one out")
    if ending in ("json", "csv", "txt", "gz", "zst"):
        raise UserError(f"--to {to} is no .jsonl and no .parquet; choose one of these endings, or name a folder")
    kind = FileKind(as_ or (ending if ending in kinds else FileKind.JSONL))
    job = Job(run_dir, Format(format_), kind, to or run_dir / "exports" / format_, _shares(split), push)
    if job.is_file and len([share for share in job.shares if share]) > 1:
        raise UserError(f"--split makes a file of each part, and --to {to} is one file; name a folder")
    if push is not None and job.is_file:
        raise UserError(f"--push sends a folder with its card, and --to {to} is one file; name a folder")
    if push is not None and not re.fullmatch(r"[\w.-]+/[\w.-]+", push, re.ASCII):
        raise UserError(f"--push wants OWNER/NAME, got {push}")
    return job


def _shares(split: str) -> tuple[float, ...]:
    try:
        return fractions(split)
    except ValueError as wrong:
        raise UserError(f"--split {split} {wrong}; for example --split 0.9,0.05,0.05") from None
