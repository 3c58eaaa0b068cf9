"""What makes an answer no message of a dialogue."""

from __future__ import annotations

import re
from collections.abc import Sequence

from actors.logic.dialogue.turns import Turn
from actors.logic.persona import normal_form, normalise_space

GIVES_AWAY = "introduces itself"
_NAMES = ("User:", "Assistant:", "Persona:", "Me:")
_OTHERS = re.compile(r"^\W{0,4}(?:user|human|customer|assistant|ai)\W{0,3}:", re.IGNORECASE | re.MULTILINE)
_GIVE_AWAY = re.compile(
    r"""^\W*(?:(?:hi|hello|hey|dear\ \w+|good\ \w+)\b[^.!?\n]{0,20}?[,.!]?\s+)?
        (?:(?:speaking\ )?as\ an?\ |i\ am\ an?\ |i['’]m\ an?\ |being\ an?\ |my\ name\ is\ )""",
    re.IGNORECASE | re.VERBOSE,
)
_CANNOT = r"(?:can['’]?t|can\ ?not|won['’]t|am\ not\ able|am\ unable|['’]m\ not\ able|['’]m\ unable)"
_REFUSAL = re.compile(
    rf"""^\W*(?:(?:i['’]m|i\ am)\ (?:very\ |so\ |really\ )?sorry|sorry|i\ apologi[sz]e|unfortunately|as\ an\ ai)\b
        [^.!?\n]{{0,60}}?\bi\ ?{_CANNOT}
        |^\W*i\ ?{_CANNOT}\ (?:to\ )?(?:help|assist|answer|provide|fulfil|comply|do\ that|discuss)""",
    re.IGNORECASE | re.VERBOSE,
)
_LEAD_IN = re.compile(
    r"""^\W*(?:here(?:['’]s|\ is|\ are)|sure|certainly|of\ course|okay)\b[^\n]{0,160}:[*_]*\s*\n\s*""", re.I | re.X
)
_MODEL = re.compile(
    r"""\bas\ an?\ (?:ai|artificial\ intelligence|(?:ai\ )?(?:large\ )?language\ model|ai\ (?:model|assistant|system))
        (?:\s*[,;.]|\ i\b)""",
    re.I | re.X,
)
_SHORT = 400  # characters; a longer answer that begins with an apology goes on to say something


def clean(text: str) -> str:
    """A message without the quotes or the speaker's name that models put around it."""
    text = text.strip()
    for name in _NAMES:
        text = text.removeprefix(name).lstrip()
    quoted = len(text) > 1 and text[0] == text[-1] == '"' and '"' not in text[1:-1]
    return text[1:-1].strip() if quoted else text


def clean_question(text: str) -> str:
    """As `clean`, of what was written to be asked: also without the line that announces it."""
    return clean(_LEAD_IN.sub("", text.strip(), count=1))


def speaks_of_itself(answer: str) -> bool:
    """Whether a model says in it that it is one."""
    return bool(_MODEL.search(answer))


def repeats(text: str, turns: Sequence[Turn]) -> bool:
    """Whether it is an earlier message once more, or no more than the message before it and a word or two."""
    said = normalise_space(text)
    if any(said == normalise_space(turn.content) for turn in turns):
        return True
    form, before = normal_form(text), normal_form(turns[-1].content) if turns else ""
    return bool(before) and before in form and len(form) - len(before) <= len(before) // 10


def speaks_for_the_other(text: str) -> bool:
    """Whether a later line begins with a speaker's name: a dialogue, where one message was asked for."""
    return any(found.start() for found in _OTHERS.finditer(text.strip()))


def gives_away(opening: str) -> bool:
    """Whether a first message introduces its writer ("Hi, as a nurse …"), as nobody does who asks an assistant."""
    return bool(_GIVE_AWAY.match(opening))


def refuses(answer: str) -> bool:
    """Whether an answer is nothing but that it will not answer."""
    return len(answer) <= _SHORT and bool(_REFUSAL.match(answer))
