"""A dialogue whose assistant has tools: what is called, told and asked again, and what of it goes into the row."""

from __future__ import annotations

import asyncio
import json
import pickle
from dataclasses import replace

import pytest

from actors.logic.dialogue import Context, Conversation, Dialogue, DialogueRule, Scene, Turn
from actors.logic.quality import Gate, QualityRule, Refusal, Selection, Why, select
from actors.logic.retrieval import Passage
from actors.logic.tools import ToolKit, why_invalid
from actors.tool_functions import ToolFunctions
from cluster.chat import ChatAnswer, ChatRequest, Role, ToolChoice, Usage
from cluster.errors import CallFailed, FailureKind
from cluster.program import Program
from cluster.tool_calls import ToolCall

SCENE = Scene("c" * 24, "doc", "p" * 24, "A baker in Paris who rises early", 1, "A text about ferries.")
LISTED = [
    {
        "type": "function",
        "function": {
            "name": "find_ferry",
            "description": "Ferries of a day.",
            "parameters": {
                "type": "object",
                "properties": {"day": {"type": "string", "enum": ["friday", "sunday"]}},
                "required": ["day"],
                "additionalProperties": False,
            },
        },
    },
    {"type": "function", "function": {"name": "now", "description": "The time."}},
]
SOURCE = """
def find_ferry(day): return {"day": day, "at": ["9:00"]}
def now(): raise OSError("no clock")
"""
FUNCTIONS = ToolFunctions("ferries.py", "/nowhere", SOURCE, 5.0)
KIT = ToolKit(json.dumps(LISTED), FUNCTIONS)
PLAYED = replace(KIT, functions=None)
RULE = DialogueRule("You help.", 1, Context.NONE, seed=7, max_tokens=99, tools=KIT)


def call(name: str = "find_ferry", day: str = "friday", id_: str = "") -> ToolCall:
    return ToolCall(id_, name, json.dumps({"day": day}) if name == "find_ferry" else "")


def calls(*made: ToolCall) -> ChatAnswer:
    return ChatAnswer("", "caller", "tool_calls", Usage(1, 10, 5, 0.25), made or (call(),))


class Chat:
    """Each role's answers in turn, the last one for ever; keeps what was asked."""

    def __init__(self, *respondent: object, tool: tuple[object, ...] = ('{"ferries": ["9:00"]}',)) -> None:
        self.answers = {Role.RESPONDENT: list(respondent), Role.TOOL: list(tool)}
        self.asked: list[ChatRequest] = []

    async def answer(self, request: ChatRequest) -> ChatAnswer:
        self.asked.append(request)
        ahead = self.answers.get(request.role)
        said = f"says {request.item}" if not ahead else ahead.pop(0) if len(ahead) > 1 else ahead[0]
        if isinstance(said, BaseException):
            raise said
        return said if isinstance(said, ChatAnswer) else ChatAnswer(said, "m", usage=Usage(1, 10, 5, 0.25))

    async def recall(self, item, asked, bring):
        return await bring()

    async def catch_up(self) -> None:
        return None

    async def close(self) -> None:
        return None

    def of(self, role: Role) -> list[ChatRequest]:
        return [request for request in self.asked if request.role is role]


def run(chat: Chat, **changes: object) -> Conversation:
    return asyncio.run(Dialogue(SCENE, replace(RULE, **changes)).run(chat))


def failure(chat: Chat, **changes: object) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        run(chat, **changes)
    return caught.value


def roles(conversation: Conversation) -> list[str]:
    return [turn.role for turn in conversation.turns]


def made(conversation: Conversation) -> list[ToolCall]:
    return [one for turn in conversation.turns for one in turn.tool_calls]


def is_sound(conversation: Conversation) -> bool:
    """Every call is valid and has an id of its own, and is answered by the tools right after its message, in order."""
    found = made(conversation)
    assert all(why_invalid(one, KIT.tools) == "" for one in found)
    assert len({one.id for one in found}) == len(found)
    for at, turn in enumerate(conversation.turns):
        told = conversation.turns[at + 1 : at + 1 + len(turn.tool_calls)]
        assert [one.tool_call_id for one in told] == [one.id for one in turn.tool_calls]
    return bool(found)


# --- its shape


def test_a_dialogue_with_tools_is_a_request_a_call_its_result_and_an_answer():
    conversation = run(Chat(calls(), "At nine."))
    assert roles(conversation) == ["system", "user", "assistant", "tool", "assistant"] and is_sound(conversation)
    assert json.loads(conversation.turns[3].content) == {"day": "friday", "at": ["9:00"]}
    assert conversation.turns[4] == Turn("assistant", "At nine.")


