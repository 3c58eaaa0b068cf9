"""Who is to be written about: people drawn from a population, or those of personas that there are."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from actors.logic.bio_call import BioCall
from actors.logic.bio_rule import BioRule, bio_id
from actors.logic.document import BadDocument, Document
from actors.logic.growth import Failure
from actors.logic.persona import normal_form
from actors.logic.variables import Population
from cluster.errors import UserError
from cluster.object_path import path_of
from pipelines.settings import Bios
from pipelines.sources import Split, check_fields, count_documents, find_files, plan_splits, read_split

_PERSONA_CHARACTERS = 4_000


@dataclass(frozen=True, slots=True)
class Unit:
    """People number `begin` to `end` − 1, who become one part."""

    name: str
    begin: int
    end: int


FilledUnits = Iterator[tuple[Unit, list[BioCall | Failure]]]


class People(Protocol):
    """A source of people. `size` is how many there are, None where there is no end to them; `fingerprint` says whether
    they are the same ones as before."""

    @property
    def size(self) -> int | None: ...

    @property
    def fingerprint(self) -> str: ...

    def of(self, units: Sequence[Unit]) -> FilledUnits:
        """The people of the units, which come in ascending order; read as they are asked for."""
        ...


@dataclass(frozen=True, slots=True)
class Drawn:
    """People whose traits are drawn from a population; each of the `models` in turn."""

    population: Population
    rule: BioRule
    models: Sequence[str]
    size: None = None

    @property
    def fingerprint(self) -> str:
        return _digest(repr([(one.names, one.given, one.laws) for one in self.population.blocks]))

    def of(self, units: Sequence[Unit]) -> FilledUnits:
        source = _digest(self.rule.description)
        for unit in units:
            yield unit, [self._person(source, index) for index in range(unit.begin, unit.end)]

    def _person(self, source: str, index: int) -> BioCall:
        ours = bio_id(self.rule.seed, self.rule.kind, source, index)
        return BioCall(ours, self.rule, _in_turn(self.models, index), self.population.draw(self.rule.seed, index))


@dataclass(frozen=True, slots=True)
class OfPersonas:
    """People of personas in files, in the order of the files; each of the `models` in turn."""

    splits: Sequence[Split]
    text_field: str
    id_field: str | None
    rule: BioRule
    models: Sequence[str]
    size: int

    @property
    def fingerprint(self) -> str:
        return _digest(repr([(file.path, file.size) for split in self.splits for file in split.files]))

    def of(self, units: Sequence[Unit]) -> FilledUnits:
        found, at = self._read(), 0
        for unit in units:
            mine = itertools.islice(found, unit.begin - at, unit.end - at)
            yield unit, [self._person(index, one) for index, one in enumerate(mine, unit.begin)]
            at = unit.end

    def _read(self) -> Iterator[Document | BadDocument]:
        for split in self.splits:
            yield from read_split(split, self.text_field, self.id_field, _PERSONA_CHARACTERS)

    def _person(self, index: int, found: Document | BadDocument) -> BioCall | Failure:
        if isinstance(found, BadDocument):
            return Failure(found.source, "bios", found.kind, found.message, 1)
        ours = bio_id(self.rule.seed, self.rule.kind, found.document_id, index)
        model = _in_turn(self.models, index)
        return BioCall(ours, self.rule, model, persona_id=found.document_id, persona=found.text)


def drawn(population: Population, rule: BioRule, models: Sequence[str]) -> Drawn:
    """People of a population. What stands in the description of the simulation may stand in any text."""
    told = f" {normal_form(rule.description)} "
    domains = {
        name: tuple(value for value in values if f" {normal_form(value)} " not in told)
        for name, values in population.domains().items()
    }
    return Drawn(population, replace(rule, domains=domains), models)


def of_personas(chosen: Bios, rule: BioRule) -> OfPersonas:
    """The personas of a run, or of files; `UserError` where there are none."""
    assert chosen.personas is not None
    folder = path_of(chosen.personas).expanduser()
    is_run = (folder / "manifest.json").is_file()
    text_field, id_field = ("text", "persona_id") if is_run else (chosen.persona_field, None)
    files = find_files([str(folder / "personas" / "part-*.parquet")] if is_run else [chosen.personas])
    check_fields(files, text_field, id_field, "bios.persona_field")
    splits = plan_splits(files)
    size = count_documents(splits)
    if not size:
        raise UserError(f"bios.personas: no persona in {chosen.personas}")
    return OfPersonas(splits, text_field, id_field, rule, chosen.models, size)


def _in_turn(models: Sequence[str], index: int) -> str | None:
    return models[index % len(models)] if models else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]
