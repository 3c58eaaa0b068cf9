"""Endpoints and their keys. Knows no Ray and no HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from weakref import WeakSet


class Secret:
    """A key in memory that no repr, log line or traceback shows."""

    __slots__ = ("__weakref__", "_value")

    def __init__(self, value: str) -> None:
        self._value = value
        _KNOWN.add(self)

    def reveal(self) -> str:
        """The key itself, for the Authorization header and nothing else."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    def __reduce__(self) -> tuple[type[Secret], tuple[str]]:
        return Secret, (self._value,)


_KNOWN: WeakSet[Secret] = WeakSet()
_LEAST = 6  # characters of a key: to hide a shorter one, or the word in its place where none is asked, hides words


def known_secrets() -> list[Secret]:
    """Those that this process holds, each value once."""
    return list({one.reveal(): one for one in list(_KNOWN) if len(one.reveal()) >= _LEAST}.values())


Keys = Sequence[tuple[str, Secret]]
"""Each secret with the name that it goes by in messages, which is its own as long as the run lasts."""


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens; `cached_input` is that of prompt tokens which the endpoint had in its cache."""

    input: float
    output: float
    cached_input: float | None = None

    def cost(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> float:
        """USD of one call, of whose prompt so many tokens were cached."""
        saved = 0.0 if self.cached_input is None else cached_tokens * (self.input - self.cached_input)
        return (prompt_tokens * self.input - saved + completion_tokens * self.output) / 1e6


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where models answer. `roles` maps a role's name to its model; other roles use `model`. `price` is that of
    `model`, `role_prices` are those of the others by their names; what is not known is in neither.

    `named` are further models that calls ask for by name.

    Limits are per key and for the whole fleet. `rotates` says that keys may be exchanged while the run goes on.
    """

    name: str
    base_url: str
    model: str
    keys: Keys
    roles: Mapping[str, str] = field(default_factory=dict)
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    max_concurrency: int = 256
    weight: float | None = None
    batch: bool = False
    price: Price | None = None
    role_prices: Mapping[str, Price] = field(default_factory=dict)
    rotates: bool = False
    named: Sequence[str] = ()

    def model_for(self, role: str, named: str | None = None) -> str:
        """Who answers a role's calls; a model that a call names goes before."""
        return named or self.roles.get(role, self.model)

    def price_for(self, model: str) -> Price | None:
        return self.price if model == self.model else self.role_prices.get(model)


Limits = tuple[float | None, float | None]
"""Requests and tokens of a key per minute."""


def lane_name(endpoint: Endpoint, key_name: str) -> str:
    """What the fleet knows a key at an endpoint by."""
    return f"{endpoint.name} {key_name}"


def key_limits(endpoints: Sequence[Endpoint]) -> dict[str, Limits]:
    """The limits of every key at an endpoint that has such, by the lane's name."""
    return {
        lane_name(one, key_name): (one.requests_per_minute, one.tokens_per_minute)
        for one in endpoints
        for key_name, _ in one.keys
        if one.requests_per_minute or one.tokens_per_minute
    }