def test_several_calls_at_once_have_several_results():
    conversation = run(Chat(calls(call(), call(day="sunday"), call("now")), "At nine."))
    assert roles(conversation) == ["system", "user", "assistant", *["tool"] * 3, "assistant"] and is_sound(conversation)
    assert [json.loads(turn.content).get("day") for turn in conversation.turns[3:6]] == ["friday", "sunday", None]


def test_a_call_may_follow_the_result_of_another():
    conversation = run(Chat(calls(), calls(call(day="sunday")), "At nine on both."))
    assert roles(conversation) == ["system", "user", *["assistant", "tool"] * 2, "assistant"] and is_sound(conversation)


def test_a_row_has_calls_as_openai_has_them():
    rows = [turn.row() for turn in run(Chat(calls(call("now", id_="call_1")), "At nine.")).turns]
    assert rows[2]["tool_calls"] == [
        {"id": "call_1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    ]
    assert (rows[2]["content"], rows[3]["tool_call_id"], rows[4]["tool_calls"]) == ("", "call_1", None)


def test_ids_that_come_twice_or_not_at_all_are_made():
    conversation = run(Chat(calls(call(id_="c"), call(id_="c"), call()), calls(call("now", id_="c")), "At nine."))
    assert is_sound(conversation)
    assert [len(one.id) for one in made(conversation)] == [1, 9, 9, 9]


def test_later_exchanges_may_do_without_a_call():
    conversation = run(Chat(calls(), "At nine.", "You are welcome."), max_turns=2)
    assert roles(conversation)[-2:] == ["user", "assistant"] and is_sound(conversation)


def test_the_same_dialogue_asks_the_same_requests_in_every_run():
    one, two = (Chat(calls(), "At nine.") for _ in range(2))
    assert run(one) == run(two) and one.asked == two.asked


# --- who knows what


def test_the_assistant_has_the_tools_and_what_they_said():
    chat = Chat(calls(), "At nine.")
    conversation = run(chat)
    first, second = chat.of(Role.RESPONDENT)
    assert first.tools == second.tools == LISTED and first.tool_choice is ToolChoice.AUTO
    assert [message["role"] for message in second.messages] == roles(conversation)[:-1]
    assert second.messages[2]["tool_calls"][0]["id"] == second.messages[3]["tool_call_id"]


def test_the_opening_is_asked_for_by_what_the_tools_do():
    chat = Chat(calls(), "At nine.")
    run(chat)
    [opening] = chat.of(Role.CORRESPONDENT)
    assert (
        "Ferries of a day." in opening.messages[-1]["content"]
        and "(it has to know: day)" in opening.messages[-1]["content"]
    )
    assert SCENE.persona in opening.messages[0]["content"] and opening.tools is None


def test_a_small_model_is_told_what_the_tools_do_beside_its_example():
    chat = Chat(calls(), "At nine.")
    with pytest.raises(CallFailed):  # what the chat says is no JSON
        run(chat, small_model=True)
    asked = chat.of(Role.CORRESPONDENT)[0].messages[-1]["content"]
    assert SCENE.persona in asked and "Ferries of a day." in asked


def test_an_opening_that_names_a_tool_is_asked_for_again():
    chat = Chat(calls(), "At nine.")
    chat.answers[Role.CORRESPONDENT] = ["Please use find_ferry.", "When is there a boat?"]
    assert run(chat).turns[1].content == "When is there a boat?"


def test_an_assistant_with_tools_may_look_things_up_as_well():
    class Shelf:
        async def find(self, query: str) -> list[Passage]:
            return [Passage("doc#0", "Boats rest in winter.")]

    chat = Chat(calls(), "At nine.")
    conversation = run(chat, context=Context.RAG, retriever=Shelf())
    assert is_sound(conversation) and conversation.context_ids == (("doc#0",),)
    assert all("Boats rest in winter." in request.messages[0]["content"] for request in chat.of(Role.RESPONDENT))


def test_the_user_hears_neither_calls_nor_results():
    chat = Chat(calls(), "At nine.", "Twelve euros.")
    run(chat, max_turns=2)
    [later] = chat.of(Role.CORRESPONDENT)[1].messages
    assert "Assistant: At nine.\n</conversation>" in later["content"] and "find_ferry" not in later["content"]


# --- calls that are none


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (ToolCall("x", "find_ferry", '{"day": '), "the arguments are no JSON"),
        (ToolCall("x", "find_boat", "{}"), "there is no tool 'find_boat'"),
        (ToolCall("x", "find_ferry", '{"day": "monday"}'), "day: 'monday' is not one of"),
        (ToolCall("", "", "find the ferry"), "cannot be read"),
    ],
)
def test_an_invalid_call_is_told_what_is_wrong_and_kept_out_of_the_row(bad, said):
    chat = Chat(calls(bad), calls(), "At nine.")
    conversation = run(chat)
    assert roles(conversation) == ["system", "user", "assistant", "tool", "assistant"] and is_sound(conversation)
    assert not any("error" in turn.content for turn in conversation.turns)
    called, told = chat.of(Role.RESPONDENT)[1].messages[-2:]
    assert said in json.loads(told["content"])["error"]
    assert told["tool_call_id"] == called["tool_calls"][0]["id"]
    assert isinstance(json.loads(called["tool_calls"][0]["function"]["arguments"]), dict)
    assert chat.of(Role.RESPONDENT)[2].messages[-1]["role"] == "tool"
    assert "error" not in chat.of(Role.RESPONDENT)[2].messages[-1]["content"]


