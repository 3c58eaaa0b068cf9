"""The dataset card: `README.md` of a run folder, as the Hugging Face hub renders it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from actors.logic.document import DocumentKind
from cluster.files import write_atomically
from cluster.manifest import Manifest
from cluster.parts import batches as all_batches
from pipelines.audit_section import audit_section
from pipelines.card_header import header, sizes
from pipelines.closing import first_row, metrics, said
from pipelines.diversity_table import diversity_section
from pipelines.quality_section import quality_section
from pipelines.quoting import quote
from pipelines.report.parts import batches, chosen_parts
from pipelines.settings import Settings

_HASHES, _ROWS_READ = 30, 200_000  # prompts that are told, and rows that are looked at for them


def write_card(settings: Settings, manifest: Manifest) -> Path:
    """Write the card from what the run has made so far."""
    path = settings.folder / "README.md"
    write_atomically(path, card(settings, manifest))
    return path


def card(settings: Settings, manifest: Manifest) -> str:
    """YAML header and Markdown body."""
    counts, folder = metrics(settings.folder), settings.folder
    told = header(settings, counts, f"{folder.name}: conversations of personas")
    return f"---\n{yaml.safe_dump(told, sort_keys=False, allow_unicode=True)}---\n\n{_body(settings, manifest, counts)}"


def _body(settings: Settings, manifest: Manifest, counts: dict[str, Any]) -> str:
    day = datetime.now(UTC).date().isoformat()
    models = ", ".join(sorted(_models(settings.folder))) or "none yet"
    chosen, words = settings.conversations, _words(settings, counts)
    figures = [
        (words.read, counts.get("documents")),
        ("documents cut to the model's context", counts.get("documents_truncated")),
        ("personas", counts.get("personas")),
        ("personas refused", counts.get("rejected")),
        ("conversations", counts.get("conversations")),
        ("items given up", counts.get("failures")),
        ("model calls", counts.get("calls")),
        ("prompt tokens", counts.get("prompt_tokens")),
        ("completion tokens", counts.get("completion_tokens")),
    ]
    table = "\n".join(f"| {name} | {value or 0:,.0f} |" for name, value in figures)
    cost = "unknown" if counts.get("cost_usd") is None else f"{counts['cost_usd']:,.4f}"
    return f"""# {settings.folder.name}

{_made(settings, words)}
Made by populace on {day}.

| | |
|---|---:|
{table}
| cost in USD | {cost} |

Models: {models}. Seed: {settings.seed}. Personas with a cosine of {settings.personas.dedup.threshold} or more to one
that is kept were refused (scope: {settings.personas.dedup.scope}). Sampling of personas: {chosen.sampling}.
{_parts(settings.folder)}{_prompts(settings, manifest)}
## Use

```python
from datasets import load_dataset

conversations = load_dataset("parquet", data_files="conversations/part-*.parquet", split="train")
personas = load_dataset("parquet", data_files="personas/part-*.parquet", split="train")
```

`messages` is in the chat format (`role`, `content`); `persona_generation_depth` says {words.depth}.
{_sample(settings.folder)}{_funnel(counts)}{quality_section(counts.get("quality"))}{diversity_section(counts.get("diversity"))}{audit_section(counts.get("audit"))}
## Sources and limits

{words.sources}: {", ".join(f"`{path}`" for path in settings.documents.path)}. Their licences bind what is derived
from them; say in `license`, `license_name` and `license_link` above which these are before you share this.

Everything but {words.real} was written by the models named above. Facts in it were not checked. Personas carry the
associations of the models, stereotypes among them, and the people of {words.real} are not the people of the world.
{_real_text(counts)}Do not train the models named above on this data round after round without fresh real text.

