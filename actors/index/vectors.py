"""The nearest stored vector, by an index that moves up to a faster kind as it grows, and serves while it does."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from threading import Event, Thread, main_thread
from typing import TypeVar

import faiss
import numpy as np
from numpy.typing import NDArray

from actors.index.build import STEP_ROWS, Probes, build, recall_of, widen
from actors.index.log import IndexLog
from actors.index.search import nearest_of
from actors.index.snapshots import Snapshots
from actors.index.tiers import CANDIDATES, Kind, Rung, Tiers, rung_of

logger = logging.getLogger(__name__)

T = TypeVar("T")

_BLAS_QUERIES = 8


class VectorIndex:
    """Inverted lists over the first rows of a log (`listed`), and a flat index over all after them.

    On the first rung everything is flat. Higher ones are built in a background thread; until such an index has shown
    its recall, and for good where it cannot, the one before it serves. One thread at a time calls.
    """

    def __init__(self, log: IndexLog, tiers: Tiers, snapshots: Snapshots | None = None) -> None:
        self._log, self._tiers, self._snapshots = log, tiers, snapshots
        self._building: Future[faiss.IndexIVF | None] | None = None
        self._saving: Future[None] | None = None
        self._stop, self._build_from, self._tune_from = Event(), 0, 0
        self._listed: faiss.IndexIVF | None = None
        self._unlisted, self._saved_rows = faiss.IndexFlatIP(log.dimension), 0
        _use_blas(log.dimension)
        self._begin()
        self._open(tiers.lists(len(log)))

    @property
    def rung(self) -> Rung:
        """What serves now."""
        return rung_of(self._listed) if self._listed else Rung(Kind.FLAT)

    def catch_up(self) -> None:
        """Takes the rows that the log has beyond those that are served, and moves up where they are enough."""
        self._begin()
        self._take_latest()
        self._move_up()
        self._save()

    def nearest(self, vectors: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The cosine (n) with the nearest row and its position (n), where that is at the tiers' cosine or nearer; else
        those of another row. −1 and −1 where there is none."""
        self._begin()
        candidates = self._unlisted.search(vectors, 1)[1]
        candidates[candidates >= 0] += self._listed_rows
        if self._listed:
            further = self._listed.search(vectors, CANDIDATES[self.rung.kind])[1]
            candidates = np.concatenate([candidates, further], axis=1)
        return nearest_of(self._log, vectors, candidates)

    def settle(self) -> None:
        """Waits for what runs in the background, and takes it up."""
        for running in (self._building, self._saving):
            if running:
                with suppress(Exception):
                    running.result()
        self._begin()

    def close(self) -> None:
        """Ends what runs in the background, which the next start does again."""
        self._stop.set()
        self.settle()

    @property
    def _listed_rows(self) -> int:
        return self._listed.ntotal if self._listed else 0

    def _open(self, lists: int) -> None:
        """Serves by the snapshot, else by an index of so many lists, which a start waits for."""
        if self._snapshots and (listed := self._snapshots.load()):
            self._serve(listed)
        elif lists:
            self._take_up(_in_background(lambda: self._built(lists)))
        self._take_latest()

    def _begin(self) -> None:
        """This thread's FAISS uses one core; what was built since is served from now on."""
        faiss.omp_set_num_threads(1)
        if self._saving and self._saving.done():
            self._saving = None
        if self._building and self._building.done():
            building, self._building = self._building, None
            self._take_up(building)

    def _take_up(self, building: Future[faiss.IndexIVF | None]) -> None:
        if built := _result(building):
            self._serve(built)
        self._build_from = 0 if built else len(self._log) * 5 // 4

    def _serve(self, listed: faiss.IndexIVF) -> None:
        """Serves by these lists, as they are on disk, with the rows of the log beyond them in the flat index."""
        self._listed, self._unlisted = listed, faiss.IndexFlatIP(self._log.dimension)
        self._saved_rows = listed.ntotal
        self._tune()
        self._take_latest()

    def _take_latest(self) -> None:
        for rows in self._log.pieces(self._listed_rows + self._unlisted.ntotal):
            for start in range(0, len(rows), STEP_ROWS):
                self._unlisted.add(rows.vectors[start : start + STEP_ROWS].astype(np.float32))
                self._list_latest()

    def _list_latest(self) -> None:
        """Moves the flat rows into the lists when there are enough; not while these are written to the disk."""
        if self._listed and not self._saving and self._unlisted.ntotal >= self._tiers.unlisted_rows:
            self._listed.add(self._unlisted.reconstruct_n(0, self._unlisted.ntotal))
            self._unlisted = faiss.IndexFlatIP(self._log.dimension)
            if self._listed.ntotal >= self._tune_from:
                self._tune()

    def _tune(self) -> None:
        """Searches twice as many lists where rows unlike those trained on have come; looks again at the next listing,
        or where all was more than well when there are a quarter more."""
        assert self._listed
        recall = recall_of(self._listed, self._log, Probes(self._log, self._tiers))
        if recall < self._tiers.recall:
            widen(self._listed, self._tiers)
        is_ample = recall >= (1 + self._tiers.recall) / 2
        self._tune_from = self._listed.ntotal * 5 // 4 if is_ample else self._listed.ntotal

    def _move_up(self) -> None:
        lists = self._tiers.lists(len(self._log))
        idle = not self._building and not self._saving and not self._stop.is_set()
        if idle and lists != self.rung.lists and len(self._log) >= self._build_from:
            self._building = _in_background(lambda: self._built(lists))

    def _built(self, lists: int) -> faiss.IndexIVF | None:
        """An index of so many lists, and its snapshot; in a thread of its own."""
        rungs = (Rung(kind, lists) for kind in self._tiers.kinds)
        index = next(filter(None, (build(self._log, rung, self._tiers, self._stopped) for rung in rungs)), None)
        if index and self._snapshots:
            self._snapshots.save(index)
        return index

    def _stopped(self) -> bool:
        return self._stop.is_set() or not main_thread().is_alive()

    def _save(self) -> None:
        """A snapshot where that many rows were listed since the last, and a quarter of it."""
        due = self._saved_rows + max(self._tiers.snapshot_rows, self._saved_rows // 4)
        snapshots, listed = self._snapshots, self._listed
        if snapshots and listed and listed.ntotal >= due and not self._saving and not self._building:
            self._saved_rows = listed.ntotal
            self._saving = _in_background(lambda: snapshots.save(listed))


def _use_blas(dimension: int) -> None:
    """From eight queries on, as before FAISS 1.15: without it a look-up costs ten times as much on one thread."""
    if faiss.cvar.distance_compute_blas_threshold > _BLAS_QUERIES * dimension:
        faiss.cvar.distance_compute_blas_threshold = _BLAS_QUERIES * dimension


def _result(building: Future[faiss.IndexIVF | None]) -> faiss.IndexIVF | None:
    try:
        return building.result()
    except Exception:  # the boundary of the thread: the old index goes on serving
        logger.exception("the index could not be built; the one before it goes on serving")
        return None


def _in_background(work: Callable[[], T]) -> Future[T]:
    """Runs in a thread that the end of the process waits for: FAISS would abort where it is cut off."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    Thread(target=run).start()
    return future