def test_a_valid_call_beside_an_invalid_one_is_not_carried_out():
    chat = Chat(calls(call(), ToolCall("x", "find_boat", "{}")), calls(), "At nine.")
    conversation = run(chat)
    assert len(made(conversation)) == 1
    told = [message["content"] for message in chat.of(Role.RESPONDENT)[1].messages if message["role"] == "tool"]
    assert "not carried out" in told[0] and "no tool 'find_boat'" in told[1]


def test_calls_that_stay_invalid_fail_as_malformed_and_say_why():
    chat = Chat(calls(ToolCall("x", "find_ferry", '{"day": 5}')))
    fault = failure(chat)
    assert (fault.kind, fault.attempts) == (FailureKind.MALFORMED, 3)
    assert "find_ferry" in fault.message and "day: 5 is not" in fault.message
    assert len(chat.of(Role.RESPONDENT)) == 3


def test_a_call_that_is_cut_off_fails_as_truncated():
    cut = replace(calls(ToolCall("x", "find_ferry", '{"day": "fri')), finish_reason="length")
    assert failure(Chat(cut)).kind is FailureKind.TRUNCATED


def test_what_tries_in_vain_cost_is_counted():
    assert run(Chat(calls(call(day="monday")), calls(), "At nine.")).usage == Usage(4, 40, 20, 1.0)


# --- answers without a call


@pytest.mark.parametrize("said", ["I do not know.", "I'm sorry, but I can't help with that.", "Use find_ferry."])
def test_an_answer_without_a_call_is_asked_for_again_with_one_required(said):
    chat = Chat(said, calls(), "At nine.")
    assert is_sound(run(chat))
    choices = [request.tool_choice for request in chat.of(Role.RESPONDENT)]
    assert choices == [ToolChoice.AUTO, ToolChoice.REQUIRED, ToolChoice.AUTO]


def search(chat: Chat, gate: Gate | None = None, **rule: object) -> Selection:
    """A search for a dialogue whose programs run elsewhere: what they bring or raise is told by its outcome alone."""

    async def ask(program: Program[object]) -> object:
        try:
            return pickle.loads(pickle.dumps(await program.run(chat)))
        except CallFailed as failed:
            raise CallFailed(failed.kind, failed.message, failed.attempts) from None

    return asyncio.run(select(Dialogue(SCENE, RULE), QualityRule(**rule), ask, gate))


def refusing(*refused: str) -> tuple[Gate, list[str]]:
    """A gate that refuses the openings which contain one of these words, and what it was asked."""
    seen: list[str] = []

    async def gate(scene: Scene, opening: str) -> Refusal | None:
        seen.append(opening)
        return Refusal(Why.OPENING, 0.97, "d" * 24) if any(word in opening for word in refused) else None

    return gate, seen


def test_an_opening_that_brings_no_call_is_made_anew_and_told_so():
    chat = Chat("One.", "Two.", "Three.", calls(), "At nine.")
    found = search(chat)
    first, second = chat.of(Role.CORRESPONDENT)
    assert f"says {first.item}" in second.messages[0]["content"] and first.seed != second.seed
    assert found.kept.turns[1].content == f"says {second.item}" and is_sound(found.kept)
    assert (found.kept.usage.calls, found.openings) == (7, 2)


