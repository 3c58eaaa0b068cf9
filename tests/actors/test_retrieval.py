import asyncio
import sys
import time

import pytest

from actors.logic.dialogue import Context, Conversation, Dialogue, DialogueRule, Scene
from actors.logic.retrieval import MOST_CHARACTERS, OwnRetriever, Passage, own, passages
from cluster.chat import ChatRequest, Role, ScriptedChat
from cluster.errors import CallFailed, FailureKind, UserError

SCENE = Scene("c" * 24, "doc", "p" * 24, "A baker", 1, "A text about rye bread.")


class Shelf:
    """Finds what holds a word of the query."""

    def __init__(self, *texts: str) -> None:
        self.passages = [Passage(f"doc#{at}", text) for at, text in enumerate(texts)]

    async def find(self, query: str) -> list[Passage]:
        words = query.split()
        return [one for one in self.passages if any(word in one.text for word in words)]


def talk(retriever: object, questions: list[str]) -> tuple[Conversation, list[ChatRequest]]:
    rule = DialogueRule("You help.", len(questions), Context.RAG, seed=7, retriever=retriever)
    asked: list[ChatRequest] = []
    said = iter(questions)

    def script(request: ChatRequest) -> str:
        asked.append(request)
        return next(said) if request.role is Role.CORRESPONDENT else f"answer to {request.item}"

    conversation = asyncio.run(Dialogue(SCENE, rule).run(ScriptedChat(script)))
    return conversation, [one for one in asked if one.role is Role.RESPONDENT]


# --- documents to passages


@pytest.mark.parametrize("text", ["Short.", "One. " * 500, "A paragraph.\n\n" * 90, "x" * 3000, "  \n "])
def test_passages_hold_the_whole_text_in_order_and_none_is_too_long(text):
    found = list(passages("doc", text, 200))
    assert all(0 < len(one.text) <= 200 for one in found)
    assert [one.passage_id for one in found] == [f"doc#{at}" for at in range(len(found))]
    assert "".join("".join(one.text.split()) for one in found) == "".join(text.split())


def test_a_passage_ends_where_a_sentence_ends():
    assert all(one.text.endswith(".") for one in passages("doc", "It is so and so. " * 90, 200))


# --- the respondent


def test_each_answer_has_the_passages_that_its_question_brings_and_those_before():
    shelf = Shelf("Rye keeps for a week.", "The ferry leaves at nine.")
    conversation, [first, second] = talk(shelf, ["Is Rye good?", "And the ferry ?"])
    assert "Rye keeps" in first.messages[0]["content"] and "ferry leaves" not in first.messages[0]["content"]
    assert "Rye keeps" in second.messages[0]["content"] and "ferry leaves" in second.messages[0]["content"]
    assert conversation.context_ids == (("doc#0",), ("doc#1",))
    assert conversation.turns[0].content == second.messages[0]["content"], "the row holds all that it rests on"


def test_where_nothing_is_found_the_assistant_answers_with_its_prompt_alone():
    conversation, [asked] = talk(Shelf("Rye."), ["When?"])
    assert asked.messages[0]["content"] == "You help."
    assert conversation.context_ids == ((),)


# --- a retriever of the user's own

CODE = """
import asyncio, threading, time

def texts(query, top_k):
    return [f"{query} {number}" for number in range(9)]

def mappings(query, top_k):
    return [{"id": 7, "text": query}]

async def later(query, top_k):
    await asyncio.sleep(0)
    return [query]

class Made:
    def __init__(self):
        self.calls = 0

    def __call__(self, query, top_k):
        self.calls += 1
        return [f"call {self.calls}"]

class MadeLater:
    async def __call__(self, query, top_k):
        return (query,)

class NeedsMore:
    def __init__(self, folder):
        pass

def nothing(query, top_k):
    return []

def large(query, top_k):
    return ["word " * 2_000_000, "more"]

def raises(query, top_k):
    raise KeyError(query)

def hangs(query, top_k):
    time.sleep(1)

def leaves(query, top_k):
    raise SystemExit(3)

opened = threading.Event()

def waits(query, top_k):
    opened.wait()

def none(query, top_k):
    return None

def numbers(query, top_k):
    return [1, 2]

number = 5
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "my_shelf.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "my_shelf"
    sys.modules.pop("my_shelf", None)
    own.cache_clear()


def find(path: str, timeout_s: float = 5.0) -> list[Passage]:
    return asyncio.run(OwnRetriever(path, 4, timeout_s).find("rye"))


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("texts", [f"rye {number}" for number in range(4)]),
        ("mappings", ["rye"]),
        ("later", ["rye"]),
        ("Made", ["call 1"]),
        ("MadeLater", ["rye"]),
        ("nothing", []),
    ],
)
def test_a_function_or_a_class_brings_texts_or_mappings(module, name, texts):
    assert [one.text for one in find(f"{module}:{name}")] == texts


def test_passages_have_the_ids_that_they_came_with_or_one_of_their_text(module):
    assert find(f"{module}:mappings")[0].passage_id == "7"
    first, second, *_ = find(f"{module}:texts")
    assert len(first.passage_id) == 24 and first.passage_id != second.passage_id


def test_a_class_is_made_once_in_a_process(module):
    find(f"{module}:Made")
    assert find(f"{module}:Made")[0].text == "call 2"


def test_ten_megabytes_are_cut(module):
    found = find(f"{module}:large")
    assert 0 < sum(len(one.text) for one in found) <= MOST_CHARACTERS


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("raises", "raised KeyError: 'rye'"),
        ("leaves", "raised RuntimeError: SystemExit: 3"),
        ("none", "brought NoneType and no list"),
        ("numbers", "brought something that is neither a text nor a mapping with one"),
    ],
)
def test_one_that_fails_costs_its_dialogue_and_is_named(module, name, said):
    with pytest.raises(CallFailed) as caught:
        talk(OwnRetriever(f"{module}:{name}", 4, 5.0), ["What?"]) if name != "raises" else find(f"{module}:{name}")
    assert caught.value.kind is FailureKind.RETRIEVAL
    assert caught.value.message == f"the retriever {module}:{name} {said}"


def test_one_that_hangs_is_given_up(module):
    begun = time.monotonic()
    with pytest.raises(CallFailed, match=r"brought nothing within 0\.05 s"):
        asyncio.run(_given_up(f"{module}:hangs"))
    assert time.monotonic() - begun < 60


def test_those_that_never_come_back_keep_nobody_else_waiting(module):
    async def asked() -> int:
        stuck = [asyncio.ensure_future(_given_up(f"{module}:waits")) for _ in range(50)]
        await asyncio.wait(stuck)
        assert all(one.exception() for one in stuck)
        return await asyncio.wait_for(asyncio.to_thread(lambda: 7), 30)

    try:
        assert asyncio.run(asked()) == 7
    finally:
        sys.modules[module].opened.set()


async def _given_up(path: str) -> None:
    await OwnRetriever(path, 4, 0.05).find("rye")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("gone:Shelf", "ModuleNotFoundError"),
        ("my_shelf:Gone", "AttributeError"),
        ("my_shelf:number", "cannot be called"),
        ("my_shelf:NeedsMore", "TypeError"),
    ],
)
def test_one_that_is_not_there_is_named(module, path, said):
    with pytest.raises(UserError, match=said) as caught:
        own(path)
    assert str(caught.value).startswith(f"conversations.rag.retriever: {path}")
