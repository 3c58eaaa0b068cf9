"""What a run makes sure of when it has joined a cluster, before anything is paid: that its keys are no part of a job
that all can read, that all nodes see its files, and that there is room for what it starts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from cluster.errors import UserError
from cluster.job import is_job, job_environment, unpacked
from cluster.keys import Endpoint
from cluster.room import homeless, told
from pipelines.endpoints import key_files
from pipelines.placement import wants
from pipelines.settings import Settings
from pipelines.sources import Split

_LOOK_EVERY_S = 1.0
_SAFE = "a file on the head that this job's user alone can read, or an environment that Ray was started with"


def check_job(settings: Settings, targets: Sequence[Endpoint]) -> None:
    """`UserError` where what this job was submitted with gives its keys away, or would lose what it makes."""
    if not is_job():
        return
    if unpacked(settings.folder):
        raise UserError(
            f"run_dir {settings.run_dir} lies in the job's working directory, which Ray removes; name an absolute path"
        )
    for path in (path for one in settings.llm.endpoints for path in key_files(one)):
        if unpacked(path):
            raise UserError(
                f"file:{path} went through the cluster with the job's working directory; take other keys, in {_SAFE}"
            )
    handed = {str(value) for value in (job_environment().get("env_vars") or {}).values()}
    for name, secret in (key for one in targets for key in one.keys):
        if secret.reveal() in handed:
            raise UserError(
                f"the key {name} stands in the job's runtime environment, where everybody who sees the job reads it; "
                f"take another key, in {_SAFE}"
            )


def check_cluster(settings: Settings, splits: Sequence[Split], callers: int, console: Console) -> None:
    """`UserError` where a node of the cluster does not see the files of the run, or where `cluster.wait_s` brings no
    room for it."""
    from cluster.sight import check_nodes

    check_nodes(settings.folder, _local(splits))
    _wait_for_room(settings, callers, console)


def _local(splits: Sequence[Split]) -> list[str]:
    """The first and the last file of the documents, of those that are no URLs."""
    paths = [file.path for split in (*splits[:1], *splits[-1:]) for file in split.files[:1]]
    return [path for path in dict.fromkeys(paths) if Path(path).is_absolute()]


def _wait_for_room(settings: Settings, callers: int, console: Console) -> None:
    from cluster.sight import ask_for, nodes

    wanted, deadline = wants(settings, callers), time.monotonic() + settings.cluster.wait_s
    if not (missing := homeless(wanted, there := nodes())):
        return
    console.print(
        f"waiting up to {settings.cluster.wait_s:g} s: {told(missing, there)}", highlight=False, soft_wrap=True
    )
    with ask_for(wanted):
        while missing := homeless(wanted, there := nodes()):
            if time.monotonic() >= deadline:
                raise UserError(f"cluster: {told(missing, there)}; add nodes, ask for less, or raise cluster.wait_s")
            time.sleep(_LOOK_EVERY_S)
