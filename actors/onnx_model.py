"""A model's transformer by ONNX Runtime: the file that its folder brings, or one that is made of it once and kept.

Files that are made lie under `$POPULACE_CACHE` (`~/.cache/populace`), named by the model's weights.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import tempfile
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import torch

from actors.encoder import Encoding, Precision
from cluster.errors import UserError

log = logging.getLogger(__name__)

_OPSET = 17
_FARTHEST = 1e-3  # components of an export from those of its original, of size one or so


class OnnxTransform:
    """In place of the first module of a sentence-transformers model, on one thread of the processor. `folder` is where
    the model lies. `UserError` where ONNX Runtime or the file cannot be used."""

    def __init__(self, module: Any, encoding: Encoding, folder: Path) -> None:
        for package in ("onnxruntime", "onnx"):
            if importlib.util.find_spec(package) is None:
                raise UserError(f"personas.dedup.backend: onnx needs {package}: pip install 'populace[onnx]'")
        self._session = _session(_file(module, encoding, folder))
        self._inputs = [one.name for one in self._session.get_inputs()]
        if encoding.precision is Precision.INT8:
            log.warning("%s: int8 decides otherwise on about a tenth of the pairs near the threshold", encoding.model)

    def __call__(self, ids: Any, mask: Any) -> Any:
        told = {"input_ids": ids.numpy(), "attention_mask": mask.numpy(), "token_type_ids": (ids * 0).numpy()}
        found = self._session.run(None, {name: told[name] for name in self._inputs})
        return torch.from_numpy(found[0])


def _session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own are of no common type
        raise UserError(f"personas.dedup.backend: ONNX Runtime cannot load {path} ({str(error)[:160]})") from None


def _file(module: Any, encoding: Encoding, folder: Path) -> Path:
    brought = folder / "onnx" / "model.onnx"
    name = _digest(module)
    path = brought if brought.is_file() else _kept(f"{name}.onnx", lambda path: _export(module, path))
    if encoding.precision is Precision.INT8:
        return _kept(f"{name}-int8.onnx", lambda quantised: _quantise(path, quantised))
    return path


def _digest(module: Any) -> str:
    """Of the weights, in the order of their names."""
    found = hashlib.sha256()
    for name, weights in sorted(module.auto_model.state_dict().items()):
        found.update(name.encode())
        found.update(weights.cpu().contiguous().numpy())
    return found.hexdigest()[:24]


def _kept(name: str, make: Callable[[Path], None]) -> Path:
    """A file of the cache, made where it is not there; whole or not at all, whoever else makes it meanwhile."""
    cache = Path(os.environ.get("POPULACE_CACHE") or "~/.cache/populace").expanduser() / "onnx"
    if (path := cache / name).is_file():
        return path
    log.info("making %s, once", path)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            make(Path(folder) / name)
            return (Path(folder) / name).replace(path)
    except OSError as error:
        raise UserError(
            f"cannot keep {path} ({error.strerror or error}): set POPULACE_CACHE to a folder with room"
        ) from None


def _export(module: Any, path: Path) -> None:
    """By the tracing exporter: the graph of the newer one is slower by a tenth, and took a mask of its example for
    every mask. `UserError` where what comes out is not the model."""
    ids = torch.arange(24).reshape(2, 12) % 7 + 1
    mask = (torch.arange(12) < torch.tensor([[12], [5]])).long()
    axes = {0: "texts", 1: "tokens"}
    names = ["input_ids", "attention_mask"]
    module.auto_model.set_attn_implementation("eager")  # the form that ONNX Runtime makes the most of
    with warnings.catch_warnings(), redirect_stdout(StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Tokens(module.auto_model).eval(),
            (ids, mask),
            str(path),
            dynamo=False,
            opset_version=_OPSET,
            input_names=names,
            output_names=["token_embeddings"],
            dynamic_axes=dict.fromkeys([*names, "token_embeddings"], axes),
        )
    _check(module.auto_model, path, ids[:, :9] + 3, mask[:, :9])


def _check(original: Any, path: Path, ids: Any, mask: Any) -> None:
    with torch.inference_mode():
        wanted = original(input_ids=ids, attention_mask=mask)[0]
    [found] = _session(path).run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
    if not ((torch.from_numpy(found) - wanted).abs() * mask.unsqueeze(-1) < _FARTHEST).all():
        raise UserError("personas.dedup.backend: this model does not survive its export to ONNX; use backend: torch")


class _Tokens(torch.nn.Module):
    """A transformer as a function of ids and mask alone."""

    def __init__(self, transformer: Any) -> None:
        super().__init__()
        self._transformer = transformer

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self._transformer(input_ids=input_ids, attention_mask=attention_mask)[0]
        return found


def _quantise(path: Path, quantised: Path) -> None:
    """Weights, and the activations as they come, in eight bits."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(path, quantised, weight_type=QuantType.QInt8, per_channel=True)
