"""Conversations in the formats that others train from: whole batches at a time, each with what it had to leave out."""

from actors.logic.export.formats import FORMATS, Format
from actors.logic.export.json_text import json_lines
from actors.logic.export.shape import Batch, Converted
from actors.logic.export.splits import NOWHERE, SPLITS, assigned, assigned_all, fractions

__all__ = [
    "FORMATS",
    "NOWHERE",
    "SPLITS",
    "Batch",
    "Converted",
    "Format",
    "assigned",
    "assigned_all",
    "fractions",
    "json_lines",
]
