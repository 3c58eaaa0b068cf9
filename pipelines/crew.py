"""Named actors that are started, waited for and ended together."""

from __future__ import annotations

import time
import uuid
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, RayActorError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cluster.errors import PopulaceError, UserError
from cluster.named import Named, as_raised, start

FOREVER = -1
LASTING = {"max_restarts": FOREVER, "max_task_retries": FOREVER}
_RESTART_S = 60.0


class Crew:
    """Actors that were started under names in one namespace, which end with the block."""

    def __init__(self) -> None:
        self.namespace = f"populace-{uuid.uuid4().hex[:12]}"
        self._handles: dict[str, Any] = {}

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        self.dismiss()

    def start(self, name: str, kind: type, *arguments: Any, **options: Any) -> Named:
        named = Named(name, self.namespace)
        self._handles[name] = start(kind, named, *arguments, **options)
        return named

    def start_here(self, name: str, kind: type, *arguments: Any, **options: Any) -> Named:
        """As `start`, for one that takes next to nothing and shall be lost with this process rather than before: on the
        driver's own node, as long as that can be."""
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        return self.start(name, kind, *arguments, num_cpus=0, scheduling_strategy=here, **options)

    def wait(self, *asked: tuple[Named, str]) -> list[Any]:
        """Answers of argumentless methods, which come once their actors are up; `UserError` as an actor raised it."""
        deadline = time.monotonic() + _RESTART_S
        while True:
            try:
                return list(ray.get([getattr(self._handles[one.name], method).remote() for one, method in asked]))
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
        for name in [one.name for one in names] or reversed(list(self._handles)):
            ray.kill(self._handles.pop(name))
