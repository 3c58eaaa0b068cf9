"""People of a simulation from a script: bios and backstories, by the classes and the data set that scripts know."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pydantic import BaseModel
from rich.console import Console

from actors.logic.bio_text import BioKind
from cluster.errors import UserError
from cluster.files import write_atomically
from pipelines.api.keys import ApiKey
from pipelines.api.results import Rows
from pipelines.api.running import Running
from pipelines.api.runs import Runs, Sections, whole
from pipelines.hooks import Hooks
from pipelines.settings import Settings

if TYPE_CHECKING:
    import datasets
    import pandas as pd


class Model(StrEnum):
    """Models by the names that scripts use, as OpenRouter calls them; any other model goes by its own name."""

    ANTHROPIC_HAIKU_3_5_OR = "anthropic/claude-3.5-haiku"
    QWEN2_5_72B_OR = "qwen/qwen-2.5-72b-instruct"
    QWEN2_5_7B_OR = "qwen/qwen-2.5-7b-instruct"
    QWEN2_5_7B_FP16 = "qwen2.5-7b-instruct"
    LLAMA_3_1_8B_OR = "meta-llama/llama-3.1-8b-instruct"
    LLAMA3_1_8B_FP16 = "llama-3.1-8b-instruct"


class VariablesOutput(BaseModel):
    """The variables that the people of a simulation differ in."""

    variables: str


class BioOutput(BaseModel):
    """A person in one sentence, and the model that wrote it."""

    bio: str
    model: str


class BackstoryOutput(BaseModel):
    """A person in 150 to 250 words, and the model that wrote it."""

    backstory: str
    model: str


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a simulation's people; each has models of its own."""

    name: str
    OutputSchema: type[BaseModel]


@dataclass(frozen=True, slots=True)
class People:
    """What is written about each person, in steps: the variables of the simulation, then a text for each person whose
    traits were drawn from them."""

    kind: BioKind
    steps: tuple[Step, ...]

    def __getitem__(self, at: int) -> Step:
        return self.steps[at]

    def __len__(self) -> int:
        return len(self.steps)


_VARIABLES = Step("variables", VariablesOutput)
PersonaBio = People(BioKind.BIO, (_VARIABLES, Step("bio", BioOutput)))
PersonaBackstory = People(BioKind.BACKSTORY, (_VARIABLES, Step("backstory", BackstoryOutput)))


@dataclass(slots=True)
class DriaDataset:
    """Rows of `schema` under a `name`; a `DatasetGenerator` adds to them."""

    name: str
    description: str
    schema: type[BaseModel]
    rows: list[dict[str, Any]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)

    def to_arrow(self) -> pa.Table:
        """A row each."""
        return pa.Table.from_pylist(self.rows)

    def to_pandas(self) -> pd.DataFrame:
        """A row each."""
        return self.to_arrow().to_pandas()

    def to_dataset(self) -> datasets.Dataset:
        """A `datasets.Dataset`; needs that library."""
        from datasets import Dataset

        return Dataset(self.to_arrow())

    def to_json(self, path: str | Path) -> None:
        """Write the rows as a JSON list."""
        write_atomically(Path(path), json.dumps(self.rows, ensure_ascii=False, indent=1))


