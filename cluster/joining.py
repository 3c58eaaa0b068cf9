"""Joins the Ray at an address, or says in one line why not: within seconds, where Ray itself would wait for minutes."""

from __future__ import annotations

import json
import os
import platform
import socket
import threading
from collections.abc import Mapping
from typing import Any

import ray
from ray.exceptions import AuthenticationError, RayError

from cluster.errors import UserError

_ANSWER_S = 5.0  # of a port that is there
_TOKEN = "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH to a file with the cluster's token"
_CLIENT = "ray://"


def join(address: str, options: Mapping[str, Any]) -> None:
    """Connect. `UserError` where nobody answers, the token is refused, or Python or Ray are other ones."""
    if not address.startswith(_CLIENT):
        _check(address, _resolved(address))
    elif not _listens(address.removeprefix(_CLIENT)):
        raise _nobody(address, address.removeprefix(_CLIENT))
    try:
        ray.init(address, **options)
    except (ConnectionError, RuntimeError, ValueError, RayError) as error:
        raise UserError(f"cluster.address: no Ray answers at {address!r} ({_short(error)})") from None


def _resolved(address: str) -> str:
    """Host and port of the GCS, as Ray would find them."""
    told = os.environ.get("RAY_ADDRESS", "") if address == "auto" else address
    if told and told != "auto":
        return told
    try:
        return str(ray._private.services.canonicalize_bootstrap_address_or_die("auto"))
    except ConnectionError as error:
        raise UserError(f"cluster.address: no Ray runs on this machine ({_short(error)})") from None


def _check(address: str, place: str) -> None:
    if not _listens(place):
        raise _nobody(address, place)
    told: list[Any] = []
    asking = threading.Thread(target=lambda: told.append(_told(place)), daemon=True)
    asking.start()
    asking.join(_ANSWER_S)
    match told:
        case []:
            raise UserError(
                f"cluster.address: what answers at {place} is no Ray; its head listens at port 6379, mostly"
            )
        case [AuthenticationError()]:
            raise UserError(f"cluster.address: the Ray at {place} refuses the token, or got none; {_TOKEN}")
        case [Exception() as error]:
            raise UserError(f"cluster.address: no Ray answers at {place} ({_short(error)})")
        case [{"ray_version": there, "python_version": python}]:
            ours = ray.__version__, platform.python_version()
            if (there, python) != ours:
                raise UserError(
                    f"cluster.address: the Ray at {place} is Ray {there} on Python {python}, this is Ray {ours[0]} on "
                    f"Python {ours[1]}; both have to be the same"
                )


def _told(place: str) -> object:
    """What the cluster says of itself, or the error that it answers with."""
    try:
        content = ray._raylet.GcsClient(address=place).internal_kv_get(
            b"CLUSTER_METADATA", b"cluster", timeout=_ANSWER_S
        )
        return json.loads(content) if content else {}
    except Exception as error:  # the boundary to Ray's native client
        return error


def _listens(place: str) -> bool:
    host, _, port = place.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_S):
            return True
    except (OSError, ValueError, OverflowError):
        return False


def _nobody(address: str, place: str) -> UserError:
    where = f"{place} ({address})" if address not in (place, f"{_CLIENT}{place}") else place
    return UserError(f"cluster.address: nobody answers at {where}; start Ray there, or name HOST:PORT of its head")


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