def test_an_opening_that_is_made_anew_passes_the_gate_of_the_first_one():
    gate, seen = refusing("/opening2/")
    chat = Chat("One.", "Two.", "Three.", calls(), "At nine.")
    found = search(chat, gate)
    assert [one.partition("/")[2] for one in seen] == [
        "0/correspondent/1",
        "opening2/0/correspondent/1",
        "opening3/0/correspondent/1",
    ]
    assert found.kept.turns[1].content == seen[2] and is_sound(found.kept)
    assert seen[1] in chat.of(Role.CORRESPONDENT)[2].messages[0]["content"], "it is told what was refused"
    assert len({request.item for request in chat.asked}) == len(chat.asked)


def test_a_dialogue_none_of_whose_new_openings_can_stand_is_refused_as_one_whose_first_cannot():
    gate, seen = refusing("/opening")
    found = search(Chat("No call."), gate)
    [refused] = found.refused
    assert (found.kept, found.why, refused.why, refused.neighbour_id) == (None, Why.OPENING, Why.OPENING, "d" * 24)
    assert len(seen) == 4 and refused.turns == [Turn("user", seen[3])]


def test_candidates_of_which_none_calls_a_tool_go_on_from_the_new_opening_together():
    chat = Chat(*["No call."] * 6, calls(), "At nine.", calls(), "At ten.")
    found = search(chat, candidates=2)
    assert is_sound(found.kept) and len(chat.of(Role.CORRESPONDENT)) == 2
    [other] = found.refused
    assert other.turns[1] == found.kept.turns[1]


def test_a_dialogue_without_a_call_fails_by_name():
    chat = Chat("I cannot know.")
    with pytest.raises(CallFailed) as caught:
        search(chat)
    assert (caught.value.kind, caught.value.message) == (FailureKind.MALFORMED, "the respondent called no tool")
    assert len(chat.of(Role.CORRESPONDENT)) == 2 and len(chat.of(Role.RESPONDENT)) == 6


@pytest.mark.parametrize("nothing", [CallFailed(FailureKind.EMPTY, "no text"), "```\n```", " "])
def test_an_empty_answer_is_asked_for_again(nothing):
    conversation = run(Chat(nothing, calls(), nothing, "At nine."))
    assert is_sound(conversation) and conversation.turns[-1].content == "At nine."


def test_an_answer_that_speaks_of_a_tool_by_its_name_is_asked_for_again():
    conversation = run(Chat(calls(), "You can use the `find_ferry` function.", "At nine, by now."))
    assert conversation.turns[-1].content == "At nine, by now."


def test_what_is_said_beside_a_call_is_kept_unless_it_speaks_of_the_tool():
    said = [replace(calls(), text=text) for text in ("Let me look that up.", "I use find_ferry for that.")]
    assert [run(Chat(one, "At nine.")).turns[2].content for one in said] == ["Let me look that up.", ""]


def test_a_refusal_after_a_call_is_asked_for_again():
    conversation = run(Chat(calls(), "I'm sorry, but I can't help with that.", "At nine."))
    assert conversation.turns[-1].content == "At nine."


def test_who_was_told_an_error_may_say_that_it_cannot_know():
    conversation = run(Chat(calls(call("now")), "Unfortunately, I cannot read the clock right now."))
    assert conversation.turns[-1].content.startswith("Unfortunately")


# --- how many


def test_after_so_many_calls_the_assistant_has_to_answer():
    chat = Chat(calls(), calls(call("now"), call(day="sunday")), "At nine.")
    conversation = run(chat, tools=replace(KIT, max_calls=3))
    assert len(made(conversation)) == 3 and is_sound(conversation)
    assert [one.tool_choice for one in chat.of(Role.RESPONDENT)] == [ToolChoice.AUTO, ToolChoice.AUTO, ToolChoice.NONE]


def test_more_calls_than_are_left_are_no_calls():
    chat = Chat(calls(call(), call(day="sunday")), calls(), calls(), "At nine.")
    conversation = run(chat, tools=replace(KIT, max_calls=1))
    assert len(made(conversation)) == 1 and is_sound(conversation)
    told = [one.messages[-1]["content"] for one in chat.of(Role.RESPONDENT)]
    assert "2 calls are too many; no more than 1 can be made" in told[1] and "answer now" in told[3]


