"""Every file that users hand to Ray is one that Ray takes."""

from pathlib import Path
from typing import Any

import yaml
from ray.runtime_env import RuntimeEnv

CONFIGS = Path(__file__).parents[2] / "ray_configs"


def content(name: str) -> Any:
    return yaml.safe_load((CONFIGS / name).read_text(encoding="utf-8"))


def test_the_runtime_environment_is_one_and_holds_no_key():
    found = RuntimeEnv(**content("runtime_env.yaml"))
    assert set(found) == {"env_vars", "config"}
    assert not any("KEY" in name or "TOKEN" in name.removeprefix("TOKENIZERS") for name in found["env_vars"])
