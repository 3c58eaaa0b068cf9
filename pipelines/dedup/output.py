"""What dedup writes: parts in the input's format, whole or not at all, and how far it has come.

An OUTPUT with a suffix is one file in the end, put together from parts beside it; else it is the folder of the parts.
"""

from __future__ import annotations

import itertools
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from actors.logic.near_duplicates import Verdict
from cluster.errors import UserError
from cluster.files import atomic_path, write_atomically
from pipelines.dedup.rows import Rows
from pipelines.sources.files import Kind

AGAINST = 1 << 64  # row numbers of the other set begin here
MALFORMED = "malformed"
_ADDED = pa.schema(
    [
        ("dedup_row", pa.int64()),
        ("dedup_reason", pa.string()),
        ("dedup_neighbour", pa.string()),
        ("dedup_score", pa.float32()),
        ("dedup_note", pa.string()),
    ]
)
_PIECE = 1 << 20


@dataclass(slots=True)
class State:
    """`dedup.json`: what the parts were made under, and how many rows of both inputs are in them."""

    settings: dict[str, Any]
    against: int = 0
    rows: int = 0
    parts: int = 0
    done: bool = False
    counts: dict[str, int] = field(default_factory=dict)


class Output:
    """The folder of a job, `state` in it, and the parts that it names; all else of ours in it is swept.

    `UserError` where something else is there, unless it is to be replaced: `fresh`.
    """

    def __init__(self, target: Path, kind: Kind, settings: dict[str, Any], keep_rejected: bool, fresh: bool) -> None:
        self._target, self._kind, self._keep_rejected = target, kind, keep_rejected
        self.folder = work_folder(target)
        if is_file(target) and target.suffix != f".{kind}":
            raise UserError(f"{target}: the input is {kind}, so OUTPUT is a folder or a .{kind}")
        self.state = State(settings) if fresh else self._load(settings)
        self._sweep()

    def _load(self, settings: dict[str, Any]) -> State:
        path = self.folder / "dedup.json"
        try:
            state = State(**json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            if any(self.folder.glob("part-*")) or (is_file(self._target) and self._target.exists()):
                raise UserError(
                    f"{self._target} is there already; choose another OUTPUT, or --fresh to replace it"
                ) from None
            return State(settings)
        except (ValueError, TypeError):
            raise UserError(f"{path} is not whole; --fresh starts over") from None
        for name, value in settings.items():
            if state.settings.get(name) != value:
                raise UserError(
                    f"{name} was {state.settings.get(name)!r} when {self._target} was begun and is {value!r} now; keep "
                    "it, choose another OUTPUT, or --fresh to start over"
                )
        return state

    def _sweep(self) -> None:
        for folder in (self.folder, self.folder / "rejected"):
            named = {self._part(folder, number) for number in range(self.state.parts)}
            for path in [*folder.glob("part-*"), *folder.glob(".part-*.tmp")]:
                if path not in named:
                    path.unlink()

    def _part(self, folder: Path, number: int) -> Path:
        return folder / f"part-{number:05d}.{self._kind}"

    def save(self) -> None:
        write_atomically(self.folder / "dedup.json", json.dumps(asdict(self.state), indent=1))

    def write(self, decided: Sequence[tuple[Rows, list[Verdict | None]]]) -> None:
        """One part of all these rows. A row without a verdict could not be compared."""
        number = self.state.parts
        kept = [(rows, [at for at, one in enumerate(verdicts) if one and one.admitted]) for rows, verdicts in decided]
        _WRITE[self._kind](self._part(self.folder, number), (_taken(rows, places) for rows, places in kept))
        if self._keep_rejected:
            refused = (_refused(rows, verdicts) for rows, verdicts in decided)
            _WRITE[self._kind](self._part(self.folder / "rejected", number), refused)
        counts = Counter(self.state.counts)
        for _, verdicts in decided:
            counts.update("kept" if one and one.admitted else _reason(one) for one in verdicts)
        self.state.counts, self.state.parts = dict(counts), number + 1
        self.state.rows += sum(len(rows) for rows, _ in decided)
        self.save()

    def finish(self) -> None:
        """All rows are in parts: where the target is a file, it is put together, and the folder goes."""
        self.state.done = True
        if not is_file(self._target):
            return self.save()
        self._join(self.folder, self._target)
        if self._keep_rejected:
            self._join(self.folder / "rejected", self._target.with_suffix(f".rejected.{self._kind}"))
        shutil.rmtree(self.folder)

    def _join(self, folder: Path, target: Path) -> None:
        paths = [self._part(folder, number) for number in range(self.state.parts)]
        with atomic_path(target) as whole:
            if self._kind is Kind.JSONL:
                with whole.open("wb") as out:
                    for path in paths:
                        with path.open("rb") as part:
                            shutil.copyfileobj(part, out, _PIECE)
            else:
                batches = (batch for path in paths for batch in pq.ParquetFile(path).iter_batches())
                _write_parquet(whole, batches, pq.read_schema(paths[0]))


def work_folder(target: Path) -> Path:
    """Where a job keeps its parts and its log."""
    return target.with_name(f"{target.name}.dedup") if is_file(target) else target


def is_file(target: Path) -> bool:
    return target.suffix in (".jsonl", ".parquet")


def clear(target: Path) -> None:
    """Remove what a job has made in its folder, and nothing else that lies there."""
    folder = work_folder(target)
    if (folder / "dedup.json").is_file():
        for pattern in ("part-*", ".part-*.tmp", "rejected/part-*", "log/*", "dedup.json"):
            for path in folder.glob(pattern):
                path.unlink()


def _taken(rows: Rows, places: list[int]) -> Any:
    if isinstance(rows.raw, pa.RecordBatch):
        return rows.raw.take(pa.array(places, pa.int64()))
    return [rows.raw[at] for at in places]


def _refused(rows: Rows, verdicts: list[Verdict | None]) -> Any:
    """The rows that were not kept, each with its number, the stage, the row that it was too close to, and the score."""
    places = [at for at, one in enumerate(verdicts) if not (one and one.admitted)]
    added = [
        {
            "dedup_row": rows.first + at,
            "dedup_reason": _reason(one := verdicts[at]),
            "dedup_neighbour": _place(one.neighbour_id) if one else None,
            "dedup_score": one.score if one else None,
            "dedup_note": None if one else rows.faults[at],
        }
        for at in places
    ]
    taken = _taken(rows, places)
    if isinstance(taken, pa.RecordBatch):
        columns = pa.RecordBatch.from_pylist(added, _ADDED)
        schema = pa.schema([*taken.schema, *_ADDED])
        return pa.RecordBatch.from_arrays([*taken.columns, *columns.columns], schema=schema)
    pairs = zip(taken, added, strict=True)
    return [json.dumps(_object(line) | more, ensure_ascii=False).encode() + b"\n" for line, more in pairs]


def _reason(verdict: Verdict | None) -> str:
    return str(verdict.reason) if verdict else MALFORMED


def _place(identifier: str | None) -> str | None:
    """ "row 17", or "row 17 of the other set"."""
    if identifier is None:
        return None
    number = int(identifier, 16)
    return f"row {number - AGAINST} of the other set" if number >= AGAINST else f"row {number}"


def _object(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError:
        return {"raw": line.decode(errors="replace").rstrip("\n")}
    return value if isinstance(value, dict) else {"raw": value}


def _write_lines(path: Path, pieces: Iterable[list[bytes]]) -> None:
    with atomic_path(path) as whole, whole.open("wb") as out:
        for piece in pieces:
            out.writelines(piece)


def _write_batches(path: Path, pieces: Iterable[pa.RecordBatch]) -> None:
    batches = iter(pieces)
    first = next(batches)
    with atomic_path(path) as whole:
        _write_parquet(whole, itertools.chain([first], batches), first.schema)


def _write_parquet(path: Path, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> None:
    """Row groups of some MiB, whatever the batches."""
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for table in _gathered(batches):
            writer.write_table(table)


def _gathered(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(one.nbytes for one in held) > 16 * _PIECE:
            yield pa.Table.from_batches(held)
            held = []
    if held:
        yield pa.Table.from_batches(held)


_WRITE = {Kind.JSONL: _write_lines, Kind.PARQUET: _write_batches}
