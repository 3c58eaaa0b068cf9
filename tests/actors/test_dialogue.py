import asyncio
from dataclasses import replace
from itertools import pairwise

import pytest

from actors.logic.dialogue import Context, Conversation, Dialogue, DialogueRule, Scene, Turn, conversation_id
from actors.logic.dialogue.faults import (
    clean,
    clean_question,
    gives_away,
    refuses,
    repeats,
    speaks_for_the_other,
    speaks_of_itself,
)
from cluster.chat import ChatAnswer, ChatRequest, Role, ScriptedChat, Usage
from cluster.errors import CallFailed, FailureKind, Halt

SCENE = Scene("c" * 24, "doc", "p" * 24, "A baker in Paris who rises early", 1, "A text about bread.")
RULE = DialogueRule("You answer in one sentence.", 3, Context.DOCUMENT, seed=7, max_tokens=99)
DIALOGUE = Dialogue(SCENE, RULE)


def dialogue(**changes: object) -> Dialogue:
    """That one, but for some fields of its scene or its rule."""
    of_scene = {name: changes.pop(name) for name in list(changes) if name in Scene.__slots__}
    return Dialogue(replace(SCENE, **of_scene), replace(RULE, **changes))


class Chat:
    """Answers with the item of the request, except where `answers` has something else for it; keeps what was asked."""

    def __init__(self, answers: dict[str, object] | None = None) -> None:
        self.answers, self.asked = answers or {}, []

    async def answer(self, request: ChatRequest) -> ChatAnswer:
        self.asked.append(request)
        said = self.answers.get(request.item.partition("/")[2], f"says {request.item}")
        if isinstance(said, BaseException):
            raise said
        model = f"model of the {request.role}"
        return said if isinstance(said, ChatAnswer) else ChatAnswer(said, model, usage=Usage(1, 10, 5, 0.25))

    async def recall(self, item, asked, bring):
        return await bring()

    async def catch_up(self) -> None:
        return None

    async def close(self) -> None:
        return None

    def of(self, role: Role) -> list[ChatRequest]:
        return [request for request in self.asked if request.role is role]


def run(dialogue: Dialogue, chat: Chat | ScriptedChat) -> Conversation:
    return asyncio.run(dialogue.run(chat))


def failure(dialogue: Dialogue, chat: Chat) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        run(dialogue, chat)
    return caught.value


def cut_off(text: str = "A sentence without") -> ChatAnswer:
    return ChatAnswer(text, "m", "length", Usage(1, 10, 99, 1.0))


def three(turn: str, said: object) -> dict[str, object]:
    return {f"{turn}/{attempt}": said for attempt in (1, 2, 3)}


# --- its shape


@pytest.mark.parametrize("turns", [1, 2, 5])
def test_a_dialogue_has_a_system_message_and_then_as_many_exchanges_as_asked_for(turns):
    roles = [turn.role for turn in run(dialogue(max_turns=turns), Chat()).turns]
    assert roles == ["system", *["user", "assistant"] * turns]


def test_every_message_is_the_answer_to_its_own_request():
    chat = Chat()
    said = [turn.content for turn in run(DIALOGUE, chat).turns[1:]]
    assert said == [f"says {request.item}" for request in chat.asked]
    assert len({request.seed for request in chat.asked}) == len(chat.asked) == 6


def test_the_same_dialogue_asks_the_same_requests_in_every_run():
    one, two = Chat(), Chat()
    assert run(DIALOGUE, one) == run(dialogue(), two)
    assert one.asked == two.asked


def test_another_seed_asks_with_other_seeds():
    one, two = Chat(), Chat()
    run(DIALOGUE, one)
    run(dialogue(seed=8), two)
    assert not {request.seed for request in one.asked} & {request.seed for request in two.asked}


def test_the_tokens_asked_for_are_those_of_the_settings():
    chat = Chat()
    run(DIALOGUE, chat)
    assert {request.max_tokens for request in chat.asked} == {99}


# --- who knows what


def test_the_persona_comes_first_in_every_correspondent_call():
    chat = Chat()
    run(DIALOGUE, chat)
    asked = chat.of(Role.CORRESPONDENT)
    assert len(asked) == 3
    for request in asked:
        [message] = request.messages
        assert message["role"] == "user" and message["content"].index(SCENE.persona) < 50


def test_the_respondent_never_hears_of_the_persona():
    chat = Chat()
    run(DIALOGUE, chat)
    for request in chat.of(Role.RESPONDENT):
        assert not any(SCENE.persona in message["content"] for message in request.messages)


