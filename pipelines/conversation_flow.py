"""Personas to conversations: Ray Data streams units through sampling into whole dialogues, one part a unit.

Laps make the count exact: what failed in one is owed again in the next, and so is what was added to the count.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import ray

from actors.conversation_writer import SUMMARY, ConversationWriter
from actors.logic.dialogue import DialogueRule
from actors.logic.plan import SceneRule, Unit, scenes, units
from cluster.errors import Halt
from cluster.local_copies import readable
from cluster.manifest import Lap, Manifest
from cluster.parts import part_path
from cluster.session import data_context
from pipelines.batching import batches_dialogues, in_flight
from pipelines.coverage import density_folders, measure_density, with_densities
from pipelines.dues import lap_dues
from pipelines.hooks import Hooks
from pipelines.manner import manner
from pipelines.merging import merge_lap, merge_laps
from pipelines.pools import read_pools
from pipelines.progress import RunView
from pipelines.quality import measure_quality, shortfall
from pipelines.retrieval import retriever
from pipelines.run_folder import sweep_strays
from pipelines.services import Services
from pipelines.settings import Settings, quality_rule
from pipelines.stopping import Stopping
from pipelines.talking import dialogue_rule, scene_rule

_MAX_TOP_UPS = 10
_DRY_LAPS, _DRY_DIALOGUES = 3, 20  # in a row without a row gained: by then it is no accident
_UNITS = 64  # a run is cut into about so many units, none too small for a file or too large to do again
_UNIT_ROWS = (100, 500)
_FINE_UNIT_ROWS = (10, 100)  # where a run may have to stop between two
_DELIVERED = "delivered"
_IN_FLIGHT = 4  # units per writer: the slowest dialogue of one leaves the callers busy with the others


def converse(
    settings: Settings, manifest: Manifest, services: Services, view: RunView, hooks: Hooks | None = None
) -> None:
    """Make the conversations that are owed. `Halt` when the run cannot go on, or when the count stays out of reach."""
    asked, hooks = settings.conversations.count, hooks or Hooks()
    deliver(settings.folder, manifest, hooks)
    merge_laps(settings.folder, manifest)
    made = manifest.conversations.total("rows")
    if made < asked:
        measure_density(settings, manifest, services)
    view.begin("conversations", "conversations_done", made, asked)
    finds = retriever(settings, manifest, services, hooks.retriever)
    rule = dialogue_rule(settings, manner(settings, services), finds, hooks)
    try:
        with Stopping(settings, manifest, time.monotonic(), hooks.stop, view.spent) as stopping:
            made = _make(settings, manifest, services, view, _Making(rule, stopping, hooks))
    except Halt:
        with suppress(Halt):  # what ends the session is told, and not that the disk is full
            _end_early(settings.folder, manifest)
        raise
    manifest.conversations.done = made >= asked
    measure_quality(settings.folder, manifest)
    manifest.save()
    services.settle()
    view.end(made, asked)
    if made < asked:
        raise Halt(shortfall(settings, manifest))


def _end_early(folder: Path, manifest: Manifest) -> None:
    """What a session leaves that ends within a lap: no part that does not count, few parts, and what they are like."""
    manifest.save()
    sweep_strays(folder, manifest)
    if manifest.laps:
        merge_lap(folder, manifest, len(manifest.laps) - 1)
    measure_quality(folder, manifest)


@dataclass(frozen=True, slots=True)
class _Making:
    """How dialogues are made, and what ends it early."""

    rule: DialogueRule
    stopping: Stopping
    hooks: Hooks


def _make(settings: Settings, manifest: Manifest, services: Services, view: RunView, making: _Making) -> int:
    """Lap after lap until the count is there, or laps gain nothing; returns the rows that there are."""
    asked, made = settings.conversations.count, manifest.conversations.total("rows")
    top_ups = dry_laps = dry = 0
    while made < asked or (manifest.laps and not manifest.laps[-1].done):
        if not manifest.laps or manifest.laps[-1].done:
            if top_ups == _MAX_TOP_UPS:
                break
            top_ups += 1
            fine = settings.conversations.stop.is_set or making.hooks.looks_closely
            rows, over = asked - made, len(manifest.personas.parts)
            manifest.laps.append(Lap(rows, _unit_rows(rows, fine), over=over))
            manifest.save()
        begun = manifest.conversations.total("asked")
        _run_lap(settings, manifest, services, view, making)
        gained, made = manifest.conversations.total("rows") - made, manifest.conversations.total("rows")
        dry_laps, dry = (0, 0) if gained else (dry_laps + 1, dry + manifest.conversations.total("asked") - begun)
        if dry_laps == _DRY_LAPS or dry >= _DRY_DIALOGUES:
            break
    return made


def _unit_rows(rows: int, fine: bool) -> int:
    low, high = _FINE_UNIT_ROWS if fine else _UNIT_ROWS
    return max(low, min(high, -(-rows // _UNITS)))


def _run_lap(settings: Settings, manifest: Manifest, services: Services, view: RunView, making: _Making) -> None:
    lap = manifest.laps[-1]
    parts = [(name, part["active"]) for name, part in manifest.personas.parts.items()]
    if not manifest.personas.total("active"):
        raise Halt("no document has a persona, so nobody can speak; see failures/ for why")
    kind = "personas" if settings.conversations.needs_personas else "documents"
    laps = [(one.rows, len(parts) if one.over is None else one.over) for one in manifest.laps]
    owing = lap_dues(settings.folder, parts, laps, settings.seed, kind)
    made = {*manifest.conversations.parts, *lap.merged}
    all_units = (unit for dues, shares in owing for unit in units(shares, dues, lap.unit_rows))
    if owed := [unit for unit in all_units if unit.name not in made]:
        _run_units(owed, settings, manifest, services, view, making)
    lap.done = True
    manifest.save()
    merge_laps(settings.folder, manifest)


def _run_units(
    owed: list[Unit], settings: Settings, manifest: Manifest, services: Services, view: RunView, making: _Making
) -> None:
    """Their parts into the manifest, as they are written. Who leaves early leaves nobody at work."""
    with closing(_stream(owed, settings, services, making.rule)) as stream:
        for part in stream:
            if part["halted"]:
                manifest.save()
                raise Halt(part["halted"])
            manifest.conversations.parts[part["name"]] = {
                "rows": part["rows"],
                "failures": part["failures"],
                **dict(part["counts"]),
            }
            manifest.save(now=False)
            deliver(settings.folder, manifest, making.hooks, part["name"])
            if making.hooks.see:
                making.hooks.see(_rows(settings.folder, part["name"]))
            view.raise_fault()
            try:
                making.stopping.after(part["name"], part, time.monotonic())
            except Halt:
                if manifest.conversations.total("rows") < settings.conversations.count:
                    raise


def deliver(folder: Path, manifest: Manifest, hooks: Hooks, *names: str) -> None:
    """Tell who is to receive rows of the parts of these names, or of all, that were not told before."""
    if hooks.receive is None:
        return
    parts = manifest.conversations.parts
    for name in names or sorted(parts):
        if not parts[name].get(_DELIVERED):
            hooks.receive(_rows(folder, name))
            parts[name][_DELIVERED] = 1
            manifest.save(now=False)


def _rows(folder: Path, name: str) -> pa.Table:
    return pq.read_table(readable(part_path(folder / "conversations", name)))


def _stream(
    owed: list[Unit], settings: Settings, services: Services, rule: DialogueRule
) -> Generator[dict[str, Any], None, None]:
    """A summary for each unit as its part is written. Stopping early cancels what is under way."""
    densities = density_folders(settings)
    expand = partial(_expand, folder=settings.folder, rule=scene_rule(settings), densities=densities)
    batched, pools = batches_dialogues(settings), settings.cluster.pools
    at_once = in_flight(_IN_FLIGHT, batched, pools)
    with ray.data.DataContext.current(data_context()):
        stream = (
            ray.data.from_items([{"unit": pickle.dumps(unit)} for unit in owed], override_num_blocks=len(owed))
            .map_batches(expand, batch_size=None, batch_format="pyarrow", num_cpus=0.25)
            .map_batches(
                ConversationWriter,
                fn_constructor_args=(
                    str(settings.folder),
                    rule,
                    quality_rule(settings.conversations),
                    services.talk_links(batched),
                    settings.conversations.min_coherence,
                ),
                batch_format="pyarrow",
                batch_size=None,
                num_cpus=0.25,
                compute=ray.data.ActorPoolStrategy(
                    min_size=1,
                    max_size=pools,
                    max_tasks_in_flight_per_actor=at_once,
                    max_concurrent_calls_per_actor=at_once,
                ),
            )
        )
    for batch in stream.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        yield from batch.select(SUMMARY.names).to_pylist()


def _expand(batch: pa.Table, *, folder: Path, rule: SceneRule, densities: Sequence[Path]) -> Iterator[pa.Table]:
    """The scenes of each unit as one block, read from its persona part and sampled."""
    for pickled in batch.column("unit").to_pylist():
        unit: Unit = pickle.loads(pickled)
        pools = list(read_pools(folder, unit.part))
        rows = scenes(unit, with_densities(pools, densities) if densities else pools, rule)
        yield pa.Table.from_pylist([asdict(row) | {"unit": unit.name} for row in rows])
