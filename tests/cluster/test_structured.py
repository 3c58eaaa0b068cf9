import asyncio
import json
import uuid
from collections.abc import Callable
from typing import Annotated

import pytest
from pydantic import BaseModel, Field

from cluster.chat import ChatAnswer, ChatModel, ChatRequest, Role, Usage
from cluster.errors import CallFailed, FailureKind
from cluster.journal import JournalReader, JournalWriter, index_segments
from cluster.journaled_chat import JournaledChat
from cluster.keys import Endpoint, Secret
from cluster.lanes import Lanes
from cluster.meter import Tally
from cluster.paid_chat import PaidChat
from cluster.schema import schema_text, strict_schema
from cluster.structured import Misread, Structured, ask_for, correction, read
from cluster.transport import OpenAITransport


class Trait(BaseModel):
    quality: str
    weight: Annotated[int, Field(ge=0, le=10)]


class Biography(BaseModel):
    job: str
    traits: Annotated[list[Trait], Field(min_length=2, max_length=3)]


GOOD = {"job": "a baker", "traits": [{"quality": "shy", "weight": 3}, {"quality": "quick", "weight": 9}]}
WHOLE = json.dumps(GOOD)
REQUEST = ChatRequest(Role.JUDGE, [{"role": "user", "content": "Who lives here?"}], "bio/7", 400, 0.7, 3)


# --- reading


@pytest.mark.parametrize(
    "text",
    [
        WHOLE,
        f"\n {WHOLE} \n",
        f"```json\n{WHOLE}\n```",
        f"Here it is:\n\n```\n{WHOLE}\n```\nI hope that it helps {{a little}}.",
        f"Sure! {WHOLE} Shall I go on?",
        f"I would write {{this}}: {WHOLE}",
        f"<think>Perhaps {{}} or {json.dumps(GOOD | {'job': 'a spy'})}?</think>{WHOLE}",
        WHOLE[:-1] + ",}",
        WHOLE.replace('"', "'"),
        WHOLE.replace('"weight"', "weight"),
        WHOLE.removesuffix("}"),
        WHOLE.replace("3", '"3"'),
        json.dumps(GOOD | {"remark": "of my own"}),
        json.dumps([GOOD]),
        json.dumps({"kind": "draft"}) + "\n" + WHOLE,
    ],
)
def test_an_answer_is_read_in_whatever_clothes_it_comes(text):
    assert read(text, Biography).model_dump() == GOOD


@pytest.mark.parametrize("text", ["", "I cannot help with that.", "[1, 2]", '"a baker"', "null", "<think>{}</think>No"])
def test_an_answer_without_an_object_is_said_to_hold_none(text):
    with pytest.raises(Misread, match="holds no JSON object"):
        read(text, Biography)


def test_every_fault_is_told_by_its_place():
    wrong = {"traits": [{"quality": "shy", "weight": 30}, {"weight": 1}]}
    with pytest.raises(Misread) as caught:
        read(json.dumps(wrong), Biography)
    said = str(caught.value)
    assert "job: field required" in said
    assert "traits[0].weight: input should be less than or equal to 10" in said
    assert "traits[1].quality: field required" in said
    assert "pydantic" not in said and "http" not in said


@pytest.mark.parametrize("text", ["{" * 3000, '{"a":' * 3000, "[" * 3000 + "{", '{"a": "' + "b{" * 3000])
def test_a_model_that_stammers_is_misread_and_no_more(text):
    with pytest.raises(Misread):
        read(text, Biography)


class Everything(BaseModel):
    job: str = ""
    traits: list[Trait] = []


def test_of_a_broken_object_the_whole_is_mended_before_a_part_is_taken_for_it():
    assert read(WHOLE[:-1] + ",}", Everything).job == "a baker"


# --- asking


class Chat:
    """Answers from a list, one for each request in turn. Keeps what it was asked."""

    def __init__(self, *answers: str | ChatAnswer) -> None:
        self.answers, self.asked = list(answers), []

    async def answer(self, request: ChatRequest) -> ChatAnswer:
        self.asked.append(request)
        said = self.answers.pop(0)
        return said if isinstance(said, ChatAnswer) else ChatAnswer(said, "m", usage=Usage(1, 10, 5, 0.5))

    async def catch_up(self) -> None:
        return None

    async def close(self) -> None:
        return None


def ask(chat: ChatModel, request: ChatRequest = REQUEST) -> Structured[Biography]:
    return asyncio.run(ask_for(chat, request, Biography))


def failure(chat: Chat) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        ask(chat)
    return caught.value


def test_a_good_answer_is_one_request_with_the_schema_of_the_shape():
    chat = Chat(WHOLE)
    answer = ask(chat)
    assert answer.value.job == "a baker"
    assert (answer.usage, answer.model, answer.finish_reason) == (Usage(1, 10, 5, 0.5), "m", "stop")
    [asked] = chat.asked
    assert asked.schema == strict_schema(Biography)
    assert (asked.messages, asked.item) == (REQUEST.messages, REQUEST.item)


