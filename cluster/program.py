"""What is sent to a caller: a small async program, and what comes back of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

from cluster.chat import ChatModel
from cluster.errors import CallFailed, FailureKind, Halt

T_co = TypeVar("T_co", covariant=True)


class Program(Protocol[T_co]):
    """A picklable record that knows how to do its work given a model: one persona call, or one whole dialogue."""

    @property
    def item_id(self) -> str: ...

    async def run(self, chat: ChatModel) -> T_co: ...


def ids_of(program: Program[object]) -> dict[str, str]:
    """What a program is about, for the log: its item, and the document and persona where it names them as `ids`."""
    return {"item": program.item_id, **getattr(program, "ids", {})}


@dataclass(frozen=True, slots=True)
class Done:
    """The program's value."""

    value: object


@dataclass(frozen=True, slots=True)
class Failed:
    """The item is given up; it becomes a row in `failures/`."""

    kind: FailureKind
    message: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Halted:
    """The run cannot go on; the item is neither done nor failed."""

    reason: str


Outcome = Done | Failed | Halted


def value_of(outcome: Outcome) -> object:
    """The value; raises `CallFailed` or `Halt` where there is none."""
    match outcome:
        case Done(value):
            return value
        case Failed(kind, message, attempts):
            raise CallFailed(kind, message, attempts)
        case Halted(reason):
            raise Halt(reason)
