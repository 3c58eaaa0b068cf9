"""Tools that an assistant may call: the list, what makes a call valid, and where its result comes from."""

from actors.logic.tools.kit import Results, ToolKit
from actors.logic.tools.listing import Tool, read_tools
from actors.logic.tools.validity import why_invalid

__all__ = ["Results", "Tool", "ToolKit", "read_tools", "why_invalid"]
