"""`populace init`: looks at documents and at an endpoint, and writes a config that fits both."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console

from cluster.errors import UserError
from cluster.files import write_atomically
from cluster.prices import listed_price
from pipelines.config_text import SCHEMA, config_text
from pipelines.endpoints import resolve_keys
from pipelines.model_names import is_listed, nearest_first
from pipelines.preflight import Listed, listed_models
from pipelines.settings import EMBEDDED, EndpointSettings, parse
from pipelines.settings.words import config_schema
from pipelines.sources import count_documents, find_files, peek, plan_splits

_COUNTED = 1_000_000
_KEYS = {  # the variable that a host's users have their key in
    "api.openai.com": "OPENAI_API_KEY",
    "openrouter.ai": "OPENROUTER_API_KEY",
    "api.mistral.ai": "MISTRAL_API_KEY",
    "api.deepseek.com": "DEEPSEEK_API_KEY",
    "generativelanguage.googleapis.com": "GEMINI_API_KEY",
    "api.anthropic.com": "ANTHROPIC_API_KEY",
    "api.groq.com": "GROQ_API_KEY",
    "api.together.xyz": "TOGETHER_API_KEY",
}
_NO_TALK = ("embed", "whisper", "tts", "dall-e", "moderation", "rerank", "image", "audio", "realtime", "transcribe")


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command was given. `model` and `key` may be empty: they are found out."""

    documents: Sequence[str]
    base_url: str
    model: str
    key: str
    count: int
    run_dir: str


def begin(wish: Wish, path: Path, force: bool, console: Console) -> None:
    """Write the config to `path`, and the schema for editors beside it. `UserError` where it is there already, or
    where documents or endpoint cannot be used."""
    if path.exists() and not force:
        raise UserError(f"{path} is there already; name another file, or --force to replace it")
    documents, found = _documents(wish.documents)
    endpoint, served = _endpoint(wish)
    chosen = {
        "run_dir": wish.run_dir,
        "documents": documents,
        "llm": {"endpoints": [endpoint]},
        "conversations": {"count": wish.count},
    }
    parse(chosen)
    head = [f"populace plan {path}    what it takes; calls no model", f"populace run {path}     the dataset"]
    write_atomically(path, config_text(chosen, [*head, "", f"documents: {found}", f"endpoint: {served}"]))
    write_atomically(path.with_name(SCHEMA), schema_text())
    for line in (f"documents: {found}", f"endpoint: {served}", f"wrote {path}; next: populace plan {path}"):
        console.print(line, highlight=False, soft_wrap=True, markup=False)


def schema_text() -> str:
    """The schema of a config as a file holds it."""
    return json.dumps(config_schema(), indent=1, ensure_ascii=False) + "\n"


def _documents(patterns: Sequence[str]) -> tuple[dict[str, Any], str]:
    """The section, and what was found, in words."""
    files = find_files(patterns)
    count = count_documents(plan_splits(files), stop_at=_COUNTED)
    if not count:
        raise UserError(f"no document in {', '.join(patterns)}")
    kinds = ", ".join(f"{number:,} {kind}" for kind, number in Counter(str(one.kind) for one in files).items())
    more = " or more" if count == _COUNTED else ""
    found = f"{count:,}{more} in {len(files):,} file{'s' if len(files) > 1 else ''} ({kinds})"
    section: dict[str, Any] = {"path": list(patterns)}
    fields = next((told for told in map(peek, files[:10]) if told), {})
    texts = [name for name, held in fields.items() if not held]
    if fields and "text" not in texts:
        section |= _field(texts, fields, files[0].name)
        found += f"; texts are read from the field {section.get('text_field', 'persona')}"
    return section, found


def _field(texts: Sequence[str], fields: Mapping[str, str], file: str) -> dict[str, Any]:
    """Which field has the text, where none is called that."""
    if "persona" in texts:
        return {"kind": "persona"}
    likely = [name for name in ("content", "body", "article", "document", "passage", "abstract") if name in texts]
    if not (likely or texts):
        raise UserError(f"{file}: no field holds text; it has {', '.join(fields)}")
    return {"text_field": (likely or list(texts))[0]}


def _endpoint(wish: Wish) -> tuple[dict[str, Any], str]:
    """The item of `llm.endpoints`, and what was found, in words."""
    if wish.base_url == EMBEDDED:
        model = wish.model or "smollm2-135m-instruct"
        return {"base_url": EMBEDDED, "model": model}, f"{model}, embedded on this machine"
    given = EndpointSettings(base_url=_url(wish.base_url), model=wish.model or "?", keys=_key(wish))
    [(_, secret), *_] = resolve_keys(given, "the endpoint")
    listed = listed_models(given.base_url, secret)
    model = wish.model or _model(given.base_url, listed)
    section: dict[str, Any] = {"base_url": given.base_url, "model": model}
    if given.keys:
        section["keys"] = given.keys
    return section, f"{given.base_url} {_told(given.base_url, model, listed)}"


def _url(base_url: str) -> str:
    if not base_url.startswith(("http://", "https://")):
        raise UserError(f"--endpoint must start with http:// or https:// (or be '{EMBEDDED}'), got {base_url}")
    return base_url.rstrip("/")


def _key(wish: Wish) -> list[str]:
    if wish.key and not wish.key.startswith(("env:", "file:")):
        raise UserError("--key must be env:NAME or file:PATH, not the key itself")
    if wish.key:
        return [wish.key]
    variable = _KEYS.get(urlsplit(wish.base_url).hostname or "")
    return [f"env:{variable}"] if variable else []


def _model(base_url: str, listed: Listed) -> str:
    """The one that there is; of several the first whose price is known, for a run can then be priced."""
    if listed.fault:
        raise UserError(f"{listed.fault}; name the model with --model to write the config all the same")
    talking = [name for name in listed.names if not any(word in name.lower() for word in _NO_TALK)]
    if not talking:
        raise UserError(f"{base_url} lists no model; name one with --model")
    priced = [name for name in talking if listed_price(base_url, name.removeprefix("models/"))]
    return (priced or talking)[0]


def _told(base_url: str, model: str, listed: Listed) -> str:
    if listed.fault:
        return f"could not be asked ({listed.fault}); the model {model} is as you said"
    if not is_listed(model, listed.names):
        return f"does not list the model {model}; it has {nearest_first(model, listed.names)}"
    context = next((size for name, size in listed.contexts.items() if is_listed(model, [name])), None)
    window = f", a context of {context:,} tokens" if context else ""
    known = listed_price(base_url, model)
    price = f", ${known.price.input:g} in and ${known.price.output:g} out per million tokens" if known else ""
    others = f" of {len(listed.names):,} models" if len(listed.names) > 1 else ""
    return f"has {model}{others}{window}{price}"
