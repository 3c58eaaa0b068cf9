"""Opens a run's folder: takes its lock, reads its manifest, sweeps what a killed run left, and tells what it may go on
with. Knows no Ray."""

from __future__ import annotations

import hashlib
import logging
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from actors.logic.dialogue import Context
from cluster.errors import UserError
from cluster.files import run_lock
from cluster.folder_swap import remove_successor, settle
from cluster.journal import belongs_to_another
from cluster.local_copies import remove, scratch
from cluster.manifest import Manifest, load
from cluster.object_path import ObjectPath
from cluster.parts import sweep
from pipelines.settings import Settings, kept_config
from pipelines.talk_tools import is_file

log = logging.getLogger(__name__)

PERSONA_FOLDERS = ("documents", "personas", "rejected")
TALK_FOLDERS = ("conversations", "rejected_conversations")
SOURCE_FAILURES = "documents"
_MORE_DOCUMENTS = "documents.limit"  # those that are added are read, others stay
_JOURNAL = ("*.jsonl", "index", "journal.json", "compaction.json", ".lock", ".*.tmp")
VARIABLES = "bios/variables.yaml"
_DEDUP = tuple(
    f"{folder}/{name}"
    for folder in ("dedup", "dedup/shard-*", "openings", "openings/shard-*")
    for name in ("log-*.arrows", "segment-*.arrow", "index-*.faiss", "density", ".*.tmp")
)
_OWN = (
    VARIABLES,
    "batches/[0-9]*.*",
    "batches/.lock",
    "retrieval/part-*.arrow",
    "metrics.json",
    "budget.json",
    "logs/*.jsonl*",
    "history.json",
    "report.html",
    "README.md",
    "ray.log",
    "manifest.json",
)


@contextmanager
def open_run(
    settings: Settings, command: str, fresh: bool = False, own: Mapping[str, str] | None = None
) -> Iterator[Manifest]:
    """The run's manifest, with its folder locked and swept. `own` are names of code that its parts rest on too.

    `UserError` where another process has it, where it belongs to something else, or where settings changed that its
    parts were made under.
    """
    folder = settings.folder
    if not isinstance(folder, ObjectPath) and folder.is_file():
        raise UserError(f"run_dir {settings.run_dir} is a file; name a folder")
    with run_lock(folder, command):
        if fresh:
            clear(folder)
        now = lasting(settings) | dict(own or {})
        manifest = load(folder / "manifest.json") or _new(settings, folder, now)
        _check(settings, manifest, now)
        manifest.facts["config"] = kept_config(settings)
        for name in (*TALK_FOLDERS, "failures"):
            settle(folder / name, manifest.conversations.parts)
        sweep_strays(folder, manifest)
        manifest.save()
        yield manifest


def clear(folder: Path) -> None:
    """Remove what a run wrote, and nothing else that lies in its folder; a journal of another run stays."""
    for name in (*TALK_FOLDERS, "failures"):
        remove_successor(folder / name)
    for name in (*PERSONA_FOLDERS, *TALK_FOLDERS, "bios", "failures"):
        sweep(folder / name, ())
    if (folder / "manifest.json").is_file():
        if not belongs_to_another(folder / "journal", _run_id(folder)):
            _remove(folder / "journal", _JOURNAL)
        _remove(folder, [*_OWN, *_DEDUP])
    if (copies := scratch(folder)) != folder:
        shutil.rmtree(copies, ignore_errors=True)
    services = [
        one for name in ("dedup", "openings") for one in (*sorted(folder.glob(f"{name}/shard-*")), folder / name)
    ]
    kept = [str(path.relative_to(folder)) for path in services]
    for name in (*PERSONA_FOLDERS, *TALK_FOLDERS, "bios", "failures", "journal", "batches", "retrieval", "logs", *kept):
        with suppress(OSError):  # not empty: somebody else's files lie there
            (folder / name).rmdir()


def _run_id(folder: Path) -> str | None:
    with suppress(UserError):
        manifest = load(folder / "manifest.json")
        return manifest.run_id if manifest else None
    return None


def _remove(folder: Path, patterns: Iterable[str]) -> None:
    for pattern in patterns:
        remove(folder.glob(pattern))


def sweep_strays(folder: Path, manifest: Manifest) -> None:
    """Remove parts that the manifest does not name."""
    personas, conversations = manifest.personas.parts, manifest.conversations.parts
    strays = sum(sweep(folder / name, personas) for name in PERSONA_FOLDERS)
    strays += sum(sweep(folder / name, conversations) for name in TALK_FOLDERS)
    strays += sweep(folder / "bios", manifest.bios.parts)
    bios = [name for name, part in manifest.bios.parts.items() if part["failures"]]
    strays += sweep(folder / "failures", [*personas, *conversations, *bios, SOURCE_FAILURES])
    if strays:
        log.info("%d unfinished parts of an earlier run were removed", strays)


