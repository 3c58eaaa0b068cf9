"""One shard of the dedup service: admits or refuses at once and for good, also against what other shards decide now.

A candidate's home is one shard, by its form; its words and its vector are held against all. Of two near-duplicates
that are decided at the same time at two homes exactly one is kept, by reservation before the look-up, as in two-phase
locking:

- A shard decides one batch at a time, in the order of asking. It reserves the batch under a ticket first, then probes
  every shard. So of two batches at least one finds the other, kept or reserved.
- A probe that finds a reservation with a lower ticket, or one that is being written, waits until that is settled and
  probes again. One that finds a higher ticket challenges it and goes on: the holder waits for the challenger before it
  writes, and probes again. All waits are for lower tickets or for writes, so none is for ever.

Reservations are in memory alone: those of a shard that died are gone with it, as are its undecided batches, which are
asked about again; what it admitted is in its log. Knows no Ray; peers may be other processes.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np

from actors.comparison import Comparison, Index, Marks, Neighbours, Vectors, nearer
from actors.logic.near_duplicates import Candidate, Reason, Thresholds, Verdict, form_key
from cluster.gathered import Gathered

PREPARED = 16_384  # vectors made ahead, at most
PACE_S = 0.2  # from one decision to the next where peers are asked: messages and passes over indexes cost by the batch
BATCH = 1024  # candidates decided together at most: larger look-ups cost less each

T = TypeVar("T")


@dataclass(frozen=True, slots=True, order=True)
class Ticket:
    """A batch under decision. Lower goes first; `moment` in nanoseconds, of clocks that need not agree."""

    moment: int
    shard: int


@dataclass(frozen=True, slots=True)
class Probed:
    """What a shard has next to a batch, and the batch that must be settled before this is final, if any."""

    neighbours: Neighbours
    blocker: Ticket | None = None


class Peer(Protocol):
    """Another shard."""

    async def probe(self, ticket: Ticket, marks: Marks) -> Probed: ...

    async def settled(self, ticket: Ticket) -> None: ...


@dataclass(slots=True)
class _Reserved:
    ticket: Ticket
    marks: Marks
    challengers: list[Ticket] = field(default_factory=list)
    is_written: bool = False
    settled: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class _Asked:
    """One call of `admit`: its candidates, their forms, and the vectors of those whose form is not known."""

    candidates: Sequence[Candidate]
    forms: list[bytes]
    vectors: asyncio.Task[dict[bytes, Vectors]]
    verdicts: asyncio.Future[list[Verdict]]


class Shard:
    """Shard `number` over `index`, which only `thread` (one) touches. `encode` turns texts into unit vectors; `peers`
    are all other shards by number."""

    def __init__(
        self,
        number: int,
        thresholds: Thresholds,
        index: Index,
        encode: Callable[[Sequence[str]], Awaitable[Vectors]],
        peers: Mapping[int, Peer],
        thread: Executor,
    ) -> None:
        self._number, self._compare = number, Comparison(thresholds, index)
        self._encode, self._peers, self._thread = encode, peers, thread
        self._queue: deque[_Asked] = deque()
        self._decider: asyncio.Task[None] | None = None
        self._reserved: _Reserved | None = None
        self._moment, self._last = 0, float("-inf")
        self._prepared: dict[bytes, Vectors] = {}
        self._look_ups = Gathered(self._look_up, overlap=False)

    async def admit(self, candidates: Sequence[Candidate]) -> list[Verdict]:
        """Verdicts in the order of `candidates`, which are decided after those of all earlier calls.

        Texts whose form is known are not embedded. Asked again about the same persona, the answer is the same.
        """
        loop = asyncio.get_running_loop()
        forms = [form_key(one.text) for one in candidates]
        asked = _Asked(candidates, forms, loop.create_task(self._vectors(candidates, forms)), loop.create_future())
        self._queue.append(asked)
        if self._decider is None or self._decider.done():
            self._decider = loop.create_task(self._decide_all())
        return await asked.verdicts

    async def prepare(self, candidates: Sequence[Candidate]) -> None:
        """Make the vectors for a later `admit` or `hold`, so that who asks for one at a time need not wait for them."""
        forms = [form_key(one.text) for one in candidates]
        self._prepared |= await self._vectors(candidates, forms)
        for form in list(self._prepared)[:-PREPARED]:
            del self._prepared[form]

    async def hold(self, candidates: Sequence[Candidate]) -> None:
        """Keep all of them, near-duplicates of each other too; only exact forms once."""
        forms = [form_key(one.text) for one in candidates]
        vectors = await self._vectors(candidates, forms)
        ids = {form: one.persona_id for one, form in zip(candidates, forms, strict=True)}
        new = [form for form, holder in zip(vectors, await self._holders(list(vectors)), strict=True) if holder is None]
        if new:
            texts = {form: one.text for one, form in zip(candidates, forms, strict=True)}
            rows = [vectors[form] for form in new]
            marks = await self._in_thread(self._compare.marks, [texts[form] for form in new], rows)
            await self._in_thread(self._compare.keep, [ids[form] for form in new], new, marks, range(len(new)))

    async def probe(self, ticket: Ticket, marks: Marks) -> Probed:
        """What is kept here next to another shard's batch, which is held against the one that is decided here, too."""
        blocker = None
        mine = self._reserved
        if mine and self._compare.may_be_near(mine.marks, marks):
            if mine.is_written or mine.ticket < ticket:
                blocker = mine.ticket
            else:
                mine.challengers.append(ticket)
        return Probed(await self._look_ups.get(marks), blocker)

    async def settled(self, ticket: Ticket) -> None:
        """Returns when the batch of this ticket is decided, or unknown here."""
        if self._reserved and self._reserved.ticket == ticket:
            await self._reserved.settled.wait()

    async def _vectors(self, candidates: Sequence[Candidate], forms: list[bytes]) -> dict[bytes, Vectors]:
        """By form, for forms that nobody holds; as half-precision rounds them, which is how they are logged."""
        texts = {form: one.text for one, form in zip(candidates, forms, strict=True)}
        holders = await self._holders(list(texts))
        unknown = [form for form, holder in zip(texts, holders, strict=True) if holder is None]
        found = {form: vector for form in unknown if (vector := self._prepared.pop(form, None)) is not None}
        missing = [form for form in unknown if form not in found]
        if missing:
            vectors = await self._encode([texts[form] for form in missing])
            found |= zip(missing, vectors.astype(np.float16).astype(np.float32), strict=True)
        return found

    async def _decide_all(self) -> None:
        loop = asyncio.get_running_loop()
        while self._queue:
            if self._peers:
                await asyncio.sleep(max(0.0, self._last + PACE_S - loop.time()))
                self._last = loop.time()
            batch = [self._queue.popleft()]
            await asyncio.wait([batch[0].vectors])
            while self._queue and self._queue[0].vectors.done() and _size(batch) < BATCH:
                batch.append(self._queue.popleft())
            good = [one for one in batch if not _has_failed(one)]
            try:
                verdicts = iter(await self._decide(good))
            except BaseException as error:
                for one in good:
                    _set(one.verdicts, error=error)
                if not isinstance(error, Exception):
                    raise
                continue
            for one in good:
                _set(one.verdicts, list(itertools.islice(verdicts, len(one.candidates))))

    async def _decide(self, asked: Sequence[_Asked]) -> list[Verdict]:
        """Verdicts on all candidates, those of the first call first."""
        candidates = [one for call in asked for one in call.candidates]
        forms = [form for call in asked for form in call.forms]
        vectors: dict[bytes, Vectors] = {}
        for call in reversed(asked):
            vectors |= call.vectors.result()
        holders = dict(zip(forms, await self._holders(forms), strict=True))
        first = {form: one for one, form in reversed(list(zip(candidates, forms, strict=True)))}
        fresh = [form for form in dict.fromkeys(forms) if holders[form] is None]
        decided = await self._decide_fresh([first[form] for form in fresh], fresh, [vectors[form] for form in fresh])
        return [
            _known(one, holder.hex()) if (holder := holders[form]) else _echo(one, decided[form])
            for one, form in zip(candidates, forms, strict=True)
        ]

    async def _decide_fresh(
        self, candidates: Sequence[Candidate], forms: Sequence[bytes], rows: Sequence[Vectors]
    ) -> dict[bytes, Verdict]:
        if not forms:
            return {}
        marks = await self._in_thread(self._compare.marks, [one.text for one in candidates], rows)
        self._moment = max(time.time_ns(), self._moment + 1)
        self._reserved = mine = _Reserved(Ticket(self._moment, self._number), marks)
        try:
            neighbours = await self._neighbours_at_all(mine)
            mine.is_written = True
            verdicts = await self._in_thread(self._compare.verdicts, candidates, marks, neighbours)
            kept = [at for at, one in enumerate(verdicts) if one.admitted]
            ids = [candidates[at].persona_id for at in kept]
            await self._in_thread(self._compare.keep, ids, [forms[at] for at in kept], marks, kept)
        finally:
            self._reserved = None
            mine.settled.set()
        return dict(zip(forms, verdicts, strict=True))

    async def _neighbours_at_all(self, mine: _Reserved) -> Neighbours:
        """Final once it returns: nothing is left to wait for, here or elsewhere."""
        own = asyncio.ensure_future(self._look_ups.get(mine.marks))
        found: list[Neighbours] = []
        ask = set(self._peers)
        while ask:
            numbers = sorted(ask)
            answers = await asyncio.gather(*(self._peers[one].probe(mine.ticket, mine.marks) for one in numbers))
            found += [answer.neighbours for answer in answers]
            waits = [answer.blocker for answer in answers if answer.blocker] + mine.challengers
            mine.challengers = []
            await asyncio.gather(own, *(self._peers[one.shard].settled(one) for one in waits))
            ask = {one.shard for one in [*waits, *mine.challengers]}
        return functools.reduce(nearer, found, await own)

    async def _holders(self, forms: Sequence[bytes]) -> list[bytes | None]:
        return await self._in_thread(self._compare.holders, forms)

    async def _look_up(self, asked: Sequence[Marks]) -> list[Neighbours]:
        return await self._in_thread(self._compare.look_up, asked)

    async def _in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        """The index is for one thread, and not for the one that answers."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)


def _size(batch: Sequence[_Asked]) -> int:
    return sum(len(one.candidates) for one in batch)


def _has_failed(asked: _Asked) -> bool:
    """Whether its vectors could not be had; who asked is told."""
    error = asked.vectors.exception()
    if error is not None:
        _set(asked.verdicts, error=error)
    return error is not None


def _set(future: asyncio.Future[T], value: T | None = None, error: BaseException | None = None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(value)  # type: ignore[arg-type]


def _known(candidate: Candidate, holder: str) -> Verdict:
    if holder == candidate.persona_id:
        return Verdict(candidate.persona_id)
    return Verdict(candidate.persona_id, Reason.EXACT, holder, 1.0)


def _echo(candidate: Candidate, first: Verdict) -> Verdict:
    """The verdict on another candidate of the same form as the one that was decided."""
    if first.persona_id == candidate.persona_id:
        return first
    if first.admitted:
        return Verdict(candidate.persona_id, Reason.EXACT, first.persona_id, 1.0)
    return Verdict(candidate.persona_id, first.reason, first.neighbour_id, first.score)