class DatasetGenerator:
    """Fills a data set with people. Parameters as of `ConversationGenerator`; each instruction is a run of its own,
    below `run_dir` where there are several."""

    def __init__(
        self,
        dataset: DriaDataset,
        api_key: ApiKey = None,
        base_url: str | None = None,
        *,
        run_dir: str | Path | None = None,
        cluster_address: str | None = None,
        settings: Mapping[str, Any] | None = None,
        progress: bool = True,
    ) -> None:
        self.dataset = dataset
        self._runs = Runs(api_key, base_url, None, run_dir, cluster_address, settings or {}, progress)

    async def generate(
        self,
        instructions: Sequence[Mapping[str, Any]],
        singletons: People,
        models: Sequence[str | Sequence[str]] | str | None = None,
    ) -> DriaDataset:
        """People for each instruction: `simulation_description` and `num_of_samples` (10), or `persona_traits`, a list
        of traits that one person has.

        `models`: for each step a model or a list of them; one list is for the last step. Variables are asked of the
        first that names any that fit together; texts are asked of theirs in turn. Raises `UserError` before anything is
        paid, `Halt` when people are missing in the end; what is done is kept.
        """
        for running in self._begin(instructions, singletons, models):
            self.dataset.rows += _outputs(await running.result(), singletons)
        return self.dataset

    def generate_sync(
        self,
        instructions: Sequence[Mapping[str, Any]],
        singletons: People,
        models: Sequence[str | Sequence[str]] | str | None = None,
    ) -> DriaDataset:
        """As `generate`, from a plain script or a notebook's cell."""
        for running in self._begin(instructions, singletons, models):
            self.dataset.rows += _outputs(running.wait(), singletons)
        return self.dataset

    def _begin(
        self,
        instructions: Sequence[Mapping[str, Any]],
        people: People,
        models: Sequence[str | Sequence[str]] | str | None,
    ) -> Iterator[Running[Rows]]:
        """One after the other, all checked before the first begins."""
        asked = list(instructions)
        if not asked:
            raise UserError("instructions is empty; give at least one with a simulation_description")
        folder, variables, texts = self._runs.folder("bios"), *_by_step(models)
        jobs = []
        for number, one in enumerate(asked):
            own = folder / f"{number:03d}" if len(asked) > 1 else folder
            bios = _bios(one, people, own) | {"models": texts, "variable_models": variables}
            runs = replace(self._runs, model_name=texts[0]) if texts else self._runs
            jobs.append((runs, runs.parsed(own, {"bios": bios})))
        return (runs.begin(settings, _make, Hooks()) for runs, settings in jobs)


def _make(settings: Settings, console: Console, hooks: Hooks) -> Rows:
    from pipelines.bios import bios
    from pipelines.outputs import written_at_the_end

    with written_at_the_end(settings, console):
        bios(settings, console, "a script", hooks=hooks)
    return Rows(settings.folder, "bios")


def _by_step(models: Sequence[str | Sequence[str]] | str | None) -> tuple[list[str], list[str]]:
    """Those of the variables, and those of the texts."""
    if models is None or isinstance(models, str):
        return [], [models] if models else []
    if all(isinstance(one, str) for one in models):
        return [], [str(one) for one in models]
    if len(models) != 2:
        raise UserError(f"models has {len(models)} lists; give one for the variables and one for the texts")
    first, last = ([one] if isinstance(one, str) else [str(name) for name in one] for one in models)
    return first, last


def _bios(instruction: Mapping[str, Any], people: People, folder: Path) -> Sections:
    known = {"simulation_description", "num_of_samples", "persona_traits"}
    if unknown := sorted(set(instruction) - known):
        raise UserError(f"an instruction has {unknown[0]!r}; it may have {', '.join(sorted(known))}")
    samples = instruction.get("num_of_samples")
    whole(samples, "num_of_samples")
    section: Sections = {"kind": people.kind.value, "num_of_samples": samples}
    if description := instruction.get("simulation_description"):
        section["description"] = description
    if traits := instruction.get("persona_traits"):
        if isinstance(traits, str) or not all(isinstance(one, str) for one in traits):
            raise UserError("persona_traits must be a list of traits such as ['32 years old', 'a weaver']")
        path = folder.absolute() / "given" / "persona.jsonl"
        write_atomically(path, json.dumps({"text": "; ".join(traits)}, ensure_ascii=False) + "\n")
        section |= {"personas": str(path), "num_of_samples": 1}
    return section


def _outputs(rows: Rows, people: People) -> list[dict[str, Any]]:
    name = people[-1].name
    return [{name: row["text"], "model": row["model"], "traits": json.loads(row["traits"] or "{}")} for row in rows]
