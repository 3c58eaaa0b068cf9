import asyncio
import json
from dataclasses import replace

import pytest

from actors.logic.persona import Granularity
from actors.logic.persona_call import RELATIONSHIPS, TEXT_RELATIONS, PersonaAnswer, PersonaCall, Wording
from cluster.chat import ChatAnswer, ChatRequest, Role, ScriptedChat, Usage
from cluster.errors import CallFailed, FailureKind, Halt, UserError

CALL = PersonaCall("doc", None, 0, "A text about bread.", 3, Granularity.MEDIUM, 7)
CHILD = replace(CALL, parent_id="a" * 24, depth=1, text="A baker in Paris who rises early")
SINGLY = replace(CALL, one_per_request=True)


def people(*numbers: int, relation: str = "read") -> str:
    return json.dumps({"personas": [{"relation": relation, "persona": f"A baker number {n}"} for n in numbers]})


class Chat:
    """Answers from a list, one for each request in turn; an exception in it is raised. Keeps what it was asked."""

    def __init__(self, *answers: str | ChatAnswer | BaseException) -> None:
        self.answers, self.asked = list(answers), []

    async def answer(self, request: ChatRequest) -> ChatAnswer:
        self.asked.append(request)
        said = self.answers.pop(0)
        if isinstance(said, BaseException):
            raise said
        return said if isinstance(said, ChatAnswer) else ChatAnswer(said, "m", usage=Usage(1, 10, 5, 0.5))

    async def catch_up(self) -> None:
        return None

    async def close(self) -> None:
        return None


def run(call: PersonaCall, chat: Chat | ScriptedChat) -> PersonaAnswer:
    return asyncio.run(call.run(chat))


def failure(call: PersonaCall, chat: Chat) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        run(call, chat)
    return caught.value


def texts(answer: PersonaAnswer) -> list[str]:
    return [found.text for found in answer.found]


def numbered(*numbers: int) -> list[str]:
    return [f"A baker number {n}" for n in numbers]


# --- how many


def test_a_good_answer_is_one_request_and_exactly_what_was_asked_for():
    chat = Chat(people(1, 2, 3))
    answer = run(CALL, chat)
    assert texts(answer) == numbered(1, 2, 3)
    assert (answer.tries, answer.shortfall, len(chat.asked)) == (1, "", 1)


def test_of_more_than_was_asked_for_the_first_are_kept():
    assert texts(run(CALL, Chat(people(1, 2, 3, 4, 5)))) == numbered(1, 2, 3)


def test_too_few_are_asked_for_again_and_added_up():
    chat = Chat(people(1), people(1, 2), people(2, 3))
    answer = run(CALL, chat)
    assert texts(answer) == numbered(1, 2, 3)
    assert (answer.tries, answer.shortfall) == (3, "")


def test_what_still_lacks_after_three_tries_is_told_as_a_shortfall():
    chat = Chat(people(1), people(1, 2), people(2))
    answer = run(CALL, chat)
    assert texts(answer) == numbered(1, 2)
    assert "2 of 3" in answer.shortfall
    assert (answer.tries, len(chat.asked)) == (3, 3)


def test_the_same_person_in_other_spelling_does_not_fill_the_count():
    repeats = json.dumps(["A baker number 1", "a BAKER number 1!", "A  baker, number 1"])
    assert texts(run(CALL, Chat(repeats, repeats, repeats))) == numbered(1)


def test_no_person_at_all_fails_and_tells_what_the_model_said():
    chat = Chat("I cannot help with that.", "No.", "Sorry, but no.")
    fault = failure(CALL, chat)
    assert (fault.kind, fault.attempts) == (FailureKind.MALFORMED, 3)
    assert "Sorry, but no." in fault.message
    assert len(chat.asked) == 3


def test_the_half_sentence_at_the_end_of_a_cut_off_answer_is_no_person():
    whole = people(1, 2, 3)
    cut = ChatAnswer(whole[: whole.index("number 3") + 3], "m", "length", Usage(1, 10, 5))
    assert texts(run(CALL, Chat(cut, people(1, 2, 3)))) == numbered(1, 2, 3)


# --- failures of the model


