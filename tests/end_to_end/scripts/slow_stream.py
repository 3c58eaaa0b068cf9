"""`ROWS` rows one by one as they are made, in a run that is given a folder. Says each."""

import asyncio
import os

from pipelines import ContextualInstructionGeneratorCallback, ConversationGenerator, InMemoryDocumentProvider


async def main():
    documents = InMemoryDocumentProvider([f"Note {number} about bells." for number in range(4)])
    generator = ConversationGenerator(
        instruction_generator_callback=ContextualInstructionGeneratorCallback(documents=documents),
        run_dir="run",
        progress=False,
    )
    async for row in generator.stream(num_dialogs=int(os.environ["ROWS"]), max_turns=1, max_concurrency=8):
        print("row", row["conversation_id"], flush=True)


if __name__ == "__main__":
    asyncio.run(main())
