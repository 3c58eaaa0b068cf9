"""From the settings of endpoints to what callers take: keys read from where they are kept, prices, roles."""

from __future__ import annotations

import os
from pathlib import Path

from cluster.errors import UserError
from cluster.keys import Endpoint, Secret
from pipelines.settings import EndpointSettings, Settings
from pipelines.wrong_settings import near


def resolve_keys(endpoint: EndpointSettings, name: str) -> list[tuple[str, Secret]]:
    """The endpoint's keys by the names that they go by; `UserError` naming the variable or file that holds none."""
    found: dict[str, str] = {}
    for reference in endpoint.keys:
        kind, _, place = reference.partition(":")
        for label, value in _from_environment(place, name) if kind == "env" else _from_file(place, name):
            found.setdefault(value, label)
    if not found:
        return [(f"{name} (no key)", Secret("none"))]
    return [(label, Secret(value)) for value, label in found.items()]


def _from_environment(variable: str, name: str) -> list[tuple[str, str]]:
    value = os.environ.get(variable, "").strip()
    if not value:
        hint = near(variable, [one for one in os.environ if "KEY" in one.upper()])
        raise UserError(f"{name}.keys: the environment has no {variable}; export it{hint}")
    return [(f"env:{variable}", value)]


def _from_file(place: str, name: str) -> list[tuple[str, str]]:
    try:
        lines = Path(place).expanduser().read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise UserError(f"{name}.keys: file:{place} cannot be read ({reason})") from None
    keys = [(f"file:{place} line {number}", line.strip()) for number, line in enumerate(lines, 1)]
    keys = [(label, value) for label, value in keys if value and not value.startswith("#")]
    if not keys:
        raise UserError(f"{name}.keys: file:{place} holds no key; write one a line")
    return keys


def endpoints(settings: Settings) -> list[Endpoint]:
    """The endpoints with their keys, as callers take them."""
    return [
        Endpoint(
            name=f"llm.endpoints[{at}]",
            base_url=one.base_url,
            model=one.model,
            keys=resolve_keys(one, f"llm.endpoints[{at}]"),
            roles={str(role): model for role, model in settings.llm.roles.items()},
            requests_per_minute=one.requests_per_minute,
            tokens_per_minute=one.tokens_per_minute,
            max_concurrency=one.max_concurrency,
            weight=one.weight,
            batch=one.batch,
            price=known.price if (known := one.price_of(one.model)) else None,
            role_prices={name: known.price for name in settings.llm.models(one) if (known := one.price_of(name))},
        )
        for at, one in enumerate(settings.llm.endpoints)
    ]