def test_who_calls_too_often_after_a_call_has_to_answer():
    chat = Chat(calls(), calls(call("now"), call(day="sunday")), "At nine.")
    assert len(made(run(chat, tools=replace(KIT, max_calls=2)))) == 1
    assert chat.of(Role.RESPONDENT)[2].tool_choice is ToolChoice.NONE


def test_a_call_that_was_made_already_is_not_made_again_and_the_assistant_has_to_answer():
    chat = Chat(calls(), calls(), "At nine.", calls(), "At nine, as I said.")
    conversation = run(chat, max_turns=2)
    assert len(made(conversation)) == 2 and is_sound(conversation)
    again = chat.of(Role.RESPONDENT)[2]
    assert "made already" in again.messages[-1]["content"] and again.tool_choice is ToolChoice.NONE


def test_a_call_whose_tool_has_failed_may_be_made_again():
    conversation = run(Chat(calls(call("now")), calls(call("now")), "I cannot read the clock."))
    assert len(made(conversation)) == 2 and is_sound(conversation)


def test_the_calls_are_counted_anew_for_each_message_of_the_user():
    conversation = run(Chat(calls(), "At nine.", calls(), "At ten."), tools=replace(KIT, max_calls=1), max_turns=2)
    assert len(made(conversation)) == 2


# --- what tools say


def test_what_a_function_raises_is_told_to_the_assistant_and_stands_in_the_row():
    chat = Chat(calls(call("now")), "I have no clock.")
    conversation = run(chat)
    assert conversation.turns[3].content == '{"error": "OSError: no clock"}'
    assert chat.of(Role.RESPONDENT)[1].messages[-1]["content"] == conversation.turns[3].content


def test_a_tool_is_played_from_its_description_the_document_and_what_was_said_before():
    chat = Chat(calls(call(), call(day="sunday")), "At nine.", tool=('{"at": "9:00"}', '{"at": "noon"}'))
    conversation = run(chat, tools=PLAYED)
    assert [turn.content for turn in conversation.turns if turn.role == "tool"] == ['{"at": "9:00"}', '{"at": "noon"}']
    first, second = (request.messages[-1]["content"] for request in chat.of(Role.TOOL))
    assert "Ferries of a day." in first and SCENE.document in first and "There are none yet." in first
    assert 'find_ferry({"day": "friday"})' in first
    assert 'find_ferry({"day": "friday"}) → {"at": "9:00"}' in second


def test_a_player_without_a_document_makes_the_world_up():
    chat = Chat(calls(), "At nine.")
    asyncio.run(Dialogue(replace(SCENE, document=""), replace(RULE, tools=PLAYED)).run(chat))
    assert "<document>" not in chat.of(Role.TOOL)[0].messages[-1]["content"]


@pytest.mark.parametrize(
    "nothing", ["It sails at nine.", "[]", "{}" * 0 or "9:00", CallFailed(FailureKind.EMPTY, "no text")]
)
def test_what_a_player_says_that_is_no_object_is_asked_for_again_and_fails_by_the_tool(nothing):
    assert is_sound(run(Chat(calls(), "At nine.", tool=(nothing, '```json\n{"at": 9}\n```')), tools=PLAYED))
    chat = Chat(calls(), "At nine.", tool=(nothing,))
    fault = failure(chat, tools=PLAYED)
    assert fault.kind in (FailureKind.MALFORMED, FailureKind.EMPTY) and fault.attempts == 3
    assert len(chat.of(Role.TOOL)) == 3


def test_a_share_of_the_played_calls_fails_as_real_tools_do():
    fails = 0
    for number in range(200):
        chat = Chat(calls(), "It is down.", tool=('{"error": "503"}',))
        scene = replace(SCENE, conversation_id=f"{number:024}")
        asyncio.run(Dialogue(scene, replace(RULE, tools=replace(PLAYED, errors=0.25))).run(chat))
        [asked] = chat.of(Role.TOOL)
        assert ("This time the tool fails" in asked.messages[-1]["content"]) == (asked.schema is not None)
        fails += asked.schema is not None
    assert 30 <= fails <= 70


def test_the_prompts_of_tools_and_the_list_are_part_of_what_a_row_was_made_of():
    with_tools, without = (Dialogue(SCENE, rule).prompt_shas() for rule in (RULE, replace(RULE, tools=None)))
    assert all(with_tools[speaker] != without[speaker] for speaker in without)
    other = ToolKit(json.dumps(LISTED[:1]))
    assert Dialogue(SCENE, replace(RULE, tools=other)).prompt_shas()["respondent"] != with_tools["respondent"]
