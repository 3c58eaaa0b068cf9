"""Dialogues: who speaks, what each of them knows, what is no message, and the program that runs one."""

from actors.logic.dialogue.dialogue import Dialogue
from actors.logic.dialogue.scene import Context, DialogueRule, PersonaIn, Scene, conversation_id
from actors.logic.dialogue.tasks import Task
from actors.logic.dialogue.turns import Conversation, Turn
from cluster.tool_calls import ToolCall

__all__ = [
    "Context",
    "Conversation",
    "Dialogue",
    "DialogueRule",
    "PersonaIn",
    "Scene",
    "Task",
    "ToolCall",
    "Turn",
    "conversation_id",
]
