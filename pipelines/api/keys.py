"""Keys as a script hands them over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cluster.errors import UserError
from pipelines.given_keys import give


@dataclass(frozen=True, slots=True)
class SmartKeyPool:
    """Several keys of one endpoint, which the run's broker leases to its callers.

    Limits are per key and hold for the whole fleet; None: they are found out by adaptation. A key that is throttled
    rests for as long as the endpoint says, one that is refused is retired, and no key is in any repr, log or file.
    """

    api_keys: Sequence[str] = field(repr=False)
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None

    @classmethod
    def from_single_key(cls, api_key: str) -> SmartKeyPool:
        """A pool of one."""
        return cls([api_key])

    @classmethod
    def from_file(cls, path: str | Path) -> SmartKeyPool:
        """The keys in a file, one a line; lines that begin with # are left out. `UserError` where it cannot be read."""
        try:
            lines = Path(path).expanduser().read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a text file"
            raise UserError(f"the key file {path} cannot be read ({reason})") from None
        return cls([line.strip() for line in lines if line.strip() and not line.startswith("#")])

    def __len__(self) -> int:
        return len(self.api_keys)


ApiKey = str | Sequence[str] | SmartKeyPool | None
"""One key, several, or none for an endpoint that wants none."""


def pool_of(*given: ApiKey) -> SmartKeyPool:
    """All keys that were given, each once; limits are those of the first pool that has any."""
    pools = [one if isinstance(one, SmartKeyPool) else SmartKeyPool(_keys(one)) for one in given]
    keys = list(dict.fromkeys(key.strip() for pool in pools for key in pool.api_keys if key.strip()))
    requests = next((one.requests_per_minute for one in pools if one.requests_per_minute), None)
    tokens = next((one.tokens_per_minute for one in pools if one.tokens_per_minute), None)
    return SmartKeyPool(keys, requests, tokens)


def references(pool: SmartKeyPool) -> list[str]:
    """The pool's keys as a config names them."""
    return give(list(pool.api_keys))


def _keys(given: str | Sequence[str] | None) -> list[str]:
    if given is None:
        return []
    keys = [given] if isinstance(given, str) else list(given)
    if not all(isinstance(one, str) for one in keys):
        raise UserError("api_key must be a key, a list of keys, or a SmartKeyPool")
    return keys