def test_a_request_that_brings_its_schema_keeps_it():
    narrow = ChatRequest(Role.JUDGE, REQUEST.messages, "bio/8", 400, 0.7, 3, {"type": "object"})
    chat = Chat(WHOLE)
    ask(chat, narrow)
    assert chat.asked[0].schema == {"type": "object"}


def test_a_wrong_answer_is_corrected_once_in_its_own_conversation():
    wrong = json.dumps(GOOD | {"job": None})
    chat = Chat(wrong, WHOLE)
    answer = ask(chat)
    assert answer.value.model_dump() == GOOD
    assert answer.usage == Usage(2, 20, 10, 1.0)
    first, second = chat.asked
    question, said, told = second.messages
    assert question == first.messages[0]
    assert said == {"role": "assistant", "content": wrong}
    assert told["role"] == "user" and "job: input should be a valid string" in told["content"]
    assert schema_text(strict_schema(Biography)) in told["content"]
    assert second.item != first.item and second.schema == first.schema


def test_two_wrong_answers_fail_and_tell_what_was_wrong_at_last():
    chat = Chat("No.", json.dumps({"job": "a baker"}))
    fault = failure(chat)
    assert (fault.kind, fault.attempts) == (FailureKind.MALFORMED, 2)
    assert "traits: field required" in fault.message and "a baker" in fault.message
    assert len(chat.asked) == 2


def test_what_was_cut_off_is_not_mended_and_not_corrected():
    chat = Chat(ChatAnswer(WHOLE[:-3], "m", "length"))
    fault = failure(chat)
    assert fault.kind is FailureKind.TRUNCATED and "400 tokens" in fault.message
    assert len(chat.asked) == 1


def test_an_answer_that_was_whole_before_it_was_cut_off_is_taken():
    answer = ask(Chat(ChatAnswer(WHOLE + "\n" * 50, "m", "length")))
    assert (answer.value.job, answer.finish_reason) == ("a baker", "length")


def test_a_correction_has_a_key_of_its_own_and_leaves_the_request_alone():
    again = correction(REQUEST, "No.", "it holds no JSON object")
    assert again.canonical() != REQUEST.canonical() and again.item != REQUEST.item
    assert len(REQUEST.messages) == 1


# --- through a real endpoint


@pytest.fixture
def real(tmp_path, shared_server) -> Callable[..., tuple[Structured[Biography] | CallFailed, list[dict]]]:
    """Asks a server with these options through the journal; returns the outcome and the server's log."""

    def go(**options: object) -> tuple[Structured[Biography] | CallFailed, list[dict]]:
        server = shared_server(**options)
        endpoint = Endpoint("e", server.base_url, "m", [("one", Secret("k"))])

        async def main() -> Structured[Biography] | CallFailed:
            tally = Tally(None)
            paid = PaidChat(Lanes([endpoint]), OpenAITransport(10.0), tally)
            folder = tmp_path / "journal"
            index_segments(folder)
            chat = JournaledChat(paid, JournalReader(folder), JournalWriter(folder, writer_id=uuid.uuid4().hex), tally)
            try:
                return await ask_for(chat, REQUEST, Biography)
            except CallFailed as failed:
                return failed
            finally:
                await chat.close()

        return asyncio.run(main()), server.log()

    return go


@pytest.mark.parametrize(
    ("refused", "statuses"),
    [([], [200]), (["json_schema"], [400, 200]), (["json_schema", "json_object"], [400, 400, 200])],
)
@pytest.mark.parametrize("fault", ["", "fenced", "sloppy"])
def test_each_form_brings_the_shape(real, refused, statuses, fault):
    outcome, log = real(refuse=refused, share={fault: 1.0} if fault else {})
    assert isinstance(outcome, Structured), outcome
    assert 2 <= len(outcome.value.traits) <= 3
    assert [row["status"] for row in log] == statuses


@pytest.mark.parametrize("refused", [[], ["json_schema"], ["response_format"]])
@pytest.mark.parametrize("fault", ["prose", "misfit"])
def test_the_correction_turn_mends_an_answer_in_each_form(real, refused, fault):
    served = len(refused) + (refused == ["response_format"])  # refusals before the first answer
    outcome, log = real(refuse=refused, script=[f"0={fault}"])
    assert isinstance(outcome, Structured), outcome
    assert [row["status"] for row in log] == [400] * served + [200, 200]
    assert outcome.usage.calls == 2


@pytest.mark.parametrize("fault", ["prose", "misfit"])
def test_a_model_that_never_answers_in_shape_fails_after_two_calls(real, fault):
    outcome, log = real(share={fault: 1.0})
    assert isinstance(outcome, CallFailed) and outcome.kind is FailureKind.MALFORMED
    assert [row["status"] for row in log] == [200, 200]


def test_an_answer_that_the_endpoint_cuts_off_is_truncated(real):
    outcome, log = real(share={"length": 1.0})
    assert isinstance(outcome, CallFailed) and outcome.kind is FailureKind.TRUNCATED
    assert len(log) == 1


def test_what_was_paid_for_in_one_form_is_free_in_another(real):
    first, _ = real(script=["0=prose"])
    again, log = real(refuse=["json_schema"])
    assert isinstance(first, Structured) and again == first
    assert len(log) == 2, "the first one's calls alone"