def test_with_the_document_as_context_the_respondent_has_it_and_its_prompt():
    chat = Chat()
    run(DIALOGUE, chat)
    for request in chat.of(Role.RESPONDENT):
        assert SCENE.document in request.messages[0]["content"]
        assert RULE.respondent_prompt in request.messages[0]["content"]


def test_without_context_the_respondent_has_its_prompt_alone():
    chat = Chat()
    run(dialogue(context=Context.NONE), chat)
    for request in chat.of(Role.RESPONDENT):
        assert request.messages[0] == {"role": "system", "content": RULE.respondent_prompt}
        assert not any(SCENE.document in message["content"] for message in request.messages)


@pytest.mark.parametrize("context", Context)
def test_the_correspondent_always_has_the_document_to_ask_about(context):
    chat = Chat()
    run(dialogue(context=context), chat)
    assert all(SCENE.document in request.messages[0]["content"] for request in chat.of(Role.CORRESPONDENT))


@pytest.mark.parametrize("small_model", [False, True])
def test_where_there_is_no_document_the_person_is_moved_by_its_own_life(small_model):
    messages = ['{"message": "What is rye?"}', "A grain.", '{"message": "Does it keep?"}', "It does."]
    said = iter(messages if small_model else [*messages[:2], "Does it keep?", "It does."])
    asked: list[ChatRequest] = []

    def script(request: ChatRequest) -> str:
        asked.append(request)
        return next(said)

    alone = dialogue(document="", context=Context.NONE, max_turns=2, small_model=small_model)
    conversation = run(alone, ScriptedChat(script))
    assert [turn.role for turn in conversation.turns] == ["system", *["user", "assistant"] * 2]
    whole = [message["content"] for request in asked for message in request.messages]
    assert not any("document" in one or "Text:" in one for one in whole)
    for request in asked[::2]:
        assert sum(SCENE.persona in message["content"] for message in request.messages) == 1
    assert asked[1].messages[0] == {"role": "system", "content": RULE.respondent_prompt}


@pytest.mark.parametrize("context", Context)
def test_the_row_keeps_the_system_message_that_the_respondent_had(context):
    chat = Chat()
    conversation = run(dialogue(context=context), chat)
    for request in chat.of(Role.RESPONDENT):
        assert conversation.turns[0] == Turn("system", request.messages[0]["content"])


def test_the_respondent_sees_the_dialogue_as_it_goes_into_the_row():
    chat = Chat()
    turns = run(DIALOGUE, chat).turns
    for exchange, request in enumerate(chat.of(Role.RESPONDENT)):
        assert [Turn(**message) for message in request.messages] == turns[: 2 + 2 * exchange]


def test_the_correspondent_reads_what_both_have_said_in_their_order():
    chat = Chat()
    turns = run(DIALOGUE, chat).turns[1:]
    names = {"user": "Person", "assistant": "Assistant"}
    opening, *later = chat.of(Role.CORRESPONDENT)
    assert "Assistant: " not in opening.messages[0]["content"]
    for exchange, request in enumerate(later, 1):
        [message] = request.messages
        said = "\n\n".join(f"{names[turn.role]}: {turn.content}" for turn in turns[: 2 * exchange])
        assert f"<conversation>\n{said}\n</conversation>" in message["content"]


def test_no_request_has_two_messages_of_one_role_in_a_row():
    chat = Chat()
    run(DIALOGUE, chat)
    for request in chat.asked:
        roles = [message["role"] for message in request.messages]
        assert roles[-1] == "user"
        assert all(one != after for one, after in pairwise(roles))


# --- answers that are none


@pytest.mark.parametrize("turn", ["0/correspondent", "0/respondent", "2/respondent"])
def test_a_message_that_was_cut_off_is_asked_for_again(turn):
    chat = Chat({f"{turn}/1": cut_off()})
    conversation = run(DIALOGUE, chat)
    assert f"says {SCENE.conversation_id}/{turn}/2" in [one.content for one in conversation.turns]
    assert not any("without" in one.content for one in conversation.turns)
    assert len(chat.asked) == 7


def test_a_message_that_is_cut_off_on_every_try_fails_as_truncated():
    chat = Chat(three("1/respondent", cut_off()))
    fault = failure(DIALOGUE, chat)
    assert (fault.kind, fault.attempts) == (FailureKind.TRUNCATED, 3)
    assert "99 tokens" in fault.message
    assert len(chat.asked) == 6


