"""The tools of a run from the user's files, checked before anything is started."""

from __future__ import annotations

import json
from pathlib import Path

from actors.logic.tools import Tool, ToolKit, read_tools
from actors.logic.tools.kit import Results
from actors.logic.tools.signature import why_unfit
from actors.tool_functions import ToolFunctions
from cluster.errors import UserError
from pipelines.settings import Settings
from pipelines.settings.wrong import near

_PATH, _FUNCTIONS = "conversations.tools.path", "conversations.tools.functions"


def tool_kit(settings: Settings, given: Results | None = None) -> ToolKit | None:
    """What the assistant has at hand, `given` functions included, None where no tools are asked for; `UserError` naming
    the file, the tool or the function that cannot be used."""
    if (chosen := settings.conversations.tools) is None:
        return None
    content = _json(Path(chosen.path).expanduser())
    tools = read_tools(content, f"{_PATH}: {chosen.path}")
    functions = _functions(chosen.functions, tools, chosen.timeout_s) if chosen.functions else None
    return ToolKit(json.dumps(content, ensure_ascii=False), given or functions, chosen.max_calls, chosen.errors)


def _json(path: Path) -> object:
    try:
        return json.loads(_text(path, _PATH))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{_PATH}: {path} is no JSON ({error})") from None


def _text(path: Path, setting: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        names = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
        raise UserError(f"{setting}: {path}: no such file{near(path.name, names, ' in its folder')}") from None
    except OSError as error:
        raise UserError(f"{setting}: {path} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise UserError(f"{setting}: {path} is not a text in UTF-8") from None


def _functions(module: str, tools: tuple[Tool, ...], timeout_s: float) -> ToolFunctions:
    """Of a file beside which its own imports lie, or of a module that the working folder has, or that is installed."""
    if is_file(module):
        path = Path(module).expanduser()
        found = ToolFunctions(module, str(path.absolute().parent), _text(path, _FUNCTIONS), timeout_s)
    else:
        found = ToolFunctions(module, str(Path.cwd()), None, timeout_s)
    try:
        loaded = vars(found.load())
    except UserError as error:
        raise UserError(f"{_FUNCTIONS}: {error}") from None
    for tool in tools:
        if tool.name not in loaded:
            names = [name for name, value in loaded.items() if callable(value)]
            raise UserError(f"{_FUNCTIONS}: {module} has no function {tool.name}{near(tool.name, names)}")
        if why := why_unfit(loaded[tool.name], tool):
            raise UserError(f"{_FUNCTIONS}: {module}: {tool.name} {why}")
    return found


def is_file(module: str) -> bool:
    return module.endswith(".py") or "/" in module
