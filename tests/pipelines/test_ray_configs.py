"""Every file that users hand on is one that works."""

import re
from pathlib import Path

import pytest
import yaml

from pipelines.audit_reference import read_references
from pipelines.bios.variables import read_population
from pipelines.settings import Settings, load, parse

CONFIGS = Path(__file__).parents[2] / "ray_configs"
README = CONFIGS.parent / "README.md"


PRESETS = [CONFIGS / "run.yaml", *sorted(CONFIGS.glob("run-*.yaml"))]


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.name)
def test_a_run_preset_names_settings_that_there_are(path):
    assert isinstance(load(path), Settings)


def test_the_preset_shows_every_default_as_it_is():
    preset = load(CONFIGS / "run.yaml")
    least = {"run_dir": preset.run_dir, "documents": {"path": preset.documents.path}, "llm": {"endpoints": []}}
    least["llm"]["endpoints"] = [one.model_dump() for one in preset.llm.endpoints]
    assert Settings.model_validate(least) == preset


def examples(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


VARIABLES = "# variables.yaml"


@pytest.mark.parametrize("example", [one for one in examples("yaml") if not one.startswith(VARIABLES)])
def test_an_example_of_the_readme_names_settings_that_there_are(example):
    rest = load(CONFIGS / "run.yaml").model_dump(include={"run_dir", "llm"})
    assert isinstance(parse(rest | yaml.safe_load(example)), Settings)


def reference() -> str:
    [found] = [one for one in examples("csv") if one.startswith("gender,occupation")]
    return found


def test_the_reference_of_the_readme_is_one(tmp_path):
    (tmp_path / "reference.csv").write_text(reference())
    [found] = read_references([str(tmp_path / "reference.csv")])
    assert found.attributes == ("gender", "occupation") and found.shares["woman", "professionals"] == 0.4


def test_the_variables_and_tables_of_the_readme_make_a_population(tmp_path):
    [variables] = [one for one in examples("yaml") if one.startswith(VARIABLES)]
    tables = [one for one in examples("csv") if one != reference()]
    texts = dict(zip(("census.csv", "work.csv"), tables, strict=True)) | {"variables.yaml": variables}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    people = read_population([str(tmp_path / "variables.yaml")])
    assert set(people.draw(0, 0)) == {"region", "sex", "age", "work", "owns_boat", "height_cm"}
