"""Has a model write who talks to the assistant, once for a run, where the config does not say it."""

from __future__ import annotations

import asyncio
import logging

from actors.logic.dialogue.manner import MannerCall
from cluster.caller_pool import CallerPool
from cluster.errors import Halt
from cluster.program import Done, Halted, Outcome
from pipelines.services import Services
from pipelines.settings import Settings
from pipelines.talking import writes_manner

log = logging.getLogger(__name__)


def manner(settings: Settings, services: Services) -> str:
    """What correspondents are told beside their persona; what was written before is in the journal. Where nothing is
    written, their persona has to do. Raises `Halt` where the run cannot go on."""
    if not writes_manner(settings):
        return settings.conversations.correspondent_prompt or ""
    call = MannerCall(settings.conversations.respondent_prompt, settings.seed, settings.conversations.max_tokens)
    outcome = asyncio.run(_outcome(call, services))
    if isinstance(outcome, Halted):
        raise Halt(outcome.reason)
    if isinstance(outcome, Done):
        return str(outcome.value)
    log.warning("conversations.correspondent_prompt could not be written (%s); personas do without", outcome.message)
    return ""


async def _outcome(call: MannerCall, services: Services) -> Outcome:
    return await CallerPool(services.callers(batched=False)).run(call)
