"""Asks each endpoint, before anything is started or paid, whether it is there, takes the keys and knows the models,
and how large their contexts are where it says so."""

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
    """What one key at one endpoint brought: a fault (a run can do without it as long as another key is well), or the
    context windows, in tokens, of the models in use."""

    fault: str = ""
    deadly: bool = True
    contexts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """Warnings about keys and endpoints that the run will do without, and the context windows that were told."""

    warnings: list[str]
    contexts: list[int]


def check(endpoints: list[Endpoint]) -> Report:
    """Ask them all at once. `UserError` where none is left to serve the run."""
    asked = [(endpoint, name, secret) for endpoint in endpoints for name, secret in endpoint.keys]
    asked = [one for one in asked if one[0].base_url != EMBEDDED]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda one: _ask(*one), asked))
    faults = [finding for finding in found if finding.fault and finding.deadly]
    embedded = any(endpoint.base_url == EMBEDDED for endpoint in endpoints)
    if faults and len(faults) == len(found) and not embedded:
        raise UserError("\n".join(dict.fromkeys(finding.fault for finding in faults)))
    warnings = dict.fromkeys(finding.fault for finding in found if finding.fault)
    return Report(list(warnings), [size for finding in found for size in finding.contexts])


def _ask(endpoint: Endpoint, key_name: str, secret: Secret) -> Finding:
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


def _refusal(where: str, key_name: str, status: int) -> Finding:
    if status in (401, 403):
        return Finding(f"{where} refuses the key {key_name} (HTTP {status}); put in a valid one")
    if status == 404:
        return Finding(f"{where} has no /models (HTTP 404); does base_url lack its /v1?", deadly=False)
    return Finding()


def _read(endpoint: Endpoint, where: str, body: bytes) -> Finding:
    try:
        content = json.loads(body)
    except ValueError:
        kind = "HTML" if b"<html" in body[:2000].lower() or body.lstrip()[:1] == b"<" else "something that is no JSON"
        return Finding(f"{where} answers {kind}, not an OpenAI-compatible API; does base_url lack its /v1?")
    listed = content.get("data") if isinstance(content, dict) else None
    known = {str(one.get("id")): one for one in listed if isinstance(one, dict)} if isinstance(listed, list) else {}
    names, used = list(known), dict.fromkeys([endpoint.model, *endpoint.roles.values()])
    for model in used:
        if names and model not in names:
            near = difflib.get_close_matches(model, names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it lists {', '.join(names[:8])}"
            return Finding(f"{where} does not list the model {model}; {hint}", deadly=False)
    return Finding(contexts=tuple(size for model in used for size in _context(known.get(model, {}))))


def _context(model: dict[str, object]) -> list[int]:
    """The context window as vLLM, OpenRouter and llama.cpp tell it in their lists of models."""
    meta = model.get("meta")
    told = [model.get("max_model_len"), model.get("context_length")]
    told += [meta.get("n_ctx")] if isinstance(meta, dict) else []
    return [size for size in told if isinstance(size, int) and size > 0]
