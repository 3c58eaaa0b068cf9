"""A support bot's training data: anybody's questions about its knowledge base, and answers that rest on it."""

import asyncio

from pipelines import (
    ContextualInstructionGeneratorCallback,
    ConversationGenerator,
    InMemoryDocumentProvider,
    WithContextRespondentPromptModifier,
)

KNOWLEDGE = [
    "The bridge to the island closes at a wind of nine. The ferry sails instead, every second hour, bicycles free.",
    "A lost ticket is printed again at any counter against the booking number. Paper tickets of parcels are not.",
    "Parcels over twenty kilograms travel on the morning boat only and are fetched at the pier within three days.",
]


async def main() -> None:
    generator = ConversationGenerator(
        respondent_prompt="You answer for the harbour office of a small island. You are brief and never guess.",
        instruction_generator_callback=ContextualInstructionGeneratorCallback(
            documents=InMemoryDocumentProvider(KNOWLEDGE)
        ),
        respondent_prompt_modifier=WithContextRespondentPromptModifier(),
    )
    rows = await generator.generate(num_dialogs=9, max_turns=2)
    for row in rows:
        print(f"{row['document_id']}: {row['messages'][1]['content']}")


if __name__ == "__main__":
    asyncio.run(main())
