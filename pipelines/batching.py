"""Which work of a run goes through a provider's batches, and how much of it at once.

Batches are of the first endpoint, where that says so: of work that needs no answer to be asked on, or one at most.
"""

from __future__ import annotations

import urllib.error
import urllib.request

from cluster.batch_folder import outstanding
from cluster.errors import Halt, UserError
from cluster.keys import Endpoint
from pipelines.settings import Settings

_TIMEOUT_S = 10.0
_PARTS_AT_ONCE = 20  # parts in growth, units of dialogues: about what one batch takes, over all pools


def batches_personas(settings: Settings) -> bool:
    """Whether persona layers go through batches."""
    return settings.llm.endpoints[0].batch


def batches_dialogues(settings: Settings) -> bool:
    """Whether dialogues do; those of more than an exchange or with tools, and those that are judged or whose openings
    are checked, would wait for a batch at every step."""
    talk = settings.conversations
    waits = talk.max_turns > 1 or talk.tools is not None or talk.is_judged or talk.checks_openings
    return settings.llm.endpoints[0].batch and not waits


def in_flight(usual: int, batched: bool, pools: int) -> int:
    """Parts that one pool works on at once: `usual`, or more where they wait for batches together."""
    return max(usual, _PARTS_AT_ONCE // pools) if batched else usual


def unbatched(settings: Settings) -> Settings:
    """The same, all online: for who waits for a few answers."""
    endpoints = [one.model_copy(update={"batch": False}) for one in settings.llm.endpoints]
    return settings.model_copy(update={"llm": settings.llm.model_copy(update={"endpoints": endpoints})})


def warnings(settings: Settings) -> list[str]:
    """Settings of batches that do nothing."""
    return [
        f"llm.endpoints[{at}].batch does nothing: batches are of the first endpoint alone"
        for at, one in enumerate(settings.llm.endpoints)
        if one.batch and at and not settings.llm.endpoints[0].batch
    ]


def check_under_way(settings: Settings) -> None:
    """`UserError` where batches of this run are under way and its settings no longer lead to them."""
    try:
        left = outstanding(settings.folder / "batches")
    except Halt as halt:
        raise UserError(str(halt)) from None
    first = settings.llm.endpoints[0]
    lost = [one for one in left if not first.batch or one.base_url != first.base_url]
    if lost:
        calls = sum(one.calls for one in lost)
        raise UserError(
            f"{settings.run_dir} has {calls:,} calls in batches under way at {lost[0].base_url}; keep that as "
            "llm.endpoints[0] with batch: true until they are done, or remove its folder batches/ to pay for them again"
        )


def check_batches(targets: list[Endpoint]) -> None:
    """`UserError` where the endpoint that is to make batches makes none."""
    target = targets[0]
    for _, secret in target.keys if target.batch else ():
        headers = {"Authorization": f"Bearer {secret.reveal()}"}
        request = urllib.request.Request(f"{target.base_url}/batches?limit=1", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S):  # http and https alone pass the settings
                return
        except urllib.error.HTTPError as error:
            if error.code in (404, 405, 501):
                where = f"{target.name} {target.base_url}"
                raise UserError(f"{where} has no /batches (HTTP {error.code}); leave out its batch: true") from None
        except (OSError, ValueError):  # what stands in the way is found where models are asked for
            return
