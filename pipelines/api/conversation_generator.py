"""Makes conversations from a script: callbacks and stopping rules over the same run that `populace run` makes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich.console import Console

from actors.callbacks import BaseInstructionGeneratorCallback, BaseRespondentPromptModifierCallback
from cluster.errors import UserError
from pipelines.api.documents import DocumentProvider
from pipelines.api.keys import ApiKey
from pipelines.api.persona_generator import TARGET
from pipelines.api.results import Rows
from pipelines.api.running import Running
from pipelines.api.runs import Runs, whole
from pipelines.api.stopping import (
    BaseStoppingCallback,
    FixedNumberStoppingCallback,
    PersonaUsageStoppingCallback,
    Rules,
)
from pipelines.api.storage import BaseStorage, ParquetStorage, save
from pipelines.api.strategy import Strategy
from pipelines.hooks import Hooks
from pipelines.run_folder import lasting
from pipelines.settings import Settings

_MOST = 100_000  # rows of a generation that only a rule of the script's ends
_TURNS = 3
_PARTS_AHEAD = 2  # of the one who reads them
_LOOK_S = 0.2


class ConversationGenerator:
    """Simulates a user (correspondent) who talks to an assistant (respondent).

    - `respondent_prompt`: the assistant's system message.
    - `api_key`: one key, a list, or a `SmartKeyPool`; they rotate. None: the endpoint wants none.
    - `base_url`, `model_name`: an OpenAI-compatible endpoint (`https://…/v1`, or `embedded` for a model on this
      machine) and the model that plays both. Without `base_url` it is OPENAI_BASE_URL or OpenAI's own, and without a
      key OPENAI_API_KEY; the model is gpt-5-mini.
    - `correspondent_prompt`: who talks to the assistant, and how, for all dialogues alike. Where neither this nor a
      callback is given, the model writes it from `respondent_prompt`.
    - `instruction_generator_callback`: what is asked first, by whom, about which documents.
    - `respondent_prompt_modifier`: what the assistant has besides its prompt.
    - `auto_improve`: a judge (`evaluator_model_name`, or the same model) scores each dialogue, and one below the
      threshold is made anew, told why.
    - `storage`: where rows go besides the run's own Parquet.
    - `run_dir`: the run's folder. The same script goes on in it after a crash, for what is there is not made again; and
      `populace status`, `report` and `export` read it. A new one in `runs/` where it is left out.
    - `cluster_address`: a Ray cluster (`auto`, `ray://…`); None: the Ray that this process has joined, or one of its
      own.
    - `settings`: anything else that a config may say, such as `{"conversations": {"candidates": 4}}` or
      `{"personas.granularity": "fine"}`; it goes before what the parameters say.
    - `progress`: whether it shows how far it is.
    """

    def __init__(
        self,
        respondent_prompt: str = "You are a helpful assistant.",
        api_key: ApiKey = None,
        base_url: str | None = None,
        model_name: str | None = None,
        correspondent_prompt: str | None = None,
        instruction_generator_callback: BaseInstructionGeneratorCallback | None = None,
        respondent_prompt_modifier: BaseRespondentPromptModifierCallback | None = None,
        auto_improve: bool = False,
        evaluator_model_name: str | None = None,
        storage: BaseStorage | None = None,
        *,
        run_dir: str | Path | None = None,
        cluster_address: str | None = None,
        settings: Mapping[str, Any] | None = None,
        progress: bool = True,
    ) -> None:
        if run_dir is None and isinstance(storage, ParquetStorage):
            run_dir = storage.run_dir
        self._runs = Runs(api_key, base_url, model_name, run_dir, cluster_address, settings or {}, progress)
        self._strategy = Strategy(
            respondent_prompt,
            correspondent_prompt,
            instruction_generator_callback,
            respondent_prompt_modifier,
            auto_improve,
            evaluator_model_name,
        )
        self._storage = storage
        self._before: _Made | None = None

    async def generate(
        self,
        num_dialogs: int | None = None,
        max_turns: int = _TURNS,
        max_concurrency: int | None = None,
        stopping_criteria: Sequence[BaseStoppingCallback] | None = None,
    ) -> Rows:
        """Exactly `num_dialogs` conversations of `max_turns` exchanges, fewer where a rule of `stopping_criteria` ends
        it before (`stopped` of the result says which). Called again, it makes as many more.

        `max_concurrency`: requests in flight per key, at most. A dialogue that fails is a row of `failures/` and is
        made up for. Raises `UserError` before anything is paid, `Halt` when the run cannot go on or the number stays
        out of reach; what is done is kept. Cancelled, as by Ctrl-C, it ends within seconds, resumable.
        """
        return await self._begin(num_dialogs, max_turns, max_concurrency, stopping_criteria).running.result()

    def generate_sync(
        self,
        num_dialogs: int | None = None,
        max_turns: int = _TURNS,
        max_concurrency: int | None = None,
        stopping_criteria: Sequence[BaseStoppingCallback] | None = None,
    ) -> Rows:
        """As `generate`, from a plain script or a notebook's cell."""
        return self._begin(num_dialogs, max_turns, max_concurrency, stopping_criteria).running.wait()

    async def stream(
        self,
        num_dialogs: int | None = None,
        max_turns: int = _TURNS,
        max_concurrency: int | None = None,
        stopping_criteria: Sequence[BaseStoppingCallback] | None = None,
    ) -> AsyncIterator[dict[str, Any]]:
        """The rows of `generate` one by one, as parts of them become whole, some ten to a hundred at a time; who reads
        slowly slows it down. Left before its end, it ends the run, resumable."""
        parts, left = asyncio.Queue[pa.Table](_PARTS_AHEAD), threading.Event()
        begun = self._begin(num_dialogs, max_turns, max_concurrency, stopping_criteria, _into(parts, left))
        try:
            for row in begun.there:
                yield row
            while (part := await _next(parts, begun.running)) is not None:
                for row in part.to_pylist():
                    yield row
            await begun.running.result()
        finally:
            left.set()
            if not begun.running.is_over:
                await asyncio.to_thread(begun.running.stop)

    def _begin(
        self,
        rows: int | None,
        turns: int,
        concurrency: int | None,
        criteria: Sequence[BaseStoppingCallback] | None,
        see: Callable[[pa.Table], None] | None = None,
    ) -> _Begun:
        whole(rows, "num_dialogs")
        whole(turns, "max_turns")
        whole(concurrency, "max_concurrency")
        rules = Rules(_free(criteria or ()))
        asked = _least(rows, criteria or ())
        if asked is None and not rules:
            raise UserError("nothing says how many conversations are wanted; give num_dialogs, or stopping_criteria")
        needed = None if asked else _personas_needed(criteria or (), self._strategy.documents)
        folder, before, settings = self._place(asked or _MOST, turns, concurrency, needed)
        storage = self._storage
        hooks = replace(
            self._strategy.hooks(),
            stop=rules if rules else None,
            receive=partial(save, storage) if storage is not None else None,
            see=see,
        )
        there = Rows(folder, begin=before, end=settings.conversations.count)
        there = replace(there, end=before + len(there))

        def work(settings: Settings, console: Console, hooks: Hooks) -> Rows:
            talk(settings, console, hooks)
            made = Rows(folder, begin=before, end=settings.conversations.count, stopped=rules.said)
            console.print(f"{len(made):,} conversations in {folder}", highlight=False, soft_wrap=True)
            if self._strategy.needs_personas and not self._strategy.documents.has_personas:
                self._strategy.documents.run_dir = folder
            return made

        return _Begun(self._runs.begin(settings, work, hooks), there)

    def _place(
        self, asked: int, turns: int, concurrency: int | None, needed: int | None = None
    ) -> tuple[Path, int, Settings]:
        """The folder of a generation, how many rows of its run are of generations before this one, and its settings.
        What does not fit the run before goes into a new one, where the script names none."""
        if self._before:
            settings = self._settings(self._before.folder, self._before.rows + asked, turns, concurrency, needed)
            if self._runs.run_dir is not None or lasting(settings) == self._before.lasting:
                before = self._before.rows
                self._before = _Made(self._before.folder, before + asked, lasting(settings))
                return self._before.folder, before, settings
        folder = self._runs.folder("conversations")
        settings = self._settings(folder, asked, turns, concurrency, needed)
        self._before = _Made(folder, asked, lasting(settings))
        return folder, 0, settings

    def _settings(self, folder: Path, count: int, turns: int, concurrency: int | None, needed: int | None) -> Settings:
        sections = self._strategy.sections(folder)
        if needed is not None:  # else as many personas would be grown as the run could have rows
            sections["personas"] = {"target_per_document": needed} | sections.get("personas", {})
        sections["conversations"] |= {"count": count, "max_turns": turns}
        return self._runs.parsed(folder, sections, self._strategy.api_key, concurrency=concurrency)


