"""The formats by their names, each with its conversion."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from actors.logic.export.alpaca import alpaca
from actors.logic.export.chat import messages, tools
from actors.logic.export.preference import dpo
from actors.logic.export.shape import Batch, Converted
from actors.logic.export.sharegpt import sharegpt


class Format(StrEnum):
    """What others train from."""

    MESSAGES = "messages"
    SHAREGPT = "sharegpt"
    ALPACA = "alpaca"
    DPO = "dpo"
    TOOLS = "tools"


FORMATS: dict[Format, Callable[[Batch], Converted]] = {
    Format.MESSAGES: messages,
    Format.SHAREGPT: sharegpt,
    Format.ALPACA: alpaca,
    Format.DPO: dpo,
    Format.TOOLS: tools,
}
