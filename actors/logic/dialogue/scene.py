"""What one dialogue is about, and what all dialogues of a run have in common."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from actors.logic.dialogue.own import Writes
from actors.logic.dialogue.tasks import Task
from actors.logic.retrieval import Retriever
from actors.logic.tools import ToolKit


class Context(StrEnum):
    """What the respondent knows of the document."""

    NONE = "none"
    DOCUMENT = "document"
    RAG = "rag"


class PersonaIn(StrEnum):
    """Whose messages know of the persona: it helps questions, and hurts proofs."""

    QUESTION = "question"
    ANSWER = "answer"
    BOTH = "both"
    NONE = "none"


def conversation_id(seed: int, document_id: str, lap: int, ordinal: int) -> str:
    """24 hex digits: the `ordinal`-th dialogue that this document owes in round `lap`, in every run of this seed."""
    return hashlib.sha256(f"{seed}\x1f{document_id}\x1f{lap}\x1f{ordinal}".encode()).hexdigest()[:24]


@dataclass(frozen=True, slots=True)
class Scene:
    """One dialogue to be: who speaks about which documents, the first of `document_ids` being its own. `document`, the
    text of all of them, is empty where there is none to talk about, `persona_id` where nobody in particular speaks."""

    conversation_id: str
    document_id: str
    persona_id: str
    persona: str
    persona_generation_depth: int
    document: str
    document_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DialogueRule:
    """How every dialogue of the run is made, and under which `name` it stands in the column `task`.

    A `task` takes the place of the first message. `manner` says more of who asks and how, for all personas alike;
    `is_answered` whether anybody answers; with a `retriever` what is asked is looked up first, with `tools` at hand the
    assistant is asked for what needs them. `opens` writes the first message and `instructs` the assistant's system
    message, where code of the user's own does. `max_turns` exchanges are made, each a user and an assistant message.
    For a `small_model` the correspondent is shown examples and held to one question, and an answer that runs on is cut
    after its last whole sentence.
    """

    respondent_prompt: str
    max_turns: int
    context: Context
    seed: int
    max_tokens: int = 1024
    small_model: bool = False
    name: str = "dialogue"
    task: Task | None = None
    persona_in: PersonaIn = PersonaIn.QUESTION
    is_answered: bool = True
    manner: str = ""
    retriever: Retriever | None = None
    tools: ToolKit | None = None
    opens: Writes | None = None
    instructs: Writes | None = None

    @property
    def asks_as_persona(self) -> bool:
        return self.persona_in in (PersonaIn.QUESTION, PersonaIn.BOTH)

    @property
    def speaks_as_persona(self) -> bool:
        """Whether what the user says is a persona's own, and no template."""
        return self.asks_as_persona and (self.task is None or self.task.is_question)

    @property
    def answers_to_persona(self) -> bool:
        return self.persona_in in (PersonaIn.ANSWER, PersonaIn.BOTH)
