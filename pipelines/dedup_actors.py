"""The actors that keep near-duplicates out: embedders and the shards of the service."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import ray

from actors.dedup_service import DedupService
from actors.embedder import Embedder, EndpointEmbedder
from actors.embedder_pool import EmbedderPool
from actors.encoder import DEFAULT_MODEL, Encoding
from actors.logic.demand import Demand
from actors.logic.near_duplicates import Scope, Thresholds
from cluster.named import Named
from pipelines.crew import LASTING, Crew
from pipelines.endpoints import embedding_endpoint
from pipelines.placement import EMBEDDER_SHARE, placed
from pipelines.settings import Dedup, Embedders, Place
from pipelines.settings.cluster import Placement

_MOST_EMBEDDERS = 8
_EMBEDDER_IDLE_S = 60.0
_GPU_SHARE = 0.1
_EMBEDDING_CALLS = 8  # at once, to an endpoint of embeddings


def dedup_actors(
    chosen: Dedup,
    folder: Path,
    bounds: Embedders,
    crew: Crew,
    meter: Named | None = None,
    embeds: bool = False,
    places: Placement | None = None,
) -> tuple[list[Named], list[Named]]:
    """Embedders, where something is compared or else `embeds`, and the shards of the service, each with a log of its
    own."""
    if chosen.scope is Scope.NONE and not embeds:
        return [], []
    encoding, places = _encoding(chosen), places or Placement()
    embedders = _embedders(bounds, encoding, crew, meter, places.embedders)
    if chosen.scope is not Scope.CORPUS:
        return embedders, []
    return embedders, _shards("dedup", chosen.thresholds, chosen, folder, embedders, crew, places.dedup)


def opening_shards(
    cosine: float, chosen: Dedup, folder: Path, embedders: Sequence[Named], crew: Crew, place: Place
) -> list[Named]:
    """The shards of a second service, which is for the openings of dialogues; its logs are in `folder`."""
    return _shards("openings", Thresholds(cosine), chosen, folder, embedders, crew, place)


def _shards(
    name: str,
    thresholds: Thresholds,
    chosen: Dedup,
    folder: Path,
    embedders: Sequence[Named],
    crew: Crew,
    place: Place,
) -> list[Named]:
    space = _encoding(chosen).space
    names = [Named(f"{name}-{number}", crew.namespace) for number in range(chosen.shards)]
    for number, (shard, log) in enumerate(zip(names, log_folders(chosen, folder), strict=True)):
        arguments = (thresholds, embedders, str(log), space, number, names)
        crew.start(shard.name, DedupService, *arguments, **placed(place), **LASTING)
    return names


def log_folders(chosen: Dedup, folder: Path) -> list[Path]:
    """Where each shard keeps its log."""
    return [folder] if chosen.shards == 1 else [folder / f"shard-{number}" for number in range(chosen.shards)]


@contextmanager
def dedup_service(chosen: Dedup, folder: Path) -> Iterator[Named]:
    """A dedup service of one shard, whose log is in `folder`; `UserError` where its model cannot be loaded."""
    with Crew() as crew:
        _, [service] = dedup_actors(chosen, folder, Embedders(), crew)
        crew.wait((service, "size"))
        yield service


def _encoding(chosen: Dedup) -> Encoding:
    return Encoding(chosen.model or DEFAULT_MODEL, chosen.backend, chosen.precision, embedding_endpoint(chosen))


def embedder_bounds(chosen: Embedders, cores: float) -> tuple[int, int]:
    """The least and the most embedders that a cluster of so many cores has, where no maximum is set: half of them are
    for the others."""
    return chosen.min, chosen.max or max(chosen.min, min(_MOST_EMBEDDERS, int(cores) // 2))


def _embedders(bounds: Embedders, encoding: Encoding, crew: Crew, meter: Named | None, place: Place) -> list[Named]:
    """Whom to send texts to, as often as calls may be under way there."""
    if encoding.endpoint:
        asker = crew.start("embedder-0", EndpointEmbedder, encoding, meter, **placed(place), **LASTING)
        return [asker] * _EMBEDDING_CALLS
    low, high = embedder_bounds(bounds, ray.cluster_resources().get("CPU", 1))
    options = placed(place, num_cpus=EMBEDDER_SHARE, num_gpus=_gpu_share()) | LASTING
    if high == 1:
        return [crew.start("embedder-0", Embedder, encoding, **options)]
    demand = Demand(low, high, _EMBEDDER_IDLE_S)
    pool = crew.start_here("embedders", EmbedderPool, crew.namespace, encoding, demand, options, **LASTING)
    return [pool] * 2 * high  # so that the next texts of each are there when it is done


def _gpu_share() -> float:
    """Of a GPU that is free; without one the processor does it."""
    return _GPU_SHARE if ray.available_resources().get("GPU", 0) >= 1 else 0
