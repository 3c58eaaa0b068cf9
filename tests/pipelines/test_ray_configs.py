"""Every file that users hand on is one that works."""

import re
from pathlib import Path

import pytest
import yaml

from pipelines.settings import Settings, load, parse

CONFIGS = Path(__file__).parents[2] / "ray_configs"
README = CONFIGS.parent / "README.md"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("run*.yaml")), ids=lambda path: path.name)
def test_a_run_preset_names_settings_that_there_are(path):
    assert isinstance(load(path), Settings)


def test_the_preset_shows_every_default_as_it_is():
    preset = load(CONFIGS / "run.yaml")
    least = {"run_dir": preset.run_dir, "documents": {"path": preset.documents.path}, "llm": {"endpoints": []}}
    least["llm"]["endpoints"] = [one.model_dump() for one in preset.llm.endpoints]
    assert Settings.model_validate(least) == preset


@pytest.mark.parametrize("example", re.findall(r"```yaml\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL))
def test_an_example_of_the_readme_names_settings_that_there_are(example):
    rest = load(CONFIGS / "run.yaml").model_dump(include={"run_dir", "llm"})
    assert isinstance(parse(rest | yaml.safe_load(example)), Settings)
