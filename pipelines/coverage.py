"""What `conversations.sampling: coverage` weighs personas by: measured by the shards of the dedup service when all
personas are there, and looked up for one part of them at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayTaskError

from actors.densities import densities
from actors.logic.density import sample
from actors.logic.plan import Pool
from actors.logic.sampling import Sampling
from cluster.errors import UserError
from cluster.manifest import Manifest
from cluster.named import as_raised
from pipelines.dedup_actors import log_folders
from pipelines.services import Services
from pipelines.settings import Settings


def density_folders(settings: Settings) -> list[Path]:
    """Where densities are looked up; none where nobody is weighed by them."""
    covers = settings.conversations.sampling is Sampling.COVERAGE
    return log_folders(settings.personas.dedup, settings.folder / "dedup") if covers else []


def measure_density(settings: Settings, manifest: Manifest, services: Services) -> None:
    """Have each shard measure its personas against one sample of all, which the seed chooses; at once where that is
    done. `UserError` where vectors of the run's personas are gone."""
    if not density_folders(settings):
        return
    shards = [name.handle() for name in services.links.dedup]
    found = _all([shard.sample.remote(settings.seed) for shard in shards])
    everybody = ray.put(sample((one for one in found if len(one)), settings.seed))
    measured = sum(_all([shard.measure.remote(everybody) for shard in shards]))
    if measured < (personas := manifest.personas.total("personas")):
        raise UserError(
            f"conversations.sampling is coverage, but {settings.run_dir}/dedup holds vectors of {measured:,} of the "
            f"{personas:,} personas; choose depth_weighted or uniform"
        )


def with_densities(pools: Sequence[Pool], folders: Sequence[Path]) -> list[Pool]:
    """The pools with the density around each of their personas."""
    found = iter(densities(folders, [one.persona_id for pool in pools for one in pool.personas]))
    return [replace(pool, densities=[next(found) for _ in pool.personas]) for pool in pools]


def _all(asked: Sequence[Any]) -> list[Any]:
    try:
        return list(ray.get(list(asked)))
    except RayTaskError as error:
        raise as_raised(error) from None
