"""The actor that the callers of a run share: it leases them what they may spend, and each key's requests and tokens,
and tells all of them what one has found out about a key. Decides nothing itself.

The ledger is on disk before a lease is told, so a broker that is killed and started again goes on where it was.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from cluster.budget import Fund, Lease, known_spent, restore
from cluster.files import write_atomically
from cluster.key_board import KeyBoard, KeySet, News
from cluster.keys import Limits
from cluster.leases import Grant, KeyAccount, Unused

_SAVE_EVERY_S = 0.5
_WATCH_S = 20.0
_ASK_AGAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Budget:
    """What a run may spend, what `metrics.json` says was spent before, and where the ledger is kept."""

    limit_usd: float
    spent_before: float
    ledger: Path


class KeyBroker:
    """One per run, under the name of the run's session: a ledger of another session tells what was spent, no more."""

    def __init__(self, session: str, budget: Budget | None, limits: Mapping[str, Limits]) -> None:
        self._session, self._budget = session, budget
        self._keys = {name: KeyAccount(*limit) for name, limit in limits.items()}
        self._fund = _fund(budget, session) if budget else None
        self._saved_at, self._saving = 0.0, asyncio.Lock()
        self._board, self._changed = KeyBoard(), asyncio.Event()
        self._told = self._board.version
        self._restarted = _is_restarted()
        if self._restarted:
            for key in self._keys.values():
                key.assume_used(time.monotonic())

    async def grant(self, key: str, requests: int, tokens_each: float, unused: Mapping[int, Unused]) -> Grant:
        """See `KeyAccount.ask`; `unused` of earlier grants goes back first."""
        if (account := self._keys.get(key)) is None:  # put in before this broker took a dead one's place
            return Grant(0, 0, 0.0, _ASK_AGAIN_S)
        account.give_back(unused)
        return account.ask(requests, tokens_each, time.monotonic())

    async def give_back(self, key: str, unused: Mapping[int, Unused]) -> None:
        """See `KeyAccount.give_back`."""
        if key in self._keys:
            self._keys[key].give_back(unused)

    async def rest(self, lane: str, seconds: float) -> None:
        """An endpoint told a caller to leave this lane alone for so long."""
        self._board.rest(lane, seconds, time.monotonic())
        self._tell()

    async def retire(self, lane: str, why: str) -> None:
        """An endpoint told a caller that this lane's key is dead."""
        self._board.retire(lane, why)
        self._tell()

    async def put_in(self, keys: KeySet, limits: Mapping[str, Limits]) -> None:
        """The keys from now on, and the limits of all lanes that have any. May be said again."""
        for name, limit in limits.items():
            if name not in self._keys:
                self._keys[name] = KeyAccount(*limit)
                if self._restarted:
                    self._keys[name].assume_used(time.monotonic())
        self._board.put_in(keys)
        self._tell()

    # who watches asks again by itself
    @ray.method(max_task_retries=0)  # type: ignore[untyped-decorator]
    async def watch(self, version: int) -> News:
        """What stands on the board, once it is another version than this or some time has passed."""
        if self._board.version == version:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), _WATCH_S)
        return self._board.news(time.monotonic())

    async def health(self) -> tuple[dict[str, float], dict[str, str]]:
        """Of lanes by name: seconds that they still rest, and why others are dead. No key is in it."""
        news = self._board.news(time.monotonic())
        return dict(news.resting), dict(news.retired)

    def _tell(self) -> None:
        if self._board.version != self._told:
            self._told = self._board.version
            changed, self._changed = self._changed, asyncio.Event()
            changed.set()

    async def lease(self, holder: str, spent: float, returned: float, needed: float) -> Lease:
        """See `Fund.ask`. `Halt` where the ledger cannot be written."""
        assert self._fund is not None
        before = self._fund.accounts[holder].leased if holder in self._fund.accounts else 0.0
        lease = self._fund.ask(holder, spent, returned, needed, time.monotonic())
        if lease.leased > before or time.monotonic() - self._saved_at >= _SAVE_EVERY_S:
            await self._save(self._fund)
        return lease

    async def spent(self) -> float:
        """USD that are known to be spent, in all sessions."""
        return self._fund.spent if self._fund else 0.0

    async def pid(self) -> int:
        """The process, for tests that end it."""
        return os.getpid()

    async def _save(self, fund: Fund) -> None:
        assert self._budget is not None
        async with self._saving:
            state = json.dumps({"session": self._session, **fund.state()})
            await asyncio.to_thread(write_atomically, self._budget.ledger, state)
        self._saved_at = time.monotonic()


def _fund(budget: Budget, session: str) -> Fund:
    state = _read(budget.ledger)
    if state.get("session") == session:
        return restore(budget.limit_usd, state, time.monotonic())
    return Fund(budget.limit_usd, max(budget.spent_before, known_spent(state) if state else 0.0))


def _is_restarted() -> bool:
    """Whether this takes the place of a broker that died, whose leases nobody knows any more."""
    return ray.is_initialized() and bool(ray.get_runtime_context().was_current_actor_reconstructed)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) and "accounts" in content else {}