@pytest.mark.parametrize("nothing", ["   ", '""', "User:", CallFailed(FailureKind.EMPTY, "no text")])
def test_a_message_without_text_is_asked_for_again_and_fails_as_empty(nothing):
    assert len(run(DIALOGUE, Chat({"0/correspondent/1": nothing, "0/correspondent/2": nothing})).turns) == 7
    fault = failure(DIALOGUE, Chat(three("0/correspondent", nothing)))
    assert (fault.kind, fault.attempts) == (FailureKind.EMPTY, 3)


def test_a_model_that_spends_all_tokens_on_no_text_fails_as_truncated():
    chat = Chat(three("0/respondent", CallFailed(FailureKind.TRUNCATED, "m answered no text (length)")))
    fault = failure(DIALOGUE, chat)
    assert (fault.kind, fault.message, fault.attempts) == (FailureKind.TRUNCATED, "m answered no text (length)", 3)


@pytest.mark.parametrize("again", ["A first question", " A  first\nquestion ", '"A first question"'])
def test_a_repeated_message_is_asked_for_again(again):
    chat = Chat({"0/correspondent/1": "A first question", "1/correspondent/1": again})
    said = [turn.content for turn in run(DIALOGUE, chat).turns]
    assert said.count("A first question") == 1
    assert f"says {SCENE.conversation_id}/1/correspondent/2" in said


def test_an_answer_that_is_the_question_is_a_repeat():
    chat = Chat({"0/correspondent/1": "A first question", **three("0/respondent", "A first question")})
    assert failure(DIALOGUE, chat).kind is FailureKind.MALFORMED


@pytest.mark.parametrize("kind", [FailureKind.REFUSED, FailureKind.EXHAUSTED, FailureKind.FILTERED])
def test_any_other_failure_of_a_call_passes_at_once(kind):
    lost = CallFailed(kind, "as the endpoint said", 5)
    chat = Chat({"0/respondent/1": lost})
    assert failure(DIALOGUE, chat) is lost
    assert len(chat.asked) == 2


def test_a_halt_passes():
    with pytest.raises(Halt, match="no key"):
        run(DIALOGUE, Chat({"1/correspondent/1": Halt("no key")}))


# --- what it cost, and who spoke


def test_usage_is_that_of_all_calls_those_tried_in_vain_included():
    assert run(DIALOGUE, Chat()).usage == Usage(6, 60, 30, 1.5)
    assert run(DIALOGUE, Chat({"0/respondent/1": cut_off()})).usage == Usage(7, 70, 129, 2.5)


def test_the_models_that_spoke_are_named():
    conversation = run(DIALOGUE, Chat())
    assert conversation.correspondent_model == "model of the correspondent"
    assert conversation.respondent_model == "model of the respondent"


# --- texts that look like something else

ODD = ['He said "{persona}" and {0}', "{{count}} {", 'x = {"a": [1]} % %s', "---\n---\n", '"A" or "B"?', "\\n \\u0041"]


@pytest.mark.parametrize("odd", ODD)
def test_braces_and_quotes_reach_the_model_and_the_row_as_they_are(odd):
    chat = Chat({"0/correspondent/1": odd})
    said = dialogue(persona=f"p {odd}", document=f"d {odd}", respondent_prompt=f"r {odd}")
    conversation = run(said, chat)
    opening, answering = chat.asked[0].messages[0]["content"], chat.asked[1].messages[0]["content"]
    assert f"p {odd}" in opening and f"d {odd.strip()}" in opening
    assert f"r {odd.strip()}" in answering and f"d {odd}".strip() in answering
    assert conversation.turns[1] == Turn("user", odd.strip())


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("  Is it fresh? \n", "Is it fresh?"),
        ('"Is it fresh?"', "Is it fresh?"),
        ("User: Is it fresh?", "Is it fresh?"),
        ('User: "Is it fresh?"', "Is it fresh?"),
        ('"Yes" and "no"', '"Yes" and "no"'),
        ('"', '"'),
        ("Users: are they here?", "Users: are they here?"),
        ("", ""),
    ],
)
def test_a_speakers_name_and_quotes_around_a_whole_message_are_taken_off(said, kept):
    assert clean(said) == kept


# --- ids


def test_an_id_is_the_same_in_every_run():
    assert conversation_id(0, "doc", 0, 0) == "5322135f7e7bc50c329e357e"


def test_another_seed_document_lap_or_number_has_another_id():
    ids = {
        conversation_id(*one)
        for one in [(0, "d", 0, 0), (1, "d", 0, 0), (0, "e", 0, 0), (0, "d", 1, 0), (0, "d", 0, 1)]
    }
    assert len(ids) == 5
    assert conversation_id(0, "d", 1, 11) != conversation_id(0, "d", 11, 1)


