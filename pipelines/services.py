"""The long-lived actors of a run, made in the order in which they need one another, and ended with it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, RayActorError, RayTaskError

from actors.dedup_service import DedupService
from actors.embedder import Embedder, EndpointEmbedder
from actors.embedder_pool import EmbedderPool
from actors.encoder import DEFAULT_MODEL, Encoding
from actors.llm_caller import LLMCaller
from actors.logic.demand import Demand
from actors.logic.growth import GrowthRule
from actors.logic.near_duplicates import Scope
from actors.persona_pool import Links, PersonaPool
from cluster.errors import Halt, PopulaceError, UserError
from cluster.key_broker import Budget, KeyBroker
from cluster.keys import Endpoint, Secret, key_limits
from cluster.meter import Meter
from cluster.named import Named, as_raised, start
from pipelines.batching import batches_dialogues, batches_personas
from pipelines.chat_making import Wiring, batch_chat_maker, chat_maker
from pipelines.endpoints import Labels, embedding_endpoint, endpoints
from pipelines.key_watch import watched_keys
from pipelines.settings import EMBEDDED, Dedup, Embedders, Settings

FOREVER = -1
_RESTART_S = 60.0
LASTING = {"max_restarts": FOREVER, "max_task_retries": FOREVER}
_MOST_EMBEDDERS = 8
_EMBEDDER_IDLE_S = 60.0
_GPU_SHARE = 0.1
_EMBEDDING_CALLS = 8  # at once, to an endpoint of embeddings
_CALLER_SHARE = 256  # requests in flight that one caller process drives well


@dataclass(frozen=True, slots=True)
class Services:
    """The run's actors by name, and the names of the models that this run serves itself. `batch_caller` is there where
    work goes through batches."""

    crew: _Crew
    links: Links
    embedded_models: list[str]
    batch_caller: Named | None = None

    def settle(self) -> None:
        """Have the meter count all that the callers did so far."""
        self.crew.wait(*[(caller, "flush") for caller in self._all_callers])

    @property
    def _all_callers(self) -> list[Named]:
        return [*self.links.callers, *filter(None, [self.batch_caller])]

    def callers(self, batched: bool) -> Sequence[Named]:
        """Who serves work that does, or does not, go through batches."""
        return [self.batch_caller] if batched and self.batch_caller else self.links.callers

    @contextmanager
    def counted_to_the_end(self) -> Iterator[None]:
        """When the block ends with a `Halt`, what is on the wire is kept and counted before it goes on."""
        try:
            yield
        except Halt:
            with suppress(UserError):  # a caller that is down has told what it could
                self.crew.wait(*[(caller, "close") for caller in self._all_callers])
            raise

    @contextmanager
    def persona_pools(self, settings: Settings, run_dir: Path, rule: GrowthRule) -> Iterator[list[Any]]:
        """Handles of the persona pools, for as long as the block lasts."""
        dedup = settings.personas.dedup
        links = replace(self.links, callers=self.callers(batches_personas(settings)))
        arguments = (str(run_dir), rule, dedup.scope, dedup.threshold, links)
        names = [
            self.crew.start(f"pool-{at}", PersonaPool, *arguments, num_cpus=0.25, **LASTING)
            for at in range(settings.cluster.pools)
        ]
        try:
            yield [name.handle() for name in names]
        finally:
            self.crew.dismiss(*names)


def callers_needed(endpoints: list[Endpoint], low: int, high: int) -> int:
    """Caller processes for the concurrency that the endpoints allow, between the bounds."""
    in_flight = sum(endpoint.max_concurrency * len(endpoint.keys) for endpoint in endpoints)
    return max(low, min(high, -(-in_flight // _CALLER_SHARE)))


@contextmanager
def services(settings: Settings, run_dir: Path, run_id: str, spent_before: float = 0.0) -> Iterator[Services]:
    """The actors, up; `UserError` where a model cannot be loaded. `spent_before` counts against the budget, and
    batches bear `run_id` at their provider."""
    crew = _Crew(f"populace-{uuid.uuid4().hex[:12]}")
    limit = settings.llm.budget_usd
    labels: dict[str, Labels] = {}
    try:
        meter = crew.start("meter", Meter, num_cpus=0)
        chosen, folder = settings.personas.dedup, run_dir / "dedup"
        embedders, shards = _dedup(chosen, folder, settings.cluster.embedders, crew, meter)
        targets, served = _with_embedded(endpoints(settings, labels), crew)
        broker = _broker(targets, limit, spent_before, run_dir, crew) if len(served) < len(targets) else None
        count = callers_needed(targets, settings.cluster.callers.min, settings.cluster.callers.max)
        batched = batches_personas(settings) or batches_dialogues(settings)
        wiring = Wiring(targets, count + batched, run_dir, settings.llm.timeout_s, broker, limit)
        make = chat_maker(wiring)
        callers = [
            crew.start(f"caller-{at}", LLMCaller, make, meter, num_cpus=0.25, max_restarts=FOREVER)
            for at in range(count)
        ]
        batch_caller = None
        if batched:
            make = batch_chat_maker(wiring, run_id)
            batch_caller = crew.start("batch-caller", LLMCaller, make, meter, num_cpus=0.25, max_restarts=FOREVER)
        everybody = [*callers, *filter(None, [batch_caller])]
        ready = [(name, "dimension") for name in dict.fromkeys(embedders)]
        crew.wait(*[(name, "pid") for name in everybody], *ready, *[(name, "size") for name in shards])
        with watched_keys(settings, labels, broker.handle(), meter.handle()) if broker else nullcontext():
            yield Services(crew, Links(callers, embedders, shards, meter), served, batch_caller)
        if batch_caller:
            with suppress(UserError):  # a caller that is down leaves it to the next one
                crew.wait((batch_caller, "close"))
    finally:
        crew.dismiss()


class _Crew:
    """Actors that were started under names in one namespace, to be ended together."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self._handles: dict[Named, Any] = {}

    def start(self, name: str, kind: type, *arguments: Any, **options: Any) -> Named:
        named = Named(name, self.namespace)
        self._handles[named] = start(kind, named, *arguments, **options)
        return named

    def wait(self, *asked: tuple[Named, str]) -> list[Any]:
        """Answers of argumentless methods, which come once their actors are up; `UserError` as an actor raised it."""
        deadline = time.monotonic() + _RESTART_S
        while True:
            try:
                return list(ray.get([getattr(self._handles[name], method).remote() for name, method in asked]))
            except RayTaskError as error:
                if isinstance(raised := as_raised(error), PopulaceError):
                    raise raised from None
                raise
            except RayActorError as error:
                if not isinstance(error, ActorUnavailableError) or time.monotonic() > deadline:
                    raise UserError(f"an actor did not start: {' '.join(str(error).split())[:300]}") from None
                time.sleep(0.5)  # it was killed a moment ago, and comes back

    def dismiss(self, *names: Named) -> None:
        """End the actors of these names, or all."""
        for name in names or reversed(list(self._handles)):
            ray.kill(self._handles.pop(name))


