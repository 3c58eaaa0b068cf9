"""The texts that models are given, one file each, and the one function that fills them in.

A template is plain text with `{field}` places. `{{` and `}}` stand for literal braces. Lines of `---` divide a
file into messages: a system text, then user and assistant in turns (examples for small models), the user's last.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import Formatter

from cluster.errors import UserError

_DIVIDER = "\n---\n"
_MOST_CHARACTERS = 20_000  # of a template of the user's own


@dataclass(frozen=True, slots=True)
class Prompt:
    """A template as read from its file; `sha` (12 hex digits) is written beside every row that it made."""

    name: str
    text: str
    sha: str
    fields: frozenset[str]


@cache
def load(name: str) -> Prompt:
    """The packaged template `name`, read once per process."""
    text = files(__name__).joinpath(f"{name}.txt").read_text(encoding="utf-8").strip()
    return parse(name, text)


def parse(name: str, text: str) -> Prompt:
    """A template from its text; `UserError` where braces do not pair up."""
    try:
        found = frozenset(field for _, field, _, _ in Formatter().parse(text) if field is not None)
    except ValueError as error:
        raise UserError(f"prompt {name}: {error}; write a literal brace as {{{{ or }}}}") from None
    return Prompt(name, text, hashlib.sha256(text.encode()).hexdigest()[:12], found)


def own(name: str, text: str, required: Iterable[str], allowed: Iterable[str]) -> Prompt:
    """A user's own template; `UserError` naming what it lacks, what nobody fills in, or that it is too long."""
    if len(text) > _MOST_CHARACTERS:
        raise UserError(f"prompt {name} has {len(text):,} characters; {_MOST_CHARACTERS:,} are the most")
    prompt, known = parse(name, text.strip()), {*required, *allowed}
    if unknown := prompt.fields - known:
        there_are = f"the fields are {_braced(known)}" if known else "no field is filled in there"
        raise UserError(f"prompt {name} has {_braced(unknown)}, but {there_are}; double braces that are literal")
    if any(spec or conversion for _, field, spec, conversion in Formatter().parse(prompt.text) if field is not None):
        raise UserError(f"prompt {name} formats a field; write {{name}} alone, and double braces that are literal")
    parts = len(prompt.text.split(_DIVIDER))
    if parts > 1 and parts % 2:
        raise UserError(f"prompt {name} ends with an assistant's turn: it is a system text, then user and assistant")
    if missing := set(required) - prompt.fields:
        raise UserError(f"prompt {name} lacks {_braced(missing)}, without which it says nothing of whom it is about")
    return prompt


def _braced(names: Iterable[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in sorted(names))


def render(prompt: Prompt, **values: str) -> list[dict[str, str]]:
    """Chat messages of the filled-in template: one user message, or a system message and turns after it.

    Raises `UserError` naming the fields that are missing from `values` or unused by the template.
    """
    if prompt.fields != values.keys():
        missing, unused = prompt.fields - values.keys(), values.keys() - prompt.fields
        faults = [f"lacks {', '.join(sorted(missing))}"] * bool(missing)
        faults += [f"does not use {', '.join(sorted(unused))}"] * bool(unused)
        raise UserError(f"prompt {prompt.name} {' and '.join(faults)}")
    parts = prompt.text.split(_DIVIDER)
    roles = ["user"] if len(parts) == 1 else ["system", *["user", "assistant"] * len(parts)]
    return [{"role": role, "content": part.strip().format(**values)} for role, part in zip(roles, parts, strict=False)]