def test_the_prompts_of_both_speakers_are_known_by_what_they_are_made_of():
    shas = DIALOGUE.prompt_shas()
    assert all(len(one) == 12 for one in shas.values())
    assert dialogue(persona="Another", document="Another.", seed=8, max_turns=9).prompt_shas() == shas
    for speaker, other in (
        ("correspondent", dialogue(max_turns=1)),
        ("correspondent", dialogue(document="")),
        ("correspondent", dialogue(small_model=True)),
        ("respondent", dialogue(context=Context.NONE)),
        ("respondent", dialogue(respondent_prompt="You answer in two.")),
    ):
        found = other.prompt_shas()
        assert [name for name in shas if found[name] != shas[name]] == [speaker]
    small = dialogue(small_model=True)
    assert len({one.prompt_shas()["correspondent"] for one in (small, dialogue(small_model=True, document=""))}) == 2


# --- what is no message


@pytest.mark.parametrize(
    "opening",
    [
        "Hi, as a nurse I wonder what",
        "As an electrician, I",
        "Hello! I'm a baker and",
        "I am an old sailor.",
        "My name is Ann",
    ],
)
def test_an_opening_that_introduces_its_writer_is_asked_for_again(opening):
    assert gives_away(opening)
    chat = Chat({"0/correspondent/1": opening})
    assert run(DIALOGUE, chat).turns[1].content.endswith("/0/correspondent/2")
    assert "introduces itself" in failure(DIALOGUE, Chat(three("0/correspondent", opening))).message


@pytest.mark.parametrize(
    "opening",
    ["How do I, as a nurse, report this?", "Is rye as a grain any good?", "Hi, when does it open?", "I'm late."],
)
def test_an_opening_may_say_who_asks_in_passing(opening):
    assert not gives_away(opening)
    assert run(DIALOGUE, Chat({"0/correspondent/1": opening})).turns[1].content == opening


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry, but I can't help with that.",
        "I’m very sorry, I cannot discuss this.",
        "Sorry, I am unable to answer that.",
        "As an AI language model, I cannot give advice.",
        "I cannot provide this information.",
        "Unfortunately, I'm not able to say.",
    ],
)
def test_a_refusal_is_asked_for_again(answer):
    assert refuses(answer)
    assert run(DIALOGUE, Chat({"1/respondent/1": answer})).turns[4].content.endswith("/1/respondent/2")


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry to hear that. Take the 9 o'clock ferry.",
        "You cannot bring a dog.",
        "I can help: see below.",
        "Sorry. " * 90,
    ],
)
def test_an_apology_that_goes_on_to_answer_is_an_answer(answer):
    assert not refuses(answer)


@pytest.mark.parametrize("answer", ["At nine.\nUser: And back?\nAssistant: At ten.", "Yes.\n\n**Human:** And then?"])
def test_an_answer_that_speaks_for_the_user_is_asked_for_again(answer):
    assert speaks_for_the_other(answer)
    fault = failure(DIALOGUE, Chat(three("0/respondent", answer)))
    assert (fault.kind, fault.message) == (FailureKind.MALFORMED, "the respondent speaks for the user")


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ('Here\'s a request based on this:\n\n"Find me a bike."', "Find me a bike."),
        ("Sure, here is **the problem**:\n\nTwo ferries sail.", "Two ferries sail."),
        ("Here is my trouble: the chain slips.", "Here is my trouble: the chain slips."),
        ("Is it so:\n\nthe ferry is full?", "Is it so:\n\nthe ferry is full?"),
    ],
)
def test_a_line_that_announces_a_question_is_taken_off(said, kept):
    assert clean_question(said) == kept


def test_an_answer_in_which_a_model_says_what_it_is_is_asked_for_again():
    for said in (
        "I regret the confusion, but as an AI language model, I have no access.",
        "As a language model I guess.",
    ):
        chat = Chat({"0/respondent/1": said})
        assert run(DIALOGUE, chat).turns[2].content.endswith("/0/respondent/2")
    for said in (
        "AI is used as a tool here, and a language model as well.",
        "As an AI researcher, as a model, you may.",
    ):
        assert not speaks_of_itself(said)


def test_an_answer_that_is_the_question_with_a_word_more_is_a_repeat():
    asked = [Turn("user", "When does the ferry to the island leave on a Friday?")]
    assert repeats("So when does the ferry to the island leave on a Friday?", asked)
    assert not repeats("When does the ferry to the island leave on a Friday? At nine, and again at noon.", asked)
    assert not repeats("Yes, it does.", [Turn("user", "Yes")])
