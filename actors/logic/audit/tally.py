"""Counts of who is there, as descriptions come by: how often each group and each pair of groups, with a few examples.

Grows with the groups and titles of the lexicon, not with the personas.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from actors.logic.audit.lexicon import attributes
from actors.logic.audit.reading import Labels, label
from actors.logic.audit.statistics import Table

JOB = "job"  # the title itself, which is finer than the groups of occupations
_EXAMPLES = 2
_TITLES = 40

Cell = tuple[str, str, str, str]  # attribute, group, attribute, group


@dataclass(frozen=True, slots=True, order=True)
class Example:
    """A persona by a key that hangs on its id alone, so that the same ones are shown in whatever order they came."""

    key: int
    persona_id: str
    text: str


@dataclass(slots=True)
class Tally:
    """What was seen. `groups` counts (attribute, group), `cells` pairs of groups of one persona each."""

    personas: int = 0
    not_english: int = 0
    nothing_said: int = 0
    groups: Counter[tuple[str, str]] = field(default_factory=Counter)
    cells: Counter[Cell] = field(default_factory=Counter)
    combined: dict[tuple[str, ...], Counter[tuple[str, ...]]] = field(default_factory=dict)
    _examples: dict[Cell, list[Example]] = field(default_factory=dict)

    def watch(self, *names: str) -> None:
        """Also counts the combinations of the groups of three attributes and more."""
        self.combined.setdefault(names, Counter())

    def see(self, key: int, persona_id: str, text: str) -> Labels:
        labels = label(text)
        self.personas += 1
        self.not_english += not labels.is_english
        self.nothing_said += labels.is_english and not labels.of
        found = [(name, one.group, one) for name, one in labels.of.items()]
        if labels.job:
            found.append((JOB, labels.job, labels.of["occupation"]))
        self.groups.update((name, group) for name, group, _ in found)
        cells = [
            (*one[:2], *other[:2]) for one, other in combinations(found, 2) if not one[2].overlaps(other[2])
        ]  # a "college student" is no evidence that students go to college
        self.cells.update(cells)
        example = Example(key, persona_id, text)
        for cell in cells:
            self._show(cell, example)
        for names, counts in self.combined.items():
            if all(name in labels.of for name in names):
                counts[tuple(labels.of[name].group for name in names)] += 1
        return labels

    def examples(self, cell: Cell) -> list[Example]:
        """Of the personas of a pair of groups the two whose keys are the least."""
        return sorted(self._examples.get(cell, ()))

    def said(self, attribute: str) -> int:
        """How many personas something is said of."""
        return sum(self.groups[attribute, group] for group in self.names(attribute))

    def names(self, attribute: str) -> list[str]:
        """The groups of an attribute; of jobs the most frequent titles."""
        if attribute != JOB:
            return attributes()[attribute].names
        titles = [(-count, title) for (name, title), count in self.groups.items() if name == JOB]
        return [title for _, title in sorted(titles)[:_TITLES]]

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Attributes that are compared with one another: all but a job with what it is read as."""
        yield from combinations(attributes(), 2)
        yield from ((name, JOB) for name in attributes() if name != "occupation")

    def table(self, one: str, other: str) -> Table:
        """Counts of personas of which both are said (groups of one × groups of the other)."""
        return np.array(
            [[self.cells[one, a, other, b] for b in self.names(other)] for a in self.names(one)], dtype=np.float64
        )

    def _show(self, cell: Cell, example: Example) -> None:
        kept = self._examples.setdefault(cell, [])
        if len(kept) < _EXAMPLES:
            kept.append(example)
        elif example < (last := max(kept)):
            kept[kept.index(last)] = example
