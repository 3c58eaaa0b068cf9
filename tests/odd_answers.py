"""Answers of the tests' model server that hold other people than were asked for, and the text itself given back."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

FIFTY = 50
ODD = (
    "fewer",  # one person fewer than was asked for
    "fifty",  # that many people, however many were asked for
    "twin",  # the second person is the first one again
    "markdown",  # a Markdown list, with a word before and after it
    "parrot",  # the text that was asked about, and nothing else
)

_TEXTS = re.compile(r"<(?:text|person)>\n(.*?)\n</|(?:Text|Person): (.*?)\n\nWho ", re.DOTALL)


def odd(fault: str, value: object, asked: list[str], another: Callable[[], str]) -> str | None:
    """The odd answer instead of `value`, which is people as JSON; None where this fault has nothing to do with it.
    `asked` are the messages; `another` makes up one more person."""
    if fault == "parrot" and (found := _TEXTS.findall("\n".join(asked))):
        return "".join(found[-1])
    people = value.get("personas") if isinstance(value, dict) else value
    if not isinstance(people, list) or fault == "parrot":
        return None
    if fault == "markdown":
        return (
            "Here they are:\n\n" + "\n".join(f"{at}. **{_text(one)}**" for at, one in enumerate(people, 1)) + "\n\nOk?"
        )
    made = {
        "fewer": people[:-1],
        "fifty": [*people, *(_with(people[0], another()) for _ in range(FIFTY - len(people)))],
        "twin": [*people[:1], *people[:1], *people[2:]],
    }[fault]
    return json.dumps({"personas": made} if isinstance(value, dict) else made, ensure_ascii=False)


def _text(person: object) -> str:
    return str(person["persona"]) if isinstance(person, dict) else str(person)


def _with(person: object, text: str) -> object:
    return person | {"persona": text} if isinstance(person, dict) else text
