"""Code of a script's own in a run of two callers: who asks, what the assistant is told, when it is enough, and where
the rows go. Prints what it saw as JSON."""

import json
import os

from pipelines import (
    BaseInstructionGeneratorCallback,
    BaseRespondentPromptModifierCallback,
    BaseStoppingCallback,
    ConversationGenerator,
    InMemoryDocumentProvider,
    SmartKeyPool,
)


class Riddles(BaseInstructionGeneratorCallback):
    """Asks a model for a word, and fails for one dialogue in four or so."""

    uses_personas = True

    def __init__(self, documents, opening):
        self.documents, self.opening = documents, opening

    async def generate(self, request):
        if request.rng.random() < 0.25:
            raise ValueError(f"no riddle for {request.conversation_id}")
        word = await request.ask(f"One word about: {request.document}")
        return f"{self.opening} [{os.getpid()}] {request.persona_id} {word}?"


class Rhymes(BaseRespondentPromptModifierCallback):
    def generate(self, request):
        told = request.ask_sync("How do riddles end?")
        return f"{request.respondent_prompt} Rhyme. {request.document} ({len(request.instruction)}, {len(told) > 0})"


class SixAreThere(BaseStoppingCallback):
    def __init__(self):
        self.seen = []

    async def should_stop(self, state):
        self.seen.append([state.num_generated, state.num_failed, state.personas_used, state.documents_covered])
        return state.num_generated >= 6


class Memory:
    def __init__(self):
        self.rows = []

    async def save_conversations(self, conversations):
        self.rows += conversations


def main():
    documents = InMemoryDocumentProvider(["Bees see no red.", "Tides follow the moon.", "Bells are cast in clay."])
    rule, storage = SixAreThere(), Memory()
    generator = ConversationGenerator(
        respondent_prompt="You answer riddles.",
        api_key=SmartKeyPool([os.environ["KEY"]]),
        base_url=os.environ["URL"],
        instruction_generator_callback=Riddles(documents, "Guess"),
        respondent_prompt_modifier=Rhymes(),
        storage=storage,
        run_dir="own",
        settings={"cluster.callers": {"min": 2, "max": 2}, "personas.dedup.scope": "none", "personas.per_call": 5},
        progress=False,
    )
    rows = generator.generate_sync(num_dialogs=30, max_turns=1, stopping_criteria=[rule])
    print(
        json.dumps(
            {
                "rows": [[row["conversation_id"], row["messages"]] for row in rows],
                "stored": [row["conversation_id"] for row in storage.rows],
                "states": rule.seen,
                "stopped": rows.stopped,
                "personas": [persona.persona_id for persona in documents.personas()],
            }
        )
    )


if __name__ == "__main__":
    main()
