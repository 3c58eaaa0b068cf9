"""What a script gets back: rows of a run's folder, read when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from cluster.errors import UserError
from cluster.local_copies import readable
from cluster.manifest import Manifest, load
from cluster.parts import part_path

if TYPE_CHECKING:
    import datasets
    import pandas as pd
    import ray.data

Kind = Literal["conversations", "personas", "bios"]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows `begin` … `end` of one kind in a run's folder, in the order in which the run names them; all of them where
    no `end` is given. `stopped` says by which rule a generation ended before its number was reached, if one did.

    The folder is a run like any other: `populace status`, `report` and `export` read it.
    """

    run_dir: Path
    kind: Kind = "conversations"
    begin: int = 0
    end: int | None = None
    stopped: str = ""

    def __len__(self) -> int:
        whole: int = sum(pq.read_metadata(readable(path)).num_rows for path in self._paths())
        return max(0, min(whole, whole if self.end is None else self.end) - self.begin)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self._batches():
            yield from batch.to_pylist()

    def __getitem__(self, at: int) -> dict[str, Any]:
        """The row at a place from 0 on; from the end where it is negative."""
        at = at + len(self) if at < 0 else at
        for batch in self._batches():
            if 0 <= at < len(batch):
                return dict(batch.slice(at, 1).to_pylist()[0])
            at -= len(batch)
        raise IndexError("there is no such row")

    def to_arrow(self) -> pa.Table:
        """All columns, in memory. `UserError` where there is no row."""
        batches = list(self._batches())
        if not batches:
            raise UserError(f"{self.run_dir} has no {self.kind}")
        return pa.Table.from_batches(batches)

    def to_pandas(self) -> pd.DataFrame:
        """A row each, in memory."""
        return self.to_arrow().to_pandas()

    def to_dataset(self) -> datasets.Dataset:
        """A `datasets.Dataset`. `UserError` where that library is not installed."""
        try:
            from datasets import Dataset
        except ImportError:
            raise UserError("to_dataset needs the package datasets: pip install datasets") from None
        return Dataset(self.to_arrow())

    def to_ray(self) -> ray.data.Dataset:
        """A `ray.data.Dataset` of the whole files where all their rows are asked for, else of the rows."""
        import ray.data

        if self.begin == 0 and self.end is None:
            return ray.data.read_parquet([str(path) for path in self._paths()])
        return ray.data.from_arrow(self.to_arrow())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        at = 0
        for path in self._paths():
            with pq.ParquetFile(readable(path)) as file:
                if at + file.metadata.num_rows <= self.begin:
                    at += file.metadata.num_rows
                    continue
                for batch in file.iter_batches():
                    low, high = max(0, self.begin - at), len(batch) if self.end is None else self.end - at
                    at += len(batch)
                    if low < min(high, len(batch)):
                        yield batch.slice(low, high - low)

    def _paths(self) -> list[Path]:
        manifest = load(self.run_dir / "manifest.json")
        return (
            [part_path(self.run_dir / self.kind, name) for name in part_names(manifest, self.kind)] if manifest else []
        )


def part_names(manifest: Manifest, kind: Kind) -> list[str]:
    """The parts that count and have rows, in order: conversations lap by lap, as they were made."""
    if kind == "personas":
        return sorted(name for name, part in manifest.personas.parts.items() if part["personas"])
    stage = manifest.conversations if kind == "conversations" else manifest.bios
    return sorted((name for name, part in stage.parts.items() if part["rows"]), key=_by_lap)


def _by_lap(name: str) -> tuple[int, bool, str]:
    """What was put together within a lap was made before what was not."""
    lap = name.partition("-")[0]
    return (int(lap) if lap.isdigit() else 0), name.count("-") > 1, name
