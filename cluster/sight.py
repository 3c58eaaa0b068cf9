"""What the nodes of a cluster see: whether each can do a run's work and reads the files that the run is made of."""

from __future__ import annotations

import importlib.util
import platform
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray.autoscaler.sdk import request_resources
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cluster.errors import Halt, UserError
from cluster.files import halt_on_disk_error
from cluster.object_path import path_of
from cluster.room import Node, Want

_MODULES = ("faiss", "openai", "pyarrow", "pydantic", "yaml", "json_repair", "sentence_transformers")
_PATIENCE_S = 60.0  # for a process to start on each node, all at the same time
_SEEN_WITHIN_S = 5.0  # network file systems remember for a while what was not there


def nodes() -> list[Node]:
    """The nodes that are alive."""
    return [Node(one["Resources"], one.get("Labels") or {}) for one in _alive()]


@contextmanager
def ask_for(wants: Sequence[Want]) -> Iterator[None]:
    """Have the cluster's autoscaler, where there is one, bring room for all of these, as long as the block lasts: it
    brings nothing for actors that nobody has started yet."""
    each = [one for one in wants for _ in range(one.count)]
    selectors = [dict(one.labels) for one in each] if any(one.labels for one in each) else None
    request_resources(bundles=[dict(one.each) for one in each], bundle_label_selectors=selectors)
    try:
        yield
    finally:
        request_resources(bundles=[])


def check_nodes(run_dir: Path, documents: Sequence[str] = ()) -> None:
    """`UserError` where a node that is alive lacks something, or does not see `run_dir` or one of these files."""
    others = [one for one in _alive() if one["NodeID"] != ray.get_runtime_context().get_node_id()]
    if not others:
        return
    probe, content = run_dir / f".probe-{secrets.token_hex(4)}", secrets.token_hex(16)
    with halt_on_disk_error(probe):
        probe.write_text(content)
    try:
        asked = {_ask(one, probe, content, documents): one for one in others}
        ready, late = ray.wait(list(asked), num_returns=len(asked), timeout=_PATIENCE_S)
    finally:
        probe.unlink(missing_ok=True)
    for ref in ready:
        if fault := _answer(ref):
            raise UserError(f"node {_name(asked[ref])} {fault}")
    if late:
        raise UserError(f"node {_name(asked[late[0]])} did nothing for {_PATIENCE_S:g} s; see its logs")


def check_seen(run_dir: Path) -> None:
    """For actors of a run, on nodes that may have come after `check_nodes`: `Halt` where this one sees no run there."""
    if not (run_dir / "manifest.json").exists():
        raise Halt(
            f"run_dir {run_dir} of this run is not there on node {platform.node()}; name a folder that all nodes mount"
        )


def _alive() -> list[Mapping[str, Any]]:
    return [one for one in ray.nodes() if one["Alive"]]


def _name(node: Mapping[str, Any]) -> str:
    return f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"


def _ask(node: Mapping[str, Any], probe: Path, content: str, documents: Sequence[str]) -> Any:
    there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
    task = ray.remote(_look).options(num_cpus=0, max_retries=0, scheduling_strategy=there)
    return task.remote(str(probe), content, list(documents), ray.__version__, platform.python_version())


def _answer(ref: Any) -> str:
    try:
        return str(ray.get(ref))
    except RayError as error:
        reason = " ".join(str(error).split())[-200:]
        return f"cannot run populace; submit with --working-dir, or install it there ({reason})"


def _look(probe: str, content: str, documents: list[str], its_ray: str, its_python: str) -> str:
    """On the node itself: what is wrong there, or nothing."""
    import time

    if (ray.__version__, platform.python_version()) != (its_ray, its_python):
        return f"has Ray {ray.__version__} on Python {platform.python_version()}, not {its_ray} on {its_python}"
    if missing := [name for name in _MODULES if importlib.util.find_spec(name) is None]:
        return f"lacks {', '.join(missing)}; install populace's dependencies there"
    deadline, place = time.monotonic() + _SEEN_WITHIN_S, path_of(probe)
    try:
        while not place.is_file() and time.monotonic() < deadline:
            time.sleep(0.5)
        if not place.is_file() or place.read_text() != content:
            return f"does not see run_dir {place.parent}; name a folder that all nodes mount"
    except (Halt, UserError) as error:
        return f"does not see run_dir: {error}"
    for path in documents:
        if not Path(path).exists():
            return f"does not see {path} of documents.path; name files that all nodes mount, or URLs"
    return ""
