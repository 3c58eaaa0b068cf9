"""A simulation's people from settings to a dataset: variables or personas → traits → bios or backstories."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
from rich.console import Console

from actors.bio_writer import BioWriter
from actors.logic.bio_rule import BioRule
from actors.logic.near_duplicates import Scope
from actors.logic.variables_call import VariablesCall
from actors.model_server import CONTEXT
from cluster.errors import FailureKind, Halt, UserError
from cluster.files import write_atomically
from cluster.local_copies import local_copy
from cluster.manifest import Manifest
from cluster.program import Done, Failed, Halted, Outcome
from pipelines.batching import unbatched
from pipelines.bios.laps import Laps, is_finished
from pipelines.bios.people import People, drawn, of_personas
from pipelines.bios.variables import as_yaml, read_population
from pipelines.crew import LASTING
from pipelines.endpoints import endpoints
from pipelines.hooks import Hooks
from pipelines.run import at_work, check_endpoints
from pipelines.run_folder import VARIABLES, open_run
from pipelines.services import Services
from pipelines.settings import EMBEDDED, SAMPLES, Bios, Settings
from pipelines.templates import read_template

_CHARACTERS_PER_TOKEN = 4
_OTHER_TOKENS = 1_600  # of a prompt without its description, and of an answer


def bios(
    settings: Settings,
    console: Console,
    command: str = "populace bios",
    fresh: bool = False,
    hooks: Hooks | None = None,
) -> Manifest:
    """Go on with the bios of the run in `settings.run_dir`, or begin them; returns its manifest.

    `UserError` before anything is paid, `Halt` when it ends with work undone, as `run`.
    """
    if settings.bios is None:
        raise UserError("bios is missing: a section with a description of the simulation, or with personas")
    chosen, rule, hooks = settings.bios, _rule(settings, settings.bios), hooks or Hooks()
    with open_run(settings, command, fresh) as manifest:
        if hooks.opened:
            hooks.opened()
        people = _known_people(chosen, rule, settings, manifest)
        if people and is_finished(manifest, _asked(chosen, people)):
            console.print(f"{settings.run_dir} is finished: nothing to do", highlight=False, soft_wrap=True)
            return manifest
        online = unbatched(settings)
        _check_context(chosen, settings, check_endpoints(settings, console, endpoints(settings)))
        with (
            at_work(_without_dedup(online), console, manifest, control=hooks.control) as (services, view),
            _writers(online, services) as writers,
        ):
            if people is None:
                people = _people_of(_ask_for_variables(chosen, settings, writers[0]), chosen, rule, manifest)
            Laps(settings.folder, manifest, people, _asked(chosen, people), writers, services, view).run()
    return manifest


def _rule(settings: Settings, chosen: Bios) -> BioRule:
    """`UserError` where the user's prompt cannot be used."""
    own = read_template("bios.prompt", chosen.prompt)
    rule = BioRule(chosen.kind, chosen.description, chosen.language, settings.seed, settings.llm.small_model, own)
    rule.template()
    return rule


def _known_people(chosen: Bios, rule: BioRule, settings: Settings, manifest: Manifest) -> People | None:
    """The people, where no model has to be asked for variables first."""
    if chosen.personas:
        return _the_same(of_personas(chosen, rule), manifest, f"bios.personas {chosen.personas}")
    kept = settings.folder / VARIABLES
    if not chosen.variables and not (kept.is_file() and "bios" in manifest.facts):
        return None
    return _people_of(chosen.variables or [str(local_copy(kept))], chosen, rule, manifest)


def _people_of(files: list[str], chosen: Bios, rule: BioRule, manifest: Manifest) -> People:
    people = drawn(read_population(files), rule, chosen.models)
    return _the_same(people, manifest, f"what {', '.join(files)} says")


def _the_same(people: People, manifest: Manifest, what: str) -> People:
    """`UserError` where bios were made of others."""
    before = manifest.facts.get("bios")
    if manifest.bios.parts and before != people.fingerprint:
        raise UserError(
            f"{what} has changed since bios were made of it; choose another run_dir, or --fresh to start over"
        )
    manifest.facts["bios"] = people.fingerprint
    manifest.save()
    return people


def _asked(chosen: Bios, people: People) -> int:
    if people.size is None:
        return chosen.num_of_samples or SAMPLES
    return min(chosen.num_of_samples or people.size, people.size)


def _check_context(chosen: Bios, settings: Settings, told: list[int]) -> None:
    """`UserError` where the description leaves no room for an answer."""
    known = [one.context_tokens for one in settings.llm.endpoints if one.context_tokens] or told
    known = [*known, *(CONTEXT for one in settings.llm.endpoints if one.base_url == EMBEDDED)]
    tokens = len(chosen.description) // _CHARACTERS_PER_TOKEN
    if known and tokens + min(_OTHER_TOKENS, min(known) // 2) > min(known):
        raise UserError(
            f"bios.description has {len(chosen.description):,} characters, about {tokens:,} tokens, which do not fit "
            f"the {min(known):,} of the model beside an answer; shorten it, or take a model with a larger context"
        )


def _without_dedup(settings: Settings) -> Settings:
    dedup = settings.personas.dedup.model_copy(update={"scope": Scope.NONE})
    return settings.model_copy(update={"personas": settings.personas.model_copy(update={"dedup": dedup})})


@contextmanager
def _writers(settings: Settings, services: Services) -> Iterator[list[Any]]:
    arguments = (str(settings.folder), services.links.callers, services.links.meter)
    crew = services.crew
    names = [
        crew.start(f"bios-{at}", BioWriter, *arguments, num_cpus=0.25, **LASTING)
        for at in range(settings.cluster.pools)
    ]
    try:
        yield [name.handle() for name in names]
    finally:
        crew.dismiss(*names)


def _ask_for_variables(chosen: Bios, settings: Settings, writer: Any) -> list[str]:
    """The file that a model's variables were written to: of the first model that named some that fit. `Halt` where none
    did."""
    models: list[str | None] = [*(chosen.variable_models or chosen.models[:1])] or [None]
    outcome: Outcome = Failed(FailureKind.EMPTY, "no model was asked", 0)
    for model in models:
        call = VariablesCall(chosen.description, settings.seed, model, settings.llm.small_model)
        outcome = ray.get(writer.ask.remote(call))
        if not isinstance(outcome, Failed):
            break
    match outcome:
        case Done(variables):
            assert isinstance(variables, list)
            kept = settings.folder / VARIABLES
            write_atomically(kept, as_yaml(variables))
            return [str(local_copy(kept))]
        case Failed(_, message, _):
            raise Halt(
                f"the model named no variables that fit together ({message}); name files of your own in bios.variables"
            )
        case Halted(reason):
            raise Halt(reason)
