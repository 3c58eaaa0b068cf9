"""Asks each endpoint, before anything is started or paid, whether it is there, takes the keys and knows the models,
and how large their contexts are where it says so."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.message import Message
from urllib.parse import quote, urlsplit

from cluster.errors import UserError
from cluster.keys import Endpoint, Secret
from cluster.refusal import read_refusal
from cluster.retry import Action, judge
from pipelines.model_names import is_listed, nearest_first
from pipelines.settings import EMBEDDED

_TIMEOUT_S = 10.0
_MOST_BYTES = 8 * 2**20


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


@dataclass(frozen=True, slots=True)
class Listed:
    """The models that an endpoint names, in its order, with the context windows that it tells; or why none are."""

    names: list[str]
    contexts: dict[str, int]
    fault: str = ""


def listed_models(base_url: str, secret: Secret) -> Listed:
    """What an endpoint says that it has."""
    try:
        status, _, body = _get(f"{base_url}/models", secret)
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        return Listed([], {}, f"nobody answers at {base_url} ({' '.join(str(reason).split())})")
    content = _json(body)
    models = content.get("data") if isinstance(content, dict) else None
    if status != 200 or not isinstance(models, list):
        why = f"HTTP {status}" if status != 200 else "no list of models"
        return Listed([], {}, f"{base_url} answers {why}; is its /v1 there and its key right?")
    known = {str(one["id"]): one for one in models if isinstance(one, dict) and "id" in one}
    return Listed(list(known), {name: sizes[0] for name, one in known.items() if (sizes := _context(one))})


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
    try:
        status, headers, body = _get(url, secret)
        if status in (404, 405) or (status == 200 and _json(body) is None):
            return _no_list(endpoint, where, secret, status, body)
        if status != 200:
            refused = judge(read_refusal(status, headers, body, url, secret, time.time())).action is Action.RETIRE
            said = f"{where} refuses the key {key_name} (HTTP {status}); put in a valid one"
            return Finding(said if refused else "")
        return _read(endpoint, where, secret, _json(body))
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        return Finding(f"{where}: nobody answers ({reason}); is the server started and the address right?")
    except (ValueError, http.client.HTTPException) as error:
        return Finding(f"{where}: {' '.join(str(error).split())}")


def _get(url: str, secret: Secret) -> tuple[int, Mapping[str, str], bytes]:
    """Status, headers by their names in lower case, and body, whatever the status."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {secret.reveal()}"})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:  # http and https alone pass the settings
            return response.status, _lower(response.headers), response.read(_MOST_BYTES)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, _lower(error.headers), error.read(_MOST_BYTES)


def _lower(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _json(body: bytes) -> object:
    """None where the body is no JSON."""
    try:
        return json.loads(body)
    except ValueError:
        return None


def _no_list(endpoint: Endpoint, where: str, secret: Secret, status: int, body: bytes) -> Finding:
    """No list of models where one was asked for: an API lies below, or there is none, or it has no list."""
    below = f"{endpoint.base_url}/v1"
    try:
        below_status, _, below_body = _get(f"{below}/models", secret)
    except OSError:
        below_status, below_body = 404, b""
    if below_status in (200, 401, 403) and _json(below_body) is not None:
        return Finding(f"{where} is no OpenAI-compatible API, but {below} is; set base_url to that")
    if status != 200:
        return Finding(f"{where} has no /models (HTTP {status}); does base_url lack its /v1?", deadly=False)
    kind = "HTML" if b"<html" in body[:2000].lower() or body.lstrip()[:1] == b"<" else "something that is no JSON"
    return Finding(f"{where} answers {kind}, not an OpenAI-compatible API; does base_url lack its /v1?")


def _read(endpoint: Endpoint, where: str, secret: Secret, content: object) -> Finding:
    listed = content.get("data") if isinstance(content, dict) else None
    known = {str(one.get("id")): one for one in listed if isinstance(one, dict)} if isinstance(listed, list) else {}
    used = dict.fromkeys([endpoint.model, *endpoint.roles.values(), *endpoint.named])
    for model in used:
        if not known or is_listed(model, known) or _answers_to(endpoint, model, secret):
            continue
        if _is_partial(endpoint, content, known):
            return Finding(f"{where} does not list the model {model}, but may have it all the same", deadly=False)
        return Finding(f"{where} has no model {model}; it has {nearest_first(model, known)}")
    return Finding(contexts=tuple(size for model in used for size in _context(known.get(model, {}))))


def _answers_to(endpoint: Endpoint, model: str, secret: Secret) -> bool:
    """Whether the endpoint, asked for this very model, describes one; not all have an answer to that."""
    try:
        status, _, body = _get(f"{endpoint.base_url}/models/{quote(model)}", secret)
    except (OSError, ValueError, http.client.HTTPException):
        return False
    return status == 200 and isinstance(described := _json(body), dict) and "id" in described


def _is_partial(endpoint: Endpoint, content: object, known: Mapping[str, dict[str, object]]) -> bool:
    """Whether the list is known to lack models that are answered to: the first page of a longer one, Azure's, which
    names no deployments, or llama.cpp's, which takes any name for the model that it has."""
    if isinstance(content, dict) and content.get("has_more") is True:
        return True
    host = urlsplit(endpoint.base_url).hostname or ""
    return host.endswith(".azure.com") or any(one.get("owned_by") == "llamacpp" for one in known.values())


def _context(model: dict[str, object]) -> list[int]:
    """The context window as vLLM, OpenRouter and llama.cpp tell it in their lists of models."""
    meta = model.get("meta")
    told = [model.get("max_model_len"), model.get("context_length")]
    told += [meta.get("n_ctx")] if isinstance(meta, dict) else []
    return [size for size in told if isinstance(size, int) and size > 0]
