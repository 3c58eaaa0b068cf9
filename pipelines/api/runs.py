"""What all generators of the API have in common: whom they ask, where their runs lie, and how these are begun."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import yaml
from rich.console import Console

from cluster.errors import UserError
from cluster.files import write_atomically
from cluster.object_path import path_of
from pipelines.api.keys import ApiKey, pool_of, references
from pipelines.api.running import Running
from pipelines.given_keys import KIND
from pipelines.hooks import Control, Hooks
from pipelines.settings import Settings, parse

OPENAI = "https://api.openai.com/v1"
MODEL = "gpt-5-mini"

T = TypeVar("T")
Sections = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Runs:
    """The parameters that generators share; what they mean is told at `ConversationGenerator`."""

    api_key: ApiKey = field(default=None, repr=False)
    base_url: str | None = None
    model_name: str | None = None
    run_dir: str | Path | None = None
    cluster_address: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    progress: bool = True

    def folder(self, kind: str) -> Path:
        """Where the next run goes: as the script says, else a new folder in `runs/`."""
        if self.run_dir is not None:
            return path_of(self.run_dir)
        return Path("runs") / f"{kind}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"

    def parsed(self, folder: Path, sections: Sections, *keys: ApiKey, concurrency: int | None = None) -> Settings:
        """The settings of a run. What the script says in `settings` goes before `sections`."""
        pool = pool_of(self.api_key, *keys)
        if self.base_url is None and not len(pool):  # a key of OpenAI's goes nowhere else
            pool = pool_of(os.environ.get("OPENAI_API_KEY"))
        endpoint: Sections = {
            "base_url": self.base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI,
            "model": self.model_name or MODEL,
            "keys": references(pool),
            "requests_per_minute": pool.requests_per_minute,
            "tokens_per_minute": pool.tokens_per_minute,
        }
        if concurrency is not None:
            endpoint["max_concurrency"] = concurrency
        ours = {"run_dir": str(folder), "llm": {"endpoints": [endpoint]}, "cluster": {"address": self.cluster_address}}
        return parse(_over(_over(ours, sections), _nested(self.settings)))

    @property
    def console(self) -> Console:
        return Console(quiet=not self.progress)

    def begin(self, settings: Settings, work: Callable[[Settings, Console, Hooks], T], hooks: Hooks) -> Running[T]:
        """The work on this run, under way."""
        address, console = settings.cluster.address, self.console

        def run() -> T:
            from cluster.session import joined

            joined(address)
            return work(settings, console, replace(hooks, opened=partial(keep_settings, settings)))

        return Running(run, hooks.control)

    def begin_bare(self, settings: Settings, work: Callable[[Settings, Console, Control], T]) -> Running[T]:
        """As `begin`, where there is nothing of the script's in the run but its wish to end it."""
        return self.begin(settings, lambda asked, console, hooks: work(asked, console, hooks.control), Hooks())


def keep_settings(settings: Settings) -> None:
    """Write `settings.yaml` into the run's folder, so that a command can go on with it. No key is in it, nor a
    reference to one that is in the memory of the script."""
    content = settings.model_dump(mode="json", exclude_unset=True)
    for endpoint in content["llm"]["endpoints"]:
        endpoint["keys"] = [key for key in endpoint.get("keys", ()) if not key.startswith(f"{KIND}:")]
    told = "# What a script asked for; `populace run` goes on with it. Name the keys that the script held in memory.\n"
    write_atomically(settings.folder / "settings.yaml", told + yaml.safe_dump(content, sort_keys=False))


def _nested(settings: Mapping[str, Any]) -> Sections:
    """Sections within sections, dotted keys (`personas.depth`) included."""
    nested: Sections = {}
    for name, value in settings.items():
        value = _nested(value) if isinstance(value, Mapping) else value
        for step in reversed(name.split(".")[1:]):
            value = {step: value}
        nested = _over(nested, {name.split(".")[0]: value})
    return nested


def _over(under: Sections, over: Mapping[str, Any]) -> Sections:
    merged = dict(under)
    for name, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = _over(merged[name], value) if both else value
    return merged


def whole(value: int | None, name: str) -> None:
    """`UserError` where a number of things is given and is none."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise UserError(f"{name} must be a whole number of at least 1, got {value!r}")
