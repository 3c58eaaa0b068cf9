"""The long-lived actors of a run, made in the order in which they need one another, and ended with it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import ActorDiedError, RayActorError, RayTaskError

from actors.dedup_service import DedupService
from actors.embedder import Embedder
from actors.llm_caller import LLMCaller
from actors.logic.growth import GrowthRule
from actors.logic.near_duplicates import Scope
from actors.persona_pool import Links, PersonaPool
from cluster.chat import ChatModel
from cluster.errors import UserError
from cluster.keys import Endpoint, Lanes, Secret
from cluster.meter import Meter, Tally
from pipelines.settings import EMBEDDED, Settings, endpoints

FOREVER = -1
_CALLER_SHARE = 256  # requests in flight that one caller process drives well


@dataclass(frozen=True, slots=True)
class Services:
    """Handles of the run's actors, and the names of the models that this run serves itself."""

    links: Links
    embedded_models: list[str]

    def settle(self) -> None:
        """Have the meter count all that the callers did so far."""
        ray.get([caller.flush.remote() for caller in self.links.callers])


def callers_needed(endpoints: list[Endpoint], low: int, high: int) -> int:
    """Caller processes for the concurrency that the endpoints allow, between the bounds."""
    in_flight = sum(endpoint.max_concurrency * len(endpoint.keys) for endpoint in endpoints)
    return max(low, min(high, -(-in_flight // _CALLER_SHARE)))


def chat_maker(
    targets: list[Endpoint], callers: int, journal: Path, timeout_s: float
) -> Callable[[Tally], ChatModel]:
    """What builds a caller's model in its own process; `openai` is imported there, not here."""

    def make(tally: Tally) -> ChatModel:
        from cluster.journal import JournalReader, JournalWriter
        from cluster.paid_chat import JournaledChat, PaidChat
        from cluster.transport import OpenAITransport

        paid = PaidChat(Lanes(targets, callers), OpenAITransport(timeout_s), tally)
        writer = JournalWriter(journal, writer_id=uuid.uuid4().hex[:12])
        return JournaledChat(paid, JournalReader(journal), writer, tally)

    return make


@contextmanager
def services(settings: Settings, run_dir: Path) -> Iterator[Services]:
    """The actors, up; `UserError` where a model cannot be loaded."""
    started: list[Any] = []

    def start(kind: type, *arguments: Any, **options: Any) -> Any:
        handle = ray.remote(kind).options(**options).remote(*arguments)
        started.append(handle)
        return handle

    try:
        meter = start(Meter, num_cpus=0)
        dedup = settings.personas.dedup
        lasting = {"max_restarts": FOREVER, "max_task_retries": FOREVER}
        embedders, deduper = [], None
        if dedup.scope is not Scope.NONE:
            embedders = [start(Embedder, dedup.model, num_cpus=0.5, **lasting)]
        if dedup.scope is Scope.CORPUS:
            log = str(run_dir / "dedup")
            deduper = start(DedupService, dedup.threshold, embedders, log, dedup.model, num_cpus=0.25, **lasting)
        targets, served = _with_embedded(endpoints(settings), start)
        count = callers_needed(targets, settings.cluster.callers.min, settings.cluster.callers.max)
        make = chat_maker(targets, count, run_dir / "journal", settings.llm.timeout_s)
        callers = [start(LLMCaller, make, meter, num_cpus=0.25, max_restarts=FOREVER) for _ in range(count)]
        _await([handle.pid.remote() for handle in callers] + ([deduper.size.remote()] if deduper else []))
        yield Services(Links(callers, embedders, deduper, meter), served)
    finally:
        for handle in reversed(started):
            ray.kill(handle)


def persona_pools(settings: Settings, run_dir: Path, services: Services, rule: GrowthRule) -> list[Any]:
    """The persona pool actors, which die of nothing but their own process and are then made again by Ray."""
    dedup = settings.personas.dedup
    kind = ray.remote(PersonaPool).options(num_cpus=0.25, max_restarts=FOREVER, max_task_retries=FOREVER)
    return [
        kind.remote(str(run_dir), rule, dedup.scope, dedup.threshold, services.links)
        for _ in range(settings.cluster.pools)
    ]


def _with_embedded(targets: list[Endpoint], start: Callable[..., Any]) -> tuple[list[Endpoint], list[str]]:
    """Endpoints whose `embedded` ones have become the address and key of a server in an actor of this run."""
    ready, served = [], []
    for target in targets:
        if target.base_url != EMBEDDED:
            ready.append(target)
            continue
        from actors.model_server import ModelServer

        server = start(ModelServer, target.model, num_cpus=1)
        [(url, key)] = _await([server.endpoint.remote()])
        ready.append(replace(target, base_url=url, keys=[(f"{target.name} (embedded)", Secret(key))]))
        served.append(target.model)
    return ready, served


def _await(references: list[Any]) -> list[Any]:
    """Their values; a `UserError` raised in an actor is raised here as it was there."""
    try:
        return list(ray.get(references))
    except RayTaskError as error:
        if isinstance(error.cause, UserError):
            raise UserError(str(error.cause)) from None
        raise
    except (ActorDiedError, RayActorError) as error:
        raise UserError(f"an actor did not start: {' '.join(str(error).split())[:300]}") from None
