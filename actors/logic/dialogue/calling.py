"""A call in its dialogue: its id, whether it may be made, and how one that may not is told."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import takewhile

from actors.logic.dialogue.turns import Turn
from actors.logic.tools.content import error_of, is_error
from actors.logic.tools.validity import is_object, is_same
from cluster.chat import Message
from cluster.tool_calls import ToolCall

_NOT_MADE = "not carried out, for another call of this message cannot be; make all of them again"
_AGAIN = "this call has been made already, and its result stands above; answer now"


def why_no_more(calls: Sequence[ToolCall], turns: Sequence[Turn], left: int) -> str:
    """Why these calls cannot be made, whatever they are; empty where they can."""
    if not left:
        return "no call can be made any more; answer now"
    if len(calls) > left:
        return f"{len(calls)} calls are too many; no more than {left} can be made"
    return _AGAIN if all(_was_made(turns, call) for call in calls) else ""


def _was_made(turns: Sequence[Turn], call: ToolCall) -> bool:
    """Whether the same call has brought a result since the user's last message."""
    since = list(takewhile(lambda turn: turn.role != "user", reversed(turns)))
    told = {turn.tool_call_id for turn in since if turn.tool_call_id and not is_error(turn.content)}
    made = (one for turn in since for one in turn.tool_calls if one.id in told)
    return any(is_same(one, call) for one in made)


def has_failed(turns: Sequence[Turn]) -> bool:
    """Whether one of the tools that spoke last told an error."""
    last = takewhile(lambda turn: turn.role == "tool", reversed(turns))
    return any(is_error(turn.content) for turn in last)


def with_ids(calls: Sequence[ToolCall], turns: Sequence[Turn], place: str) -> tuple[ToolCall, ...]:
    """The calls with ids that no other call of the dialogue has: their own, or nine characters, as Mistral wants them.
    Without arguments they have an empty object."""
    taken = {call.id for turn in turns for call in turn.tool_calls}
    named = []
    for number, call in enumerate(calls):
        own = call.id if call.id and call.id not in taken else ""
        made = hashlib.sha256(f"{place}/{number}".encode()).hexdigest()[:9]
        named.append(replace(call, id=own or made, arguments=call.arguments.strip() or "{}"))
        taken.add(named[-1].id)
    return tuple(named)


def corrections(turn: Turn, whys: Sequence[str]) -> Iterator[Message]:
    """The calls, as far as every endpoint takes them, and what the tools would say to them."""
    yield replace(turn, tool_calls=tuple(map(_sendable, turn.tool_calls))).message()
    for call, why in zip(turn.tool_calls, whys, strict=True):
        yield Turn("tool", error_of(why or _NOT_MADE), tool_call_id=call.id).message()


def _sendable(call: ToolCall) -> ToolCall:
    """Templates read the arguments of earlier calls as JSON, and fail where they are none."""
    name = "".join(one if one.isascii() and (one.isalnum() or one in "_-") else "_" for one in call.name)[:64]
    return replace(call, name=name or "unknown", arguments=call.arguments if is_object(call) else "{}")
