"""Documents, their personas, and what these ask an assistant, as a script of a library of this kind has it."""

import asyncio
import json
import os

from pipelines import (
    AsyncConversationGenerator,
    InMemoryDocumentProvider,
    PersonaGenerator,
    PersonaInstructionGeneratorCallback,
)


async def main():
    api_key = os.getenv("OPENAI_API_KEY")
    documents = InMemoryDocumentProvider(["A lost card is blocked by telephone.", "Receipts are kept ten years."])
    finder = PersonaGenerator(api_key=api_key)
    one = await finder.generate_from_text("How a card reader is paired with a till.")
    other = await finder.generate_from_persona(one)
    await finder.generate_from_documents(documents, target_data_count=60)
    callback = PersonaInstructionGeneratorCallback(api_key=api_key, documents=documents, num_random_contexts=1)
    generator = AsyncConversationGenerator(
        respondent_prompt="You work at the desk of a bank.",
        api_key=api_key,
        instruction_generator_callback=callback,
    )
    rows = await generator.generate(num_dialogs=5)
    more = await generator.generate(num_dialogs=2)
    print(
        "RESULT "
        + json.dumps(
            {
                "one": one,
                "other": other,
                "personas": [[persona.depth for persona in document.personas] for document in documents],
                "texts": [persona.text for persona in documents.personas()],
                "rows": [[row["persona"], row["persona_generation_depth"], row["document_id"]] for row in rows],
                "ids": [row["conversation_id"] for row in [*rows, *more]],
                "columns": more.to_pandas().columns.tolist(),
                "same_folder": rows.run_dir == more.run_dir,
                "dataset": len(rows.to_dataset()),
                "ray": rows.to_ray().count(),
            }
        )
    )


if __name__ == "__main__":
    asyncio.run(main())
