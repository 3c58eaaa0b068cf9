"""How the dialogues of a run are made, from its settings. Knows no Ray."""

from __future__ import annotations

from pathlib import Path

from actors.logic.dialogue import Context, DialogueRule, Task
from actors.logic.document import DocumentKind
from actors.logic.plan import SceneRule
from actors.logic.retrieval import Retriever, own
from cluster.errors import UserError
from pipelines.hooks import Hooks
from pipelines.settings import Settings
from pipelines.talk_tools import tool_kit


def scene_rule(settings: Settings) -> SceneRule:
    """How the run chooses who speaks about what."""
    given = settings.documents.kind is DocumentKind.PERSONA
    talk = settings.conversations
    return SceneRule(talk.sampling, settings.seed, given, talk.num_random_contexts)


def dialogue_rule(
    settings: Settings, manner: str = "", retriever: Retriever | None = None, hooks: Hooks | None = None
) -> DialogueRule:
    """What all dialogues of the run have in common. `UserError` where a template, retriever or tool cannot be used."""
    chosen, hooks = settings.conversations, hooks or Hooks()
    if chosen.context is Context.RAG and chosen.rag.retriever:
        own(chosen.rag.retriever)
    return DialogueRule(
        chosen.respondent_prompt,
        chosen.max_turns,
        chosen.context,
        settings.seed,
        chosen.max_tokens,
        settings.llm.small_model,
        chosen.task,
        _task(settings),
        chosen.persona_in,
        chosen.answer,
        manner,
        retriever,
        tool_kit(settings, hooks.functions),
        hooks.opens,
        hooks.instructs,
    )


def _task(settings: Settings) -> Task | None:
    chosen = settings.conversations
    if not chosen.is_task:
        return None
    if not chosen.strategy.endswith(".txt"):
        return Task(chosen.strategy)
    path = Path(chosen.strategy)
    try:
        template = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise UserError(f"conversations.strategy: {path}: {reason}") from None
    if not template.strip():
        raise UserError(f"conversations.strategy: {path} is empty; it is to ask for the text of the task")
    asks = DialogueRule("", 1, chosen.context, 0, persona_in=chosen.persona_in).asks_as_persona
    task = Task(chosen.task, template, asks)
    task.prompt()
    return task


def writes_manner(settings: Settings) -> bool:
    """Whether a model is asked who talks to the assistant: where the config says what the assistant is, and not who."""
    chosen = settings.conversations
    tells = "respondent_prompt" in chosen.model_fields_set and chosen.correspondent_prompt is None
    return tells and not settings.llm.small_model and not (chosen.is_task and chosen.max_turns == 1)
