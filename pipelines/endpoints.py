"""From the settings of endpoints to what callers take: keys read from where they are kept, prices, roles."""

from __future__ import annotations

import os
from pathlib import Path

from cluster.errors import UserError
from cluster.keys import Endpoint, Secret
from pipelines.given_keys import KIND, taken
from pipelines.settings import Asked, Dedup, EndpointSettings, Settings
from pipelines.settings.wrong import near

Labels = dict[str, str]
"""What each key of an endpoint is called in messages, and by the fleet: the place where it was first found."""


def resolve_keys(endpoint: Asked, name: str, labels: Labels | None = None) -> list[tuple[str, Secret]]:
    """The endpoint's keys by what they are called, each once, new ones added to `labels`; `UserError` naming the
    variable or file that holds none."""
    labels = {} if labels is None else labels
    found: dict[str, None] = {}
    for reference in endpoint.keys:
        kind, _, place = reference.partition(":")
        for label, value in _READERS[kind](place, name):
            found[value] = None
            if value not in labels:
                labels[value] = _unused(label, labels)
    if not found:
        return [(f"{name} (no key)", Secret("none"))]
    return [(labels[value], Secret(value)) for value in found]


def _unused(label: str, labels: Labels) -> str:
    taken, name, at = set(labels.values()), label, 1
    while name in taken:
        at += 1
        name = f"{label} ({at})"
    return name


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


_READERS = {"env": _from_environment, "file": _from_file, KIND: taken}


def endpoints(settings: Settings, labels: dict[str, Labels] | None = None) -> list[Endpoint]:
    """The endpoints with their keys, as callers take them; `labels` by the endpoints' names go on from call to call."""
    labels = {} if labels is None else labels
    named = [(f"llm.endpoints[{at}]", one) for at, one in enumerate(settings.llm.endpoints)]
    return [
        Endpoint(
            name=name,
            base_url=one.base_url,
            model=one.model,
            keys=resolve_keys(one, name, labels.setdefault(name, {})),
            roles={str(role): model for role, model in settings.llm.roles.items()},
            requests_per_minute=one.requests_per_minute,
            tokens_per_minute=one.tokens_per_minute,
            max_concurrency=one.max_concurrency,
            weight=one.weight,
            batch=one.batch,
            price=known.price if (known := one.price_of(one.model)) else None,
            role_prices={name: known.price for name in settings.models(one) if (known := one.price_of(name))},
            rotates=bool(key_files(one)),
            named=settings.named_models,
        )
        for name, one in named
    ]


def embedding_endpoint(chosen: Dedup) -> Endpoint | None:
    """Where vectors come from, if not from a model on this machine."""
    name = "personas.dedup.endpoint"
    if (one := chosen.endpoint) is None:
        return None
    return Endpoint(name, one.base_url, one.model, resolve_keys(one, name))


def key_files(endpoint: EndpointSettings) -> list[Path]:
    """The files that hold keys of the endpoint."""
    places = [reference.removeprefix("file:") for reference in endpoint.keys if reference.startswith("file:")]
    return [Path(place).expanduser() for place in places]
