"""What `ray job submit` tells the process that it starts. Knows no Ray."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # which Ray sets


def address_of(chosen: str | None) -> str | None:
    """The cluster to join; None for a Ray of our own. What is submitted as a job works on the job's cluster."""
    return "auto" if chosen is None and is_job() else chosen


def is_job() -> bool:
    """Whether `ray job submit` started this process."""
    return _JOB in os.environ


def job_environment() -> Mapping[str, Any]:
    """The runtime environment of this job, which everybody who sees the job can read; empty where this is none."""
    try:
        found = json.loads(os.environ.get(_JOB, "{}")).get("runtime_env")
    except (ValueError, AttributeError):
        return {}
    return found if isinstance(found, dict) else {}


def unpacked(path: Path) -> bool:
    """Whether a path lies in the copy of the working directory that Ray unpacked for this job, and removes again."""
    return bool(job_environment().get("working_dir")) and path.resolve().is_relative_to(Path.cwd().resolve())
