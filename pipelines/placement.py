"""Where the actors of a run are placed, and whether there is room for all that it starts at least."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actors.logic.dialogue import Context
from actors.logic.near_duplicates import Scope
from cluster.room import Want
from pipelines.settings import Place, Settings

_SHARE = 0.25  # of a core, for what mostly waits
EMBEDDER_SHARE = 0.5
_AS_OPTIONS = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "memory"}
_STREAM = 2  # processes of Ray Data that a run has at least


def placed(place: Place, num_cpus: float = _SHARE, num_gpus: float = 0.0) -> dict[str, Any]:
    """Options of Ray for an actor at this place; what is set goes before what it takes otherwise."""
    options: dict[str, Any] = {"num_cpus": num_cpus}
    if num_gpus:
        options["num_gpus"] = num_gpus
    options |= {_AS_OPTIONS[name]: amount for name, amount in place.resources.items() if name in _AS_OPTIONS}
    if custom := {name: amount for name, amount in place.resources.items() if name not in _AS_OPTIONS}:
        options["resources"] = custom
    if place.labels:
        options["label_selector"] = dict(place.labels)
    return options


def wants(settings: Settings, callers: int) -> list[Want]:
    """What a run starts at least, with so many callers; what grows later is not in it."""
    cluster, dedup, talk = settings.cluster, settings.personas.dedup, settings.conversations
    places = cluster.placement
    embeds = dedup.scope is not Scope.NONE or talk.context is Context.RAG or talk.checks_openings
    shards = dedup.shards * ((dedup.scope is Scope.CORPUS) + bool(talk.opening_threshold))
    found = [
        _want("callers", callers, places.callers),
        _want("pools", cluster.pools, places.pools),
        _want("dedup shards", shards, places.dedup),
        Want("stages of Ray Data", _STREAM, {"CPU": _SHARE}),
    ]
    if embeds:
        share = _SHARE if dedup.endpoint else EMBEDDER_SHARE
        found.append(_want("embedders", 1 if dedup.endpoint else cluster.embedders.min, places.embedders, share))
    return [one for one in found if one.count]


def _want(who: str, count: int, place: Place, share: float = _SHARE) -> Want:
    each: Mapping[str, float] = {"CPU": share} | place.resources
    return Want(who, count, {name: amount for name, amount in each.items() if amount}, place.labels)
