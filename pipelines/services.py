"""The long-lived actors of a run, made in the order in which they need one another, and ended with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray

from actors.caller_fleet import CallerFleet
from actors.conversation_writer import TalkLinks
from actors.llm_caller import LLMCaller
from actors.logic.dialogue import Context
from actors.logic.growth import GrowthRule
from actors.persona_pool import Links, PersonaPool
from cluster.errors import Halt, UserError
from cluster.key_broker import Budget, KeyBroker
from cluster.keys import Endpoint, Secret, key_limits, lane_name
from cluster.meter import Meter
from cluster.named import Fleet, Named
from cluster.sizing import Bounds, Crowd, allowed
from cluster.tracing import Traces
from pipelines.batching import batches_dialogues, batches_personas
from pipelines.chat_making import MakeChat, Wiring, batch_chat_maker, chat_maker
from pipelines.crew import FOREVER, LASTING, Crew
from pipelines.dedup_actors import dedup_actors, opening_shards
from pipelines.endpoints import Labels, endpoints
from pipelines.key_watch import watched_keys
from pipelines.live.state import KeyState
from pipelines.placement import placed
from pipelines.settings import EMBEDDED, Settings
from pipelines.settings.cluster import Callers


@dataclass(frozen=True, slots=True)
class Services:
    """The run's actors by name, and the names of the models that this run serves itself. `batch_caller` is there where
    work goes through batches, `openings` are the shards that keep near-duplicates out of these; `lanes` are keys at
    endpoints, each with the name of its key."""

    crew: Crew
    links: Links
    embedded_models: list[str]
    batch_caller: Named | None = None
    openings: Sequence[Named] = ()
    lanes: Sequence[tuple[str, str]] = ()
    broker: Named | None = None

    def key_states(self) -> list[KeyState]:
        """How each key is, by the name of where it is kept. Raises as Ray does."""
        if self.broker is None:
            return []
        resting, retired = ray.get(self.broker.handle().health.remote(), timeout=5)
        return [_key_state(lane, key, resting, retired) for lane, key in self.lanes]

    def settle(self) -> None:
        """Have the meter count all that the callers did so far."""
        self.crew.wait(*[(caller, "flush") for caller in self._all_callers])

    @property
    def _all_callers(self) -> list[Named]:
        return [*self.links.callers, *filter(None, [self.batch_caller])]

    def halt(self, reason: str) -> None:
        """Have the callers end all that they do, and all that is still sent to them, with this reason."""
        for caller in self._all_callers:
            with suppress(ValueError):  # it is gone
                caller.handle().halt.remote(reason)

    def callers(self, batched: bool) -> Sequence[Named]:
        """Who serves work that does, or does not, go through batches."""
        return [self.batch_caller] if batched and self.batch_caller else self.links.callers

    def talk_links(self, batched: bool) -> TalkLinks:
        """Who dialogues are made with."""
        return TalkLinks(self.callers(batched), self.links.meter, self.links.embedders, self.openings)

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
        arguments = (str(run_dir), rule, dedup.scope, dedup.thresholds, links)
        names = [
            self.crew.start(
                f"pool-{at}", PersonaPool, *arguments, **placed(settings.cluster.placement.pools), **LASTING
            )
            for at in range(settings.cluster.pools)
        ]
        try:
            yield [name.handle() for name in names]
        finally:
            self.crew.dismiss(*names)


def callers_needed(endpoints: list[Endpoint], chosen: Callers) -> int:
    """The most callers that the concurrency of all keys is worth, between the bounds."""
    return max(chosen.min, min(chosen.max, -(-allowed(endpoints).in_flight // chosen.in_flight)))


def callers_at_first(settings: Settings) -> int:
    """Caller processes that a run begins with, the one for batches included."""
    return settings.cluster.callers.min + (batches_personas(settings) or batches_dialogues(settings))


@contextmanager
def services(settings: Settings, run_dir: Path, run_id: str, spent_before: float = 0.0) -> Iterator[Services]:
    """The actors, up; `UserError` where a model cannot be loaded. `spent_before` counts against the budget, and
    batches bear `run_id` at their provider."""
    limit = settings.llm.budget_usd
    labels: dict[str, Labels] = {}
    with Crew() as crew:
        meter = crew.start_here("meter", Meter, run_id, max_restarts=FOREVER)
        dedup = settings.personas.dedup
        talk = settings.conversations
        looks_up = talk.context is Context.RAG and not talk.rag.retriever
        embeds, bounds = looks_up or talk.checks_openings, settings.cluster.embedders
        places = settings.cluster.placement
        embedders, shards = dedup_actors(dedup, run_dir / "dedup", bounds, crew, meter, embeds, places)
        near = talk.opening_threshold
        openings = opening_shards(near, dedup, run_dir / "openings", embedders, crew, places.dedup) if near else []
        targets, served = _with_embedded(endpoints(settings, labels), crew)
        broker = _broker(targets, limit, spent_before, run_dir, crew) if len(served) < len(targets) else None
        count = callers_needed(targets, settings.cluster.callers)
        batched = batches_personas(settings) or batches_dialogues(settings)
        wiring = Wiring(targets, count + batched, run_dir, settings.llm.timeout_s, broker, limit, run_id)
        make = chat_maker(wiring)
        traces = Traces(settings.llm.traces, run_id) if settings.llm.traces else None
        callers = _callers(targets, settings, count, make, meter, crew, traces)
        batch_caller = None
        if batched:
            make = batch_chat_maker(wiring, run_id)
            place = placed(places.callers)
            batch_caller = crew.start("batch-caller", LLMCaller, make, meter, traces, **place, max_restarts=FOREVER)
        everybody = [*callers, *filter(None, [batch_caller])]
        ready = [(name, "dimension") for name in dict.fromkeys(embedders)]
        crew.wait(*[(name, "pid") for name in everybody], *ready, *[(name, "size") for name in (*shards, *openings)])
        with watched_keys(settings, labels, broker.handle(), meter.handle()) if broker else nullcontext():
            links, lanes = Links(callers, embedders, shards, meter), _lanes(targets) if broker else []
            yield Services(crew, links, served, batch_caller, openings, lanes, broker)
        if batch_caller:
            with suppress(UserError):  # a caller that is down leaves it to the next one
                crew.wait((batch_caller, "close"))


def _lanes(targets: list[Endpoint]) -> list[tuple[str, str]]:
    return [(lane_name(one, name), name) for one in targets for name, _ in one.keys]


def _key_state(lane: str, key: str, resting: Mapping[str, float], retired: Mapping[str, str]) -> KeyState:
    if lane in retired:
        return KeyState(key, "retired", retired[lane])
    return KeyState(key, "rests", f"{resting[lane]:.0f} s") if lane in resting else KeyState(key)


def _callers(
    targets: list[Endpoint],
    settings: Settings,
    most: int,
    make: MakeChat,
    meter: Named,
    crew: Crew,
    traces: Traces | None,
) -> list[Named]:
    """The callers: as many as ever, or a fleet where their number may change."""
    chosen = settings.cluster.callers
    options = placed(settings.cluster.placement.callers) | {"max_restarts": FOREVER}
    if chosen.min == most:
        return [crew.start(f"caller-{at}", LLMCaller, make, meter, traces, **options) for at in range(most)]
    crowd = Crowd(allowed(targets), Bounds(chosen.min, most, chosen.in_flight, chosen.idle_s))
    fleet = crew.start_here("callers", CallerFleet, crew.namespace, make, meter, crowd, options, traces, **LASTING)
    return [Fleet(fleet.name, fleet.namespace)]


def _broker(targets: list[Endpoint], budget_usd: float | None, spent_before: float, run_dir: Path, crew: Crew) -> Named:
    """Who leases money and limits, and tells callers of keys."""
    limits = key_limits(targets)
    budget = Budget(budget_usd, spent_before, run_dir / "budget.json") if budget_usd else None
    return crew.start_here("broker", KeyBroker, crew.namespace, budget, limits, **LASTING)


def _with_embedded(targets: list[Endpoint], crew: Crew) -> tuple[list[Endpoint], list[str]]:
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