Run {manifest.run_id}.
"""


@dataclass(frozen=True, slots=True)
class _Words:
    """What the card says of where the personas come from."""

    read: str
    origin: str
    topic: str
    depth: str
    sources: str
    real: str


def _words(settings: Settings, counts: dict[str, Any]) -> _Words:
    grown = f"grown through their relationships to depth\n{counts.get('depth')}"
    if settings.documents.kind is DocumentKind.PERSONA:
        return _Words(
            read="personas given",
            origin=f"The seed personas were given (relation `given`), not found by a model, and {grown}",
            topic="",
            depth="how many relationships lie between the\npersona and one that was given",
            sources="Personas given",
            real="the personas given",
        )
    return _Words(
        read="documents read",
        origin=f"Personas were found in documents\n(who would read, write, like or dislike them) and {grown}",
        topic=" about one document",
        depth="how far from the document the\npersona was found",
        sources="Documents",
        real="the documents",
    )


def _made(settings: Settings, words: _Words) -> str:
    """What a row is, and where its persona comes from."""
    chosen = settings.conversations
    if not chosen.needs_personas:
        what = f"Synthetic tasks ({chosen.task})" if chosen.is_task else "Synthetic conversations"
        return f"{what} with an assistant, each about one document; no persona was put before the models."
    if chosen.is_task:
        of = "answered" if chosen.answer else "without an answer"
        return f"Synthetic tasks ({chosen.task}), {of}. {words.origin}; each row is made from one of them."
    return (
        f"Synthetic conversations between personas and an assistant. {words.origin};\n"
        f"each conversation is held by one persona{words.topic}, {chosen.max_turns} exchange(s) long."
    )


def _real_text(counts: dict[str, Any]) -> str:
    """The share of what was read that no model is known to have written."""
    read, written = counts.get("characters") or 0, counts.get("characters_generated") or 0
    if not read:
        return ""
    documents, generated = counts["documents"], counts["documents_generated"]
    return (
        f"Fresh real text: {1 - written / read:.1%} of the characters that were read ({documents - generated:,} of\n"
        f"{documents:,} documents); {generated:,} are known to be generated, by their dataset card or their columns.\n"
    )


def _funnel(counts: dict[str, Any]) -> str:
    """What became of the personas that were proposed, layer by layer."""
    rows = [row for row in counts.get("funnel") or [] if row["candidates"]]
    if not rows:
        return ""
    names = [name for name in rows[0] if name in ("depth", "admitted") or any(row[name] for row in rows)]
    lines = ["", "## Personas by depth", "", f"| {' | '.join(names)} |", f"|{'---:|' * len(names)}"]
    return "\n".join([*lines, *(f"| {' | '.join(f'{row[name]:,}' for name in names)} |" for row in rows), ""])


def _parts(folder: Path) -> str:
    """Rows, files and bytes of everything that may be loaded."""
    rows = [f"| `{name}` | {rows:,} | {files:,} | {size:,} |" for name, (rows, files, size) in sizes(folder).items()]
    return "\n".join(["", "| config | rows | files | bytes |", "|---|---:|---:|---:|", *rows, ""]) if rows else ""


def _prompts(settings: Settings, manifest: Manifest) -> str:
    """The hashes of the prompts that rows were made with, which stand in their columns `prompt_sha`."""
    seed, found = settings.seed, Counter[tuple[str, str]]()
    parts = chosen_parts(manifest.personas.parts, "personas", _ROWS_READ, seed)
    for batch in batches(settings.folder / "personas", parts, ["prompt_sha"]):
        found.update(("persona", one) for one in batch.column(0).to_pylist() if one)
    parts = chosen_parts(manifest.conversations.parts, "rows", _ROWS_READ, seed)
    for batch in batches(settings.folder / "conversations", parts, ["prompt_sha"]):
        for who in ("correspondent", "respondent", "judge"):
            found.update((who, one) for one in batch.column(0).field(who).to_pylist() if one)
    if not found:
        return ""
    lines = [f"| {who} | `{sha}` | {count:,} |" for (who, sha), count in found.most_common(_HASHES)]
    more = f"\n{len(found) - _HASHES:,} more are in the columns `prompt_sha`.\n" if len(found) > _HASHES else ""
    return "\n".join(["", "| prompt of | hash | rows |", "|---|---|---:|", *lines, more])


def _models(folder: Path) -> set[str]:
    found: set[str] = set()
    for batch in all_batches(folder / "conversations", ["models"]):
        for name in ("correspondent", "respondent", "judge"):
            found.update(batch.column("models").field(name).unique().to_pylist())
    return {name for name in found if name}


def _sample(folder: Path) -> str:
    row = first_row(folder / "conversations", ["persona", "messages"])
    if not row:
        return ""
    lines = [f"> *{quote(row['persona'])}*"] if row["persona"] else []
    for message in row["messages"]:
        if message["role"] != "system":
            lines.append(f"> **{message['role']}**: {quote(said(message))}")
    return "\n## A row\n\n" + "\n>\n".join(lines) + "\n"
