"""How much of a run's budget each caller may spend: the ledger of the whole fleet.

Money is leased in blocks, so that a model call costs no message. Callers and ledger speak in running totals, so a
message that is lost, late or repeated changes nothing. Knows no Ray and no file, and reads no clock: `now` is an
argument.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

SILENT_AFTER_S = 15.0
_BLOCK_CALLS = 64
ROUNDING = 1e-9  # sums of floats are not exact


@dataclass(slots=True)
class Account:
    """What one caller has been leased, has spent and has given back since it began, in USD."""

    leased: float = 0.0
    spent: float = 0.0
    returned: float = 0.0
    heard_at: float = 0.0

    @property
    def held(self) -> float:
        """Leased and neither spent nor given back: what calls on the wire may cost, and a little more."""
        return max(0.0, self.leased - self.returned - self.spent)


@dataclass(frozen=True, slots=True)
class Lease:
    """The answer to a caller: all that it was leased since it began.

    `more_later` says that a refused wish may be met when others have given back; `scarce` asks to give back at once.
    """

    leased: float
    more_later: bool
    scarce: bool
    left: float


@dataclass(slots=True)
class Fund:
    """The budget of a run. What a dead caller held counts as spent until the session ends, for its calls may have been
    paid; the next session begins with what is known to be spent."""

    limit: float
    before: float = 0.0
    accounts: dict[str, Account] = field(default_factory=dict)
    refused_at: float = float("-inf")

    @property
    def spent(self) -> float:
        """USD spent in all sessions, as far as the callers have told."""
        return self.before + sum(one.spent for one in self.accounts.values())

    @property
    def left(self) -> float:
        """USD that nobody has spent or holds."""
        return self.limit - self.spent - sum(one.held for one in self.accounts.values())

    def ask(self, holder: str, spent: float, returned: float, needed: float, now: float) -> Lease:
        """Book a caller's totals and lease it at least `needed` USD, or nothing; `needed` 0 only books.

        Blocks shrink with what is left, so that the last dollars are not held where they are not needed.
        """
        account = self.accounts.setdefault(holder, Account())
        account.spent, account.returned = max(account.spent, spent), max(account.returned, returned)
        account.leased = max(account.leased, account.spent + account.returned)  # calls cost more than they could
        account.heard_at = now
        if needed > 0:
            left = self.left
            if needed <= left + ROUNDING:
                account.leased += max(needed, min(_BLOCK_CALLS * needed, left / (2 * self._alive(now))))
            else:
                self.refused_at = now
        return Lease(account.leased, self._may_return(now), now - self.refused_at < SILENT_AFTER_S, self.left)

    def _alive(self, now: float) -> int:
        return sum(now - one.heard_at < SILENT_AFTER_S for one in self.accounts.values())

    def _may_return(self, now: float) -> bool:
        return any(one.held > ROUNDING and now - one.heard_at < SILENT_AFTER_S for one in self.accounts.values())

    def state(self) -> dict[str, Any]:
        """All that a restarted ledger needs, as JSON; the limit is a setting and stays out."""
        return {"before": self.before, "accounts": {name: asdict(one) for name, one in self.accounts.items()}}


def restore(limit: float, state: Mapping[str, Any], now: float) -> Fund:
    """The ledger of the same session: every caller keeps its lease, and is given time to speak up."""
    accounts = {name: Account(**one | {"heard_at": now}) for name, one in state["accounts"].items()}
    return Fund(limit, float(state["before"]), accounts)


def known_spent(state: Mapping[str, Any]) -> float:
    """USD that the sessions before are known to have spent."""
    return float(state["before"]) + sum(float(one["spent"]) for one in state["accounts"].values())