def _new(settings: Settings, folder: Path, now: dict[str, Any]) -> Manifest:
    found = [name for name in ("personas", "conversations", "bios") if any((folder / name).glob("part-*.parquet"))]
    if found:
        raise UserError(
            f"run_dir {settings.run_dir} holds {found[0]}/ but no manifest.json; choose another folder, or --fresh to "
            "remove what is there"
        )
    return Manifest(folder / "manifest.json", uuid.uuid4().hex[:12], now)


def lasting(settings: Settings) -> dict[str, Any]:
    """The settings that the parts of a run rest on, flat; all others may change between its sessions."""
    flat: dict[str, Any] = {"seed": settings.seed, "llm.small_model": settings.llm.small_model}
    for section in ("documents", "personas", "conversations", "bios"):
        if (chosen := getattr(settings, section)) is not None:
            _flatten(section, chosen.model_dump(mode="json"), flat)
    flat = {name: value for name, value in flat.items() if not name.startswith("conversations.stop.")}
    for grows in ("conversations.count", "bios.num_of_samples"):  # what is added is made
        flat.pop(grows, None)
    for decides in ("conversations.threshold", "conversations.max_attempts"):  # on what is made from now on
        flat.pop(decides, None)
    models = ("bios.models", "bios.variable_models")  # as those of endpoints
    for answers in (*models, "bios.variables"):  # what variables say is compared
        flat.pop(answers, None)
    files = ["personas.prompts.text", "personas.prompts.persona", "bios.prompt", "conversations.rubric"]
    files.append("conversations.tools.path")
    if is_file(flat.get("conversations.tools.functions") or ""):
        files.append("conversations.tools.functions")
    if settings.conversations.strategy.endswith(".txt"):
        files.append("conversations.strategy")
    for file in files:
        if flat.get(file):
            flat[file] = f"{flat[file]} ({_content_digest(Path(flat[file]))})"
    for waits in ("conversations.tools.timeout_s", "conversations.rag.timeout_s"):
        flat.pop(waits, None)
    if not settings.conversations.needs_personas:
        flat["personas.depth"] = "none"
    if settings.conversations.context is not Context.RAG:
        flat = {name: value for name, value in flat.items() if not name.startswith("conversations.rag.")}
    del flat["personas.dedup.backend"]  # makes the same vectors
    del flat["personas.baseline"]  # what the run is held against
    if flat["documents.generated"] == "warn":  # which differs in words alone
        flat["documents.generated"] = "allow"
    endpoint = settings.personas.dedup.endpoint
    flat = {name: value for name, value in flat.items() if not name.startswith("personas.dedup.endpoint.")}
    flat["personas.dedup.endpoint"] = f"{endpoint.model} at {endpoint.base_url}" if endpoint else None
    return flat


def _content_digest(path: Path) -> str:
    """Twelve hex digits; one who cannot read it is told of it where it is used."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    except OSError:
        return "unreadable"


def _flatten(prefix: str, values: dict[str, Any], flat: dict[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, dict):
            _flatten(f"{prefix}.{name}", value, flat)
        else:
            flat[f"{prefix}.{name}"] = value


def _check(settings: Settings, manifest: Manifest, now: dict[str, Any]) -> None:
    changed = [name for name, value in manifest.settings.items() if now.get(name) != value]
    if name := next((name for name in changed if _rests_on(manifest, name)), ""):
        raise UserError(
            f"{name} was {manifest.settings[name]!r} when {settings.run_dir} was begun and is {now.get(name)!r} now; "
            "keep it, choose another run_dir, or --fresh to start over"
        )
    grows = (_MORE_DOCUMENTS,) if manifest.personas.parts else ()
    if not all(name.startswith(("conversations.", "bios.", *grows)) for name in changed):
        manifest.facts.pop("growth", None)  # chosen and admitted under other settings, and in no part
        _remove(settings.folder, _DEDUP)
    manifest.settings = now


def _rests_on(manifest: Manifest, name: str) -> bool:
    """Whether parts were made under this setting."""
    documents = bool(manifest.personas.parts or manifest.conversations.parts)
    if name == _MORE_DOCUMENTS:
        return False
    match name.partition(".")[0]:
        case "conversations":
            return documents and bool(manifest.laps)
        case "bios":
            return bool(manifest.bios.parts)
        case "documents" | "personas":
            return documents
    return documents or bool(manifest.bios.parts)
