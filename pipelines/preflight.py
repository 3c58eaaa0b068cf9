"""Asks each endpoint, before anything is started or paid, whether it is there, takes the keys and knows the models."""

from __future__ import annotations

import difflib
import json
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from cluster.errors import UserError
from cluster.keys import Endpoint, Secret
from pipelines.settings import EMBEDDED

_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with one key at one endpoint. A run can do without it as long as another one is well."""

    line: str
    deadly: bool = True


def check(endpoints: list[Endpoint]) -> list[str]:
    """Warnings about keys and endpoints that the run will do without; `UserError` where none is left to serve it."""
    asked = [(endpoint, name, secret) for endpoint in endpoints for name, secret in endpoint.keys]
    asked = [one for one in asked if one[0].base_url != EMBEDDED]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda one: _ask(*one), asked))
    faults = [finding for finding in found if finding and finding.deadly]
    embedded = any(endpoint.base_url == EMBEDDED for endpoint in endpoints)
    if faults and len(faults) == len(found) and not embedded:
        raise UserError("\n".join(dict.fromkeys(fault.line for fault in faults)))
    return list(dict.fromkeys(finding.line for finding in found if finding))


def _ask(endpoint: Endpoint, key_name: str, secret: Secret) -> Finding | None:
    url, where = f"{endpoint.base_url}/models", f"{endpoint.name} {endpoint.base_url}"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {secret.reveal()}"})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:  # http and https alone pass the settings
            return _read(endpoint, where, response.read(8 * 2**20))
    except urllib.error.HTTPError as error:
        return _refusal(where, key_name, error.code)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        return Finding(f"{where}: nobody answers ({reason}); is the server started and the address right?")
    except ValueError as error:
        return Finding(f"{where}: {' '.join(str(error).split())}")


def _refusal(where: str, key_name: str, status: int) -> Finding | None:
    if status in (401, 403):
        return Finding(f"{where} refuses the key {key_name} (HTTP {status}); put in a valid one")
    if status == 404:
        return Finding(f"{where} has no /models (HTTP 404); does base_url lack its /v1?", deadly=False)
    return None


def _read(endpoint: Endpoint, where: str, body: bytes) -> Finding | None:
    try:
        content = json.loads(body)
    except ValueError:
        kind = "HTML" if b"<html" in body[:2000].lower() or body.lstrip()[:1] == b"<" else "something that is no JSON"
        return Finding(f"{where} answers {kind}, not an OpenAI-compatible API; does base_url lack its /v1?")
    listed = content.get("data") if isinstance(content, dict) else None
    names = [str(one.get("id")) for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    for model in dict.fromkeys([endpoint.model, *endpoint.roles.values()]):
        if names and model not in names:
            near = difflib.get_close_matches(model, names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it lists {', '.join(names[:8])}"
            return Finding(f"{where} does not list the model {model}; {hint}", deadly=False)
    return None