@pytest.mark.parametrize("kind", [FailureKind.EMPTY, FailureKind.TRUNCATED])
def test_an_empty_answer_is_a_try(kind):
    nothing = CallFailed(kind, "no text")
    answer = run(CALL, Chat(nothing, nothing, people(1, 2, 3)))
    assert (answer.tries, texts(answer)) == (3, numbered(1, 2, 3))


def test_nothing_but_empty_answers_fail_after_three_tries():
    chat = Chat(*[CallFailed(FailureKind.EMPTY, "m answered no text")] * 3)
    fault = failure(CALL, chat)
    assert (fault.kind, fault.attempts, fault.message) == (FailureKind.MALFORMED, 3, "m answered no text")
    assert chat.answers == []


def test_people_of_an_earlier_try_are_kept_when_later_ones_are_empty():
    nothing = CallFailed(FailureKind.EMPTY, "m answered no text")
    answer = run(CALL, Chat(people(1), nothing, nothing))
    assert texts(answer) == numbered(1)
    assert answer.shortfall


OTHER_KINDS = [kind for kind in FailureKind if kind not in (FailureKind.EMPTY, FailureKind.TRUNCATED)]


@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_any_other_failure_of_a_call_passes_at_once(kind):
    lost = CallFailed(kind, "as the endpoint said", 5)
    chat = Chat(lost)
    assert failure(CALL, chat) is lost
    assert len(chat.asked) == 1


@pytest.mark.parametrize("call", [CALL, SINGLY])
def test_a_halt_passes(call):
    with pytest.raises(Halt, match="no key"):
        run(call, Chat(people(1), Halt("no key"), *[people(n) for n in range(9)]))


# --- requests


@pytest.mark.parametrize("call", [CALL, SINGLY])
def test_each_try_has_an_item_and_a_seed_of_its_own(call):
    nothing = CallFailed(FailureKind.EMPTY, "no text")
    chat = Chat(nothing, nothing, people(1))
    run(replace(call, per_call=1), chat)
    slot = "0" if call.one_per_request else "all"
    assert [request.item for request in chat.asked] == [f"doc/document/{slot}/{number}" for number in (1, 2, 3)]
    assert len({request.seed for request in chat.asked}) == 3


# --- asking again


def test_an_answer_that_holds_nobody_is_corrected_and_then_asked_for_afresh():
    chat = Chat("I cannot help with that.", "Still not.", people(1, 2, 3))
    assert run(CALL, chat).tries == 3
    first, second, third = chat.asked
    assert list(second.messages[: len(first.messages)]) == list(first.messages)
    said, told = second.messages[len(first.messages) :]
    assert said == {"role": "assistant", "content": "I cannot help with that."}
    assert "it describes no person" in told["content"] and '"personas"' in told["content"]
    assert third.messages == first.messages
    assert len({one.item for one in chat.asked}) == 3


def test_too_few_are_asked_for_afresh_with_those_who_are_there():
    chat = Chat(people(1), people(2), people(3))
    run(CALL, chat)
    first, second, third = (request.messages[-1]["content"] for request in chat.asked)
    assert "named already" not in first
    assert "- A baker number 1" in second and "- A baker number 2" not in second
    assert "- A baker number 1\n- A baker number 2\n" in third
    assert {len(request.messages) for request in chat.asked} == {2}


def test_nobody_after_too_few_is_corrected_too():
    chat = Chat(people(1), "No more.", people(2, 3))
    assert texts(run(CALL, chat)) == numbered(1, 2, 3)
    assert [len(request.messages) for request in chat.asked] == [2, 2, 4]


def test_what_was_cut_off_before_the_first_person_is_asked_for_afresh():
    chat = Chat(ChatAnswer('{"personas": [{"relation": "re', "m", "length", Usage(1, 10, 5)), people(1, 2, 3))
    run(CALL, chat)
    assert chat.asked[1].item == "doc/document/all/2"


def test_a_small_model_is_never_corrected():
    call = replace(SINGLY, per_call=1)
    chat = Chat("Sorry.", "Sorry.", people(1))
    run(call, chat)
    assert len({len(request.messages) for request in chat.asked}) == 1


def asked_of(call: PersonaCall) -> list[ChatRequest]:
    chat = Chat(*["none"] * 3 * call.per_call)
    failure(call, chat)
    return chat.asked