@dataclass(frozen=True, slots=True)
class _Begun:
    """A generation under way, and the rows that were there before it."""

    running: Running[Rows]
    there: Rows


@dataclass(frozen=True, slots=True)
class _Made:
    """Where the generations so far went, and how many rows they asked for together."""

    folder: Path
    rows: int
    lasting: dict[str, Any]


def talk(settings: Settings, console: Console, hooks: Hooks) -> None:
    """A run, whole."""
    from pipelines.outputs import written_at_the_end
    from pipelines.run import run

    with written_at_the_end(settings, console):
        run(settings, console, "a script", hooks=hooks)


def _into(parts: asyncio.Queue[pa.Table], left: threading.Event) -> Callable[[pa.Table], None]:
    """Puts parts from the run's thread into the queue of this loop, and waits while it is full."""
    loop = asyncio.get_running_loop()

    def see(part: pa.Table) -> None:
        put = asyncio.run_coroutine_threadsafe(parts.put(part), loop)
        while not left.is_set():
            try:
                put.result(_LOOK_S)
                return
            except TimeoutError:
                continue
        put.cancel()

    return see


async def _next(parts: asyncio.Queue[pa.Table], running: Running[Rows]) -> pa.Table | None:
    """The next part, None once the run is over and all were taken."""
    while parts.empty():
        if running.is_over:
            return None
        with suppress(TimeoutError):
            return await asyncio.wait_for(parts.get(), _LOOK_S)
    return parts.get_nowait()


def _least(rows: int | None, criteria: Sequence[BaseStoppingCallback]) -> int | None:
    """The number that is asked for, by whatever says one."""
    numbers = [one.n for one in criteria if isinstance(one, FixedNumberStoppingCallback)]
    return min([*numbers, *([rows] if rows else [])], default=None)


def _personas_needed(criteria: Sequence[BaseStoppingCallback], documents: DocumentProvider) -> int:
    """Personas of a document, where no number of rows is asked for: those of one call, or as many as a rule counts."""
    counted = [one.n_personas for one in criteria if isinstance(one, PersonaUsageStoppingCallback)]
    return max(TARGET, -(-max(counted, default=0) // max(1, len(documents))))


def _free(criteria: Sequence[BaseStoppingCallback]) -> list[BaseStoppingCallback]:
    """The rules that are no number."""
    for one in criteria:
        if not isinstance(one, BaseStoppingCallback):
            raise UserError(f"stopping_criteria must be derived from BaseStoppingCallback, got a {type(one).__name__}")
    return [one for one in criteria if not isinstance(one, FixedNumberStoppingCallback)]


AsyncConversationGenerator = ConversationGenerator
