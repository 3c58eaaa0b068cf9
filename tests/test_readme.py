"""The README's commands, Python and paths are ones that there are. Nothing of it is run here."""

import ast
import importlib
import re
import shlex
from pathlib import Path

import pytest
import typer

from pipelines.cli import app

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
ENDS = {"&&", "||", ";", "|"}
FOLDERS = ("pipelines/", "actors/", "cluster/", "tests/", "ray_configs/")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def commands(script: str) -> list[list[str]]:
    """The arguments of each call of populace in a shell script."""
    found: list[list[str]] = []
    for line in script.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|")
        lexer.whitespace_split = True
        words = [*lexer, ";"]
        while words:
            end = next(at for at, word in enumerate(words) if word in ENDS)
            call, words = words[:end], words[end + 1 :]
            if call and Path(call[0]).name == "populace":
                found.append(call[1:])
            elif "pipelines" in call and call[call.index("pipelines") - 1] == "-m":
                found.append(call[call.index("pipelines") + 1 :])
    return found


def parsed(arguments: list[str]) -> None:
    """By typer's own parser, which raises for what it does not know."""
    group = typer.main.get_command(app)
    context = group.make_context("populace", list(arguments))
    name, command, rest = group.resolve_command(context, [*context._protected_args, *context.args])
    command.make_context(name, rest, parent=context)


CALLS = [one for block in blocks("bash") for one in commands(block)]


@pytest.mark.parametrize("arguments", CALLS, ids=" ".join)
def test_a_command_of_the_readme_is_one(arguments):
    parsed(arguments)


def test_commands_are_found_in_the_readme_and_wrong_ones_refused():
    assert {"demo", "plan", "run", "status", "export", "init"} <= {one[0] for one in CALLS}
    for wrong in (["rnu", "my.yaml"], ["run"], ["run", "my.yaml", "--sett", "seed=1"], ["preview", "a", "-n", "many"]):
        with pytest.raises(Exception, match=r"(?i)no such|missing|valid integer"):
            parsed(wrong)


@pytest.mark.parametrize("source", blocks("python"), ids=lambda source: source.strip().splitlines()[0])
def test_python_of_the_readme_compiles_and_imports_what_there_is(source):
    compile(source, "README.md", "exec")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for one in node.names:
                importlib.import_module(one.name)
        elif isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            assert [one.name for one in node.names if not hasattr(module, one.name)] == []


def test_files_that_the_readme_names_are_there():
    said = [span.split()[0] for span in re.findall(r"`(?:python )?([^`\n]+)`", README) if span.startswith(FOLDERS)]
    assert len(said) > 20
    assert [one for one in said if not any(ROOT.glob(one.replace("NAME", "*")))] == []
