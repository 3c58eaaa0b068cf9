"""An evaluation set in many voices: who would ask about these texts, and what each of them asks first."""

import asyncio

from pipelines import (
    ConversationGenerator,
    InMemoryDocumentProvider,
    JSONLStorage,
    PersonaGenerator,
    PersonaInstructionGeneratorCallback,
    PersonaUsageStoppingCallback,
    WithContextRespondentPromptModifier,
)

TEXTS = [
    "Sourdough needs no yeast from a packet: flour and water, a week of feeding, and a warm corner of the kitchen.",
    "The tenant may withhold a part of the rent while the heating fails, once the landlord was told in writing.",
]


async def main() -> None:
    documents = InMemoryDocumentProvider(TEXTS)
    await PersonaGenerator().generate_from_documents(documents, n_iterations=1)
    for document in documents:
        deepest = max(persona.depth for persona in document.personas)
        print(f"{len(document.personas)} personas, {deepest + 1} layers: {document.text[:50]}…")
    generator = ConversationGenerator(
        respondent_prompt="You explain everyday matters in plain words.",
        instruction_generator_callback=PersonaInstructionGeneratorCallback(documents=documents),
        respondent_prompt_modifier=WithContextRespondentPromptModifier(),
        storage=JSONLStorage("evaluation.jsonl"),
    )
    rules = [PersonaUsageStoppingCallback(n_personas=20)]
    async for row in generator.stream(num_dialogs=60, max_turns=1, stopping_criteria=rules):
        print(f"depth {row['persona_generation_depth']}, {row['persona']}: {row['messages'][1]['content']}")


if __name__ == "__main__":
    asyncio.run(main())
