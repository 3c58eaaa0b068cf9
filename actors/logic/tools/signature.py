"""Whether a Python function can be called with what its tool's schema lets through."""

from __future__ import annotations

from inspect import Parameter, signature

from actors.logic.tools.listing import Tool

_BY_NAME = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)


def why_unfit(function: object, tool: Tool) -> str:
    """Why not, in the words of "its function …"; empty where it can."""
    if not callable(function):
        return "is no function"
    try:
        parameters = signature(function).parameters.values()
    except (TypeError, ValueError):  # some builtins tell none
        return ""
    named = {one.name: one for one in parameters if one.kind in _BY_NAME}
    takes_any = any(one.kind is Parameter.VAR_KEYWORD for one in parameters)
    if missing := [name for name in tool.properties if name not in named and not takes_any]:
        return f"takes no {', '.join(missing)}, but the tool's parameters have it"
    for one in parameters:
        if one.kind is Parameter.POSITIONAL_ONLY and one.default is Parameter.empty:
            return f"takes {one.name} by position alone; arguments are given by name"
    needed = [name for name, one in named.items() if one.default is Parameter.empty]
    if unknown := [name for name in needed if name not in tool.properties]:
        return f"needs {', '.join(unknown)}, which the tool's parameters do not have; give it a default"
    if loose := [name for name in needed if name not in tool.required]:
        return f"needs {', '.join(loose)}, but the tool does not require it; give it a default, or require it"
    return ""
