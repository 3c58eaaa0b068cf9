"""What functions and retrievers said: said once, and the same to whoever asks again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from cluster.chat import ScriptedChat
from cluster.errors import CallFailed, FailureKind, Halt
from cluster.journal import JournalReader, JournalWriter, index_segments
from cluster.journaled_chat import JournaledChat
from cluster.meter import Tally

ASKED = {"function": "clock", "arguments": "{}"}


class Clock:
    """Tells another time at each call, or fails."""

    def __init__(self, begins: int = 0, fails: Exception | None = None) -> None:
        self.calls, self.begins, self.fails = 0, begins, fails

    async def __call__(self) -> Mapping[str, object]:
        self.calls += 1
        if self.fails:
            raise self.fails
        return {"content": f"{self.begins + self.calls} o'clock"}


class Paid(ScriptedChat):
    """Keeps why it was stopped."""

    def __init__(self) -> None:
        super().__init__(lambda request: "says nothing")
        self.stopped = ""

    async def stop(self, reason: str) -> None:
        self.stopped = reason


def session(folder: Path, clock: Clock, item: str = "talk/0/tool/0", asked: Mapping[str, object] = ASKED) -> object:
    """What a caller hears that starts now; its end is as clean as that of a killed process."""
    index_segments(folder)
    chat = JournaledChat(Paid(), JournalReader(folder), JournalWriter(folder, "w"), Tally(None))
    return asyncio.run(chat.recall(item, asked, clock))["content"]


def test_what_was_said_once_is_said_again_in_the_next_session(tmp_path):
    first, second = Clock(), Clock(begins=7)
    assert session(tmp_path, first) == session(tmp_path, second) == "1 o'clock"
    assert (first.calls, second.calls) == (1, 0)


@pytest.mark.parametrize("change", [{"item": "talk/1/tool/0"}, {"asked": ASKED | {"arguments": '{"zone": 1}'}}])
def test_another_place_or_question_is_asked_for_itself(tmp_path, change):
    session(tmp_path, Clock())
    assert session(tmp_path, Clock(begins=7), **change) == "8 o'clock"


def test_a_failure_is_not_kept(tmp_path):
    with pytest.raises(CallFailed):
        session(tmp_path, Clock(fails=CallFailed(FailureKind.RETRIEVAL, "the shelf has fallen")))
    assert session(tmp_path, Clock()) == "1 o'clock"


def test_where_it_cannot_be_kept_nothing_more_is_paid(tmp_path):
    class Full(JournalWriter):
        async def append(self, key: bytes, item: str, answer: Mapping[str, object]) -> None:
            raise Halt("the disk is full")

    paid = Paid()
    chat = JournaledChat(paid, JournalReader(tmp_path), Full(tmp_path, "w"), Tally(None))
    with pytest.raises(Halt):
        asyncio.run(chat.recall("talk/0/tool/0", ASKED, Clock()))
    assert paid.stopped == "the disk is full"


def test_a_model_without_a_journal_asks_each_time():
    clock, chat = Clock(), ScriptedChat(lambda request: "nothing")
    said = [asyncio.run(chat.recall("talk/0/tool/0", ASKED, clock)) for _ in range(2)]
    assert [one["content"] for one in said] == ["1 o'clock", "2 o'clock"]
