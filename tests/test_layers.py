"""The house rules that a reader would otherwise check by hand: who imports whom, and what is loaded when."""

import ast
import subprocess
import sys
import tomllib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from setuptools import PackageFinder

ROOT = Path(__file__).resolve().parent.parent
FLOORS = {"cluster": {"cluster"}, "actors": {"cluster", "actors"}, "pipelines": {"cluster", "actors", "pipelines"}}
HEAVY = {"ray", "openai", "torch", "faiss", "sentence_transformers", "xllamacpp"}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for floor in FLOORS for path in sorted((ROOT / floor).rglob("*.py"))}


def imported(module: str, at_load: bool = False) -> set[str]:
    """What a module imports, by full names; `at_load` leaves out what stands in functions or under TYPE_CHECKING."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    found: set[str] = set()
    for node in _loaded(tree) if at_load else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = _base(module, node)
            found |= {f"{base}.{alias.name}" if f"{base}.{alias.name}" in MODULES else base for alias in node.names}
    return found


def _base(module: str, node: ast.ImportFrom) -> str:
    """The full name of what `from … import` imports from."""
    if not node.level:
        return node.module or ""
    is_package = MODULES[module].name == "__init__.py"
    parts = module.split(".")
    stem = parts[: len(parts) - node.level + is_package]
    return ".".join([*stem, *filter(None, [node.module])])


def _loaded(node: ast.AST):
    """The nodes that run when a module is loaded."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        yield child
        yield from _loaded(child)


def ours(names: set[str]) -> set[str]:
    return {name for name in names if name.partition(".")[0] in FLOORS}


def circle(at_load: bool) -> list[str]:
    """A circle of imports, empty where there is none."""
    graph = {name: (ours(imported(name, at_load)) & MODULES.keys()) - {name} for name in MODULES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_there_are_modules_on_every_floor():
    assert {name.partition(".")[0] for name in MODULES} == set(FLOORS)
    assert len(MODULES) > 30


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_down_only(module):
    allowed = FLOORS[module.partition(".")[0]]
    assert {name for name in ours(imported(module)) if name.partition(".")[0] not in allowed} == set()


def test_no_module_is_loaded_in_a_circle():
    assert circle(at_load=True) == []


def test_no_two_modules_need_each_other_even_in_functions():
    assert circle(at_load=False) == []


@pytest.mark.parametrize("module", MODULES)
def test_a_module_opens_by_saying_what_it_is(module):
    assert ast.get_docstring(ast.parse(MODULES[module].read_text(encoding="utf-8")))


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("actors.logic")])
def test_logic_imports_no_engine_client_or_model_and_reads_no_clock(module):
    foreign = HEAVY | {"time", "httpx", "aiohttp", "requests", "urllib"}
    assert foreign & {name.partition(".")[0] for name in imported(module)} == set()


@pytest.mark.parametrize("module", [name for name in MODULES if name.partition(".")[0] != "pipelines"])
def test_only_the_commands_know_the_terminal(module):
    assert not {"rich", "typer"} & {name.partition(".")[0] for name in imported(module)}


@pytest.mark.parametrize("module", MODULES)
def test_no_decision_asks_a_global_generator(module):
    text = MODULES[module].read_text(encoding="utf-8")
    for call in ("random.choice(", "random.shuffle(", "random.sample(", "random.randrange(", "np.random."):
        assert call not in text


def loaded_by(code: str) -> set[str]:
    """The top-level packages that a fresh interpreter has loaded after `code`."""
    told = f"{code}\nimport sys\nprint('\\n'.join(sorted({{name.partition('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", told], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_all_of_the_logic_loads_without_engine_client_and_model():
    modules = [name for name in MODULES if name.startswith("actors.logic") or name.startswith("actors.prompts")]
    assert loaded_by("\n".join(f"import {name}" for name in modules)) & HEAVY == set()


@pytest.mark.parametrize(
    "module",
    [
        *("cluster.keys", "cluster.retry", "cluster.chat", "cluster.errors", "cluster.journal", "cluster.manifest"),
        *("cluster.budget", "cluster.spending", "cluster.leases", "cluster.slots", "cluster.concurrency"),
    ],
)
def test_the_decisions_of_the_cluster_load_without_the_cluster(module):
    assert loaded_by(f"import {module}") & HEAVY == set()


def test_settings_load_without_engine_client_and_model():
    assert loaded_by("import pipelines.settings") & HEAVY == set()


def test_every_package_is_in_the_distribution():
    rule = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]
    packages = PackageFinder.find(str(ROOT), include=rule["include"])
    found = {name_of(path) for floor in FLOORS for path in (ROOT / floor).rglob("__init__.py")}
    assert set(packages) == found


def test_every_folder_with_modules_is_a_package():
    folders = {path.parent for path in MODULES.values()}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


def test_tests_are_no_packages_that_would_hide_ours():
    assert list((ROOT / "tests").rglob("__init__.py")) == []
