"""Dialogues that need tools: every call fits its schema, and Python functions answer."""

from typing import Any

from pipelines import ConversationGenerator, InMemoryDocumentProvider, ToolCallingInstructionGeneratorCallback

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "tide_table",
            "description": "High and low water at a harbour on a day.",
            "parameters": {
                "type": "object",
                "properties": {"harbour": {"type": "string"}, "day": {"type": "string", "description": "2026-05-04"}},
                "required": ["harbour", "day"],
                "additionalProperties": False,
            },
        },
    }
]
TEXTS = ["The mud flats can be crossed on foot from an hour before low water. Guides leave from the old customs house."]


def tide_table(harbour: str, day: str) -> dict[str, Any]:
    return {"harbour": harbour, "day": day, "low_water": ["04:10", "16:35"], "high_water": ["10:25", "22:50"]}


def main() -> None:
    generator = ConversationGenerator(
        respondent_prompt="You plan walks over the mud flats.",
        instruction_generator_callback=ToolCallingInstructionGeneratorCallback(
            tools=TOOLS, functions=[tide_table], documents=InMemoryDocumentProvider(TEXTS)
        ),
    )
    rows = generator.generate_sync(num_dialogs=4, max_turns=1)
    for row in rows:
        calls = [call["function"] for message in row["messages"] for call in message["tool_calls"] or ()]
        print(row["persona"], *(f"{call['name']}({call['arguments']})" for call in calls), sep="\n  ")


if __name__ == "__main__":
    main()