@pytest.mark.parametrize("call", [CALL, CHILD, SINGLY])
def test_the_same_seed_asks_the_same(call):
    assert asked_of(call) == asked_of(replace(call))


@pytest.mark.parametrize("change", [{"seed": 8}, {"document_id": "other"}, {"parent_id": "b" * 24}])
def test_another_seed_document_or_parent_asks_with_another_seed(change):
    assert not {one.seed for one in asked_of(CALL)} & {one.seed for one in asked_of(replace(CALL, **change))}


def test_two_parents_with_the_same_text_are_two_items():
    other = replace(CHILD, parent_id="b" * 24)
    assert CHILD.item_id != other.item_id
    assert not {one.item for one in asked_of(CHILD)} & {one.item for one in asked_of(other)}


@pytest.mark.parametrize("call", [CALL, CHILD])
def test_the_request_is_of_the_persona_role_and_holds_the_text_and_the_count(call):
    [first, *_] = asked_of(call)
    assert first.role is Role.PERSONA
    assert call.text in first.messages[-1]["content"]
    assert "exactly 3 entries" in first.messages[-1]["content"]


def test_a_child_is_asked_for_relationships_and_a_document_for_readers():
    document, child = asked_of(CALL)[0].messages[-1]["content"], asked_of(CHILD)[0].messages[-1]["content"]
    assert "likely to read" in document and "close relationship" not in document
    assert "close relationship" in child and "likely to read" not in child


def test_the_schema_wants_exactly_as_many_as_asked_for():
    personas = asked_of(CALL)[0].schema["properties"]["personas"]
    assert (personas["minItems"], personas["maxItems"]) == (3, 3)
    assert personas["items"]["properties"]["relation"]["enum"] == list(TEXT_RELATIONS)
    child = asked_of(CHILD)[0].schema["properties"]["personas"]
    assert child["items"]["properties"]["relation"] == {"type": "string"}


def test_finer_people_are_given_more_tokens_and_other_words():
    coarse, medium, fine = (asked_of(replace(CALL, granularity=granularity))[0] for granularity in Granularity)
    assert coarse.max_tokens < medium.max_tokens < fine.max_tokens
    assert len({one.messages[-1]["content"] for one in (coarse, medium, fine)}) == 3


def test_a_document_full_of_braces_and_quotes_is_asked_about_as_it_is():
    odd = 'x = {"a": {0}} % {text} {{count}} --- "\'\n---\n{'
    request = asked_of(replace(CALL, text=odd))[0]
    assert odd in request.messages[1]["content"]
    assert [message["role"] for message in request.messages] == ["system", "user"]


# --- the answer


def test_the_relation_is_the_one_that_the_model_gave():
    answer = run(CHILD, Chat(people(1, 2, 3, relation="younger sister")))
    assert {found.relation for found in answer.found} == {"younger sister"}


def test_usage_is_that_of_all_tries_and_the_model_is_named():
    answer = run(CALL, Chat(people(1), people(2), people(3)))
    assert answer.usage == Usage(3, 30, 15, 1.5)
    assert (answer.model, len(answer.prompt_sha)) == ("m", 12)


def test_the_two_kinds_of_call_have_prompts_of_their_own():
    assert run(CALL, Chat(people(1, 2, 3))).prompt_sha != run(CHILD, Chat(people(1, 2, 3))).prompt_sha


# --- one person per request


def test_one_per_request_is_a_request_for_each_person_with_an_item_of_its_own():
    chat = Chat(people(1), people(2), people(3))
    answer = run(SINGLY, chat)
    assert texts(answer) == numbered(1, 2, 3)
    assert answer.shortfall == ""
    assert [request.item for request in chat.asked] == ["doc/document/0/1", "doc/document/1/1", "doc/document/2/1"]
    assert len({request.seed for request in chat.asked}) == 3


@pytest.mark.parametrize(
    ("call", "known"), [(SINGLY, TEXT_RELATIONS), (replace(CHILD, one_per_request=True), RELATIONSHIPS)]
)
def test_one_per_request_asks_for_different_relations_and_notes_them(call, known):
    chat = Chat(people(1), people(2), people(3))
    relations = [found.relation for found in run(call, chat).found]
    assert len(set(relations)) == 3 and set(relations) <= set(known)
    for request, relation in zip(chat.asked, relations, strict=True):
        assert relation in request.messages[-1]["content"]