def _broker(
    targets: list[Endpoint], budget_usd: float | None, spent_before: float, run_dir: Path, crew: _Crew
) -> Named:
    """Who leases money and limits, and tells callers of keys."""
    limits = key_limits(targets)
    budget = Budget(budget_usd, spent_before, run_dir / "budget.json") if budget_usd else None
    return crew.start("broker", KeyBroker, crew.namespace, budget, limits, num_cpus=0, **LASTING)


def _dedup(
    chosen: Dedup, folder: Path, bounds: Embedders, crew: _Crew, meter: Named | None = None
) -> tuple[list[Named], list[Named]]:
    """Embedders, and the shards of the service, each with a log of its own."""
    if chosen.scope is Scope.NONE:
        return [], []
    encoding = _encoding(chosen)
    embedders = _embedders(bounds, encoding, crew, meter)
    if chosen.scope is Scope.DOCUMENT:
        return embedders, []
    names = [Named(f"dedup-{number}", crew.namespace) for number in range(chosen.shards)]
    for number, name in enumerate(names):
        log = folder if len(names) == 1 else folder / f"shard-{number}"
        arguments = (chosen.threshold, embedders, str(log), encoding.space, number, names)
        crew.start(name.name, DedupService, *arguments, num_cpus=0.25, **LASTING)
    return embedders, names


@contextmanager
def dedup_service(chosen: Dedup, folder: Path) -> Iterator[Named]:
    """A dedup service of one shard, whose log is in `folder`; `UserError` where its model cannot be loaded."""
    crew = _Crew(f"populace-{uuid.uuid4().hex[:12]}")
    try:
        _, [service] = _dedup(chosen, folder, Embedders(), crew)
        crew.wait((service, "size"))
        yield service
    finally:
        crew.dismiss()


def _encoding(chosen: Dedup) -> Encoding:
    return Encoding(chosen.model or DEFAULT_MODEL, chosen.backend, chosen.precision, embedding_endpoint(chosen))


def embedder_bounds(chosen: Embedders, cores: float) -> tuple[int, int]:
    """The least and the most embedders that a cluster of so many cores has, where no maximum is set: half of them are
    for the others."""
    return chosen.min, chosen.max or max(chosen.min, min(_MOST_EMBEDDERS, int(cores) // 2))


def _embedders(bounds: Embedders, encoding: Encoding, crew: _Crew, meter: Named | None) -> list[Named]:
    """Whom to send texts to, as often as calls may be under way there."""
    if encoding.endpoint:
        asker = crew.start("embedder-0", EndpointEmbedder, encoding, meter, num_cpus=0.25, **LASTING)
        return [asker] * _EMBEDDING_CALLS
    low, high = embedder_bounds(bounds, ray.cluster_resources().get("CPU", 1))
    options = {"num_cpus": 0.5, "num_gpus": _gpu_share(), **LASTING}
    if high == 1:
        return [crew.start("embedder-0", Embedder, encoding, **options)]
    demand = Demand(low, high, _EMBEDDER_IDLE_S)
    pool = crew.start("embedders", EmbedderPool, crew.namespace, encoding, demand, options, num_cpus=0, **LASTING)
    return [pool] * 2 * high  # so that the next texts of each are there when it is done


def _gpu_share() -> float:
    """Of a GPU that is free; without one the processor does it."""
    return _GPU_SHARE if ray.available_resources().get("GPU", 0) >= 1 else 0


def _with_embedded(targets: list[Endpoint], crew: _Crew) -> tuple[list[Endpoint], list[str]]:
    """Endpoints whose `embedded` ones have become the address and key of a server in an actor of this run."""
    ready, served = [], []
    for at, target in enumerate(targets):
        if target.base_url != EMBEDDED:
            ready.append(target)
            continue
        from actors.model_server import ModelServer

        server = crew.start(f"model-server-{at}", ModelServer, target.model, num_cpus=1)
        [(url, key)] = crew.wait((server, "endpoint"))
        ready.append(replace(target, base_url=url, keys=[(f"{target.name} (embedded)", Secret(key))]))
        served.append(target.model)
    return ready, served
