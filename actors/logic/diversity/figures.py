"""All diversity figures of a run: of its personas together, and of those of each depth.

Holds a fixed sample of each of these groups, at most 5,000 personas, so its memory hangs on the depth alone. Of the
vectors of all personas it keeps nothing but what it has counted.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from actors.logic.diversity.cells import Beside, CellsReached, Covered, beside_baseline, curve
from actors.logic.diversity.neighbours import Nearest, NearestFigures, nearest_figures, queries_for
from actors.logic.diversity.sample import FixedSample, Sampled, key_of
from actors.logic.diversity.texts import TextFigures, text_figures
from actors.logic.diversity.vectors import VectorFigures, leading, vector_figures

SAMPLED = 5000

Vectors = NDArray[np.float32]
ALL = -1


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one group: `depth` None is the run. What cannot be told of it is None, or an empty list of `cells`."""

    depth: int | None
    personas: int
    texts: TextFigures | None
    nearest: NearestFigures | None
    vectors: VectorFigures | None
    cells: list[Covered]


class Samples:
    """The samples of all personas and of each depth, from personas in any order."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._groups: defaultdict[int, FixedSample] = defaultdict(lambda: FixedSample(SAMPLED))

    def see(self, depth: int, persona_id: str, text: str) -> None:
        key = key_of(persona_id, self._seed)
        self._groups[ALL].see(key, persona_id, text)
        self._groups[depth].see(key, persona_id, text)

    @property
    def personas(self) -> int:
        return self._groups[ALL].seen

    def groups(self) -> dict[int, tuple[int, list[Sampled]]]:
        """For ALL and each depth how many personas there are, and which are in the sample."""
        return {depth: (self._groups[depth].seen, self._groups[depth].rows()) for depth in sorted(self._groups)}


@dataclass(frozen=True, slots=True)
class Located:
    """The vectors (n × d) of sampled personas, in half precision as they are kept, and in which row of all each is.
    Where a persona is among them is in `at`, by its id."""

    at: dict[str, int]
    half: NDArray[np.float16]
    positions: NDArray[np.int64]

    def vectors(self, rows: NDArray[np.int64]) -> Vectors:
        return self.half[rows].astype(np.float32)


class Measuring:
    """Takes the vectors of all personas once, in order, and then tells the figures."""

    def __init__(self, samples: Samples, located: Located | None) -> None:
        """Without vectors `located` is None, and only the texts are told of."""
        self._groups, self._located = samples.groups(), located
        self._count, self._cells = queries_for(samples.personas), CellsReached()
        self._seen = 0
        if located:
            asked = {row for group in self._groups for row in self._rows(group)[: self._count].tolist()}
            self._asked = np.array(sorted(asked), np.int64)
            self._nearest = Nearest(located.vectors(self._asked), located.positions[self._asked])

    def see(self, vectors: Vectors) -> None:
        """The next rows of all."""
        self._nearest.see(self._seen, vectors)
        self._cells.see(vectors)
        self._seen += len(vectors)

    def figures(self) -> list[Figures]:
        """Of the run, and of each depth."""
        reference = leading(self._located.vectors(self._rows(ALL))) if self._located else None
        return [self._of(group, reference) for group in self._groups]

    def beside(self, baseline: Vectors) -> Beside | None:
        """The run's sample beside as many baseline texts; None where either is empty."""
        rows = self._rows(ALL)
        if self._located is None or not len(rows) or not len(baseline):
            return None
        return beside_baseline(self._located.vectors(rows), baseline)

    def _of(self, group: int, reference: Vectors | None) -> Figures:
        personas, sample = self._groups[group]
        depth, texts = None if group == ALL else group, text_figures(one.text for one in sample)
        rows = self._rows(group)
        if self._located is None or reference is None or not len(rows):
            return Figures(depth, personas, texts, None, None, [])
        vectors = self._located.vectors(rows)
        cosines = self._nearest.cosines[self._asked.searchsorted(rows[: self._count])]
        cells = curve(vectors)
        if group == ALL and self._seen > len(vectors):
            cells.append(Covered(self._seen, self._cells.count))
        nearest = nearest_figures(cosines) if self._seen > 1 else None
        return Figures(depth, personas, texts, nearest, vector_figures(vectors, reference), cells)

    def _rows(self, group: int) -> NDArray[np.int64]:
        """Where in `located` the vectors of a group's sample are; those that have none are left out."""
        at = self._located.at if self._located else {}
        sample = self._groups[group][1]
        return np.array([at[one.persona_id] for one in sample if one.persona_id in at], np.int64)