def test_one_per_request_takes_one_person_of_each_answer():
    answer = run(SINGLY, Chat(people(1, 9), people(2, 9), people(3, 9)))
    assert texts(answer) == numbered(1, 2, 3)


def test_one_per_request_asks_again_for_the_one_that_lacks():
    def script(request: ChatRequest) -> str:
        slot, attempt = request.item.split("/")[-2:]
        return "Sorry." if slot == "1" and attempt != "3" else people(int(slot))

    answer = run(SINGLY, ScriptedChat(script))
    assert texts(answer) == numbered(0, 1, 2)
    assert (answer.tries, answer.shortfall) == (3, "")


def test_one_per_request_keeps_the_others_when_one_is_lost():
    def script(request: ChatRequest) -> str:
        return "Sorry." if "/1/" in request.item else people(int(request.item.split("/")[-2]))

    answer = run(SINGLY, ScriptedChat(script))
    assert texts(answer) == numbered(0, 2)
    assert answer.shortfall.startswith("2 of 3 personas")


def test_one_per_request_keeps_the_first_of_a_repeat_in_its_place():
    def script(request: ChatRequest) -> str:
        return people({"0": 1, "1": 2, "2": 1}[request.item.split("/")[-2]])

    assert texts(run(SINGLY, ScriptedChat(script))) == numbered(1, 2)


def test_one_per_request_tells_a_lost_one_in_words():
    def script(request: ChatRequest) -> str:
        return "Sorry." if "/1/" in request.item else people(int(request.item.split("/")[-2]))

    shortfall = run(SINGLY, ScriptedChat(script)).shortfall
    assert "Sorry." in shortfall
    assert "CallFailed(" not in shortfall


def test_one_per_request_fails_when_nobody_was_found():
    assert failure(SINGLY, Chat(*["Sorry."] * 9)).kind is FailureKind.MALFORMED


# --- wording


def told(call: PersonaCall) -> str:
    return str(call.first_request().messages)


@pytest.mark.parametrize("call", [CALL, CHILD])
def test_people_of_the_pool_are_named_so_that_they_are_not_named_again(call):
    assert "named already" not in told(call)
    known = tuple(f"A sailor number {number}" for number in range(30))
    said = told(replace(call, known=known))
    assert "A sailor number 29" in said and "A sailor number 17\\n" not in said  # the last twelve


def test_the_language_is_that_of_the_text_unless_told_otherwise():
    assert "in the language of the text" in told(CALL) and "in the language of the description above" in told(CHILD)
    assert "in German" in told(replace(CALL, wording=Wording("German")))


def test_templates_of_the_users_own_take_the_place_of_ours():
    own = Wording(text="Readers of {text}: {count} of them, {{as JSON}}.", persona="Friends of {persona}")
    [message] = replace(CALL, wording=own).first_request().messages
    assert message["content"] == "Readers of A text about bread.: 3 of them, {as JSON}."
    [message] = replace(CHILD, wording=own).first_request().messages
    assert message["content"] == f"Friends of {CHILD.text}"
    answer = run(replace(CALL, wording=own), Chat(people(1, 2, 3)))
    assert answer.prompt_sha != run(CALL, Chat(people(1, 2, 3))).prompt_sha


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("Who reads {txt}?", r"has \{txt\}, but the fields are .*\{text\}.*double braces"),
        ("Who reads this?", r"lacks \{text\}"),
        ("{text} {", "literal brace"),
        ("{text:d}", "formats a field"),
        ("{text!r}", "formats a field"),
        ("one\n---\ntwo\n---\n{text}", "ends with an assistant's turn"),
        ("{text}" + "x" * 20_001, "20,007 characters; 20,000 are the most"),
    ],
)
def test_a_template_that_cannot_be_used_is_refused_in_one_line(template, said):
    with pytest.raises(UserError, match=f"prompt personas.prompts.text.*{said}") as caught:
        Wording(text=template).template(is_child=False, one_per_request=False)
    assert "\n" not in str(caught.value)
