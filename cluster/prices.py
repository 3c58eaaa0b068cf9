"""What common models cost: a dated table that ships as data (`prices.yaml`), for the hosts of their providers alone.

The same name at another host, a gateway's or one's own, may cost anything and is not in it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from urllib.parse import urlsplit

import yaml

from cluster.keys import Price

_DATED = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8}|\d{3})$")  # gpt-4o-mini-2024-07-18, claude-…-20251001, gemini-…-001


@dataclass(frozen=True, slots=True)
class Known:
    """A price, and the day on which the table's provider named it; None: the config names it."""

    price: Price
    as_of: date | None = None


def listed_price(base_url: str, model: str) -> Known | None:
    """The table's price of a model at an endpoint, also of a dated version of it; None where there is none."""
    models = _table().get(urlsplit(base_url).hostname or "", {})
    name = model.removeprefix("models/")
    return models.get(name) or models.get(_DATED.sub("", name))


@cache
def _table() -> dict[str, dict[str, Known]]:
    """By host and model."""
    providers = yaml.safe_load(files("cluster").joinpath("prices.yaml").read_text(encoding="utf-8"))
    return {
        one["host"]: {name: Known(Price(**price), one["as_of"]) for name, price in one["models"].items()}
        for one in providers
    }
