"""Tables and random variables in the user's files: CSV, and YAML of variables and tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from actors.logic.variables import Block, Variables, blocks, table
from cluster.errors import UserError
from pipelines.settings.wrong import lines


class _Table(BaseModel):
    """A table in a file beside the YAML, or in the YAML itself."""

    model_config = ConfigDict(extra="forbid")

    file: str | None = None
    csv: str | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> _Table:
        if (self.file is None) == (self.csv is None):
            raise ValueError("must have a file or a csv, and not both")
        return self


class _File(Variables):
    tables: list[_Table] = Field(default_factory=list)


def read_blocks(patterns: Sequence[str], setting: str) -> Iterator[Block]:
    """The blocks in these files and globs, which stand under `setting`; `UserError` naming file, line or variable."""
    for pattern in patterns:
        for path in _paths(pattern, setting):
            yield from _blocks(path, setting, ())


def _paths(pattern: str, setting: str) -> list[Path]:
    path = Path(pattern).expanduser()
    found = [path] if path.exists() else sorted(path.parent.glob(path.name))
    if not found:
        raise UserError(f"{setting}: {pattern}: no such file")
    return found


def _blocks(path: Path, setting: str, within: tuple[Path, ...]) -> Iterator[Block]:
    """Those of a file that is named in the files `within`, from the outermost on."""
    if path.resolve() in within:
        raise UserError(f"{setting}: {path} names itself among its tables")
    match path.suffix.lower():
        case ".csv" | ".tsv":
            yield table(str(path), _text(path, setting).splitlines(keepends=True))
        case ".yaml" | ".yml":
            content = _read_yaml(path, setting)
            yield from blocks(content.variables, str(path))
            for number, one in enumerate(content.tables):
                if one.csv is not None:
                    yield table(f"{path} tables[{number}]", one.csv.splitlines(keepends=True))
                elif one.file is not None:
                    yield from _blocks(path.parent / Path(one.file).expanduser(), setting, (*within, path.resolve()))
        case _:
            raise UserError(f"{setting}: {path} must be .csv, .tsv, .yaml or .yml")


def _text(path: Path, setting: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"{setting}: {path} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise UserError(f"{setting}: {path} is not a text in UTF-8") from None


def _read_yaml(path: Path, setting: str) -> _File:
    try:
        content = yaml.safe_load(_text(path, setting))
    except yaml.YAMLError as error:
        mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
        raise UserError(f"{path} is not YAML{f': see line {mark.line + 1}' if mark else ''}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no `variables` and no `tables`")
    try:
        return _File.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{path}: {'; '.join(lines(_File, error.errors(include_url=False)))}") from None
