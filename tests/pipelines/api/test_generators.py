"""What generators refuse before anything is started or paid, and the settings that they make of their parameters."""

import threading
from pathlib import Path

import pytest
import yaml

from cluster.errors import UserError
from pipelines import (
    BaseInstructionGeneratorCallback,
    BudgetStoppingCallback,
    ContextualInstructionGeneratorCallback,
    ConversationGenerator,
    DatasetGenerator,
    DriaDataset,
    FixedNumberStoppingCallback,
    InMemoryDocumentProvider,
    PersonaBackstory,
    PersonaBio,
    PersonaGenerator,
    PersonaInstructionGeneratorCallback,
    PersonaUsageStoppingCallback,
    SmartKeyPool,
    ToolCallingInstructionGeneratorCallback,
    WithContextRespondentPromptModifier,
    WithRAGRespondentPromptModifier,
)
from pipelines.api.conversation_generator import _personas_needed
from pipelines.api.runs import Runs, keep_settings
from pipelines.api.strategy import Strategy

URL = "http://127.0.0.1:9/v1"
TEXTS = ["Bees see no red.", "Tides follow the moon."]


class Locked(BaseInstructionGeneratorCallback):
    def __init__(self):
        self.lock = threading.Lock()

    def generate(self, request):
        return "What?"


def generator(**options):
    return ConversationGenerator(base_url=URL, progress=False, **options)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: generator().generate_sync(), "give num_dialogs, or stopping_criteria"),
        (lambda: generator().generate_sync(0), "num_dialogs must be a whole number of at least 1, got 0"),
        (lambda: generator().generate_sync(2.5), "num_dialogs must be a whole number"),
        (lambda: generator().generate_sync(5, max_turns=0), "max_turns must be a whole number of at least 1, got 0"),
        (lambda: generator().generate_sync(5, max_turns=99), "conversations.max_turns must be in \\[1, 50\\], got 99"),
        (lambda: generator().generate_sync(5, stopping_criteria=["now"]), "BaseStoppingCallback, got a str"),
        (
            lambda: generator(instruction_generator_callback=Locked()).generate_sync(5),
            "instruction_generator_callback Locked cannot be sent .* its attribute 'lock' holds a lock",
        ),
        (lambda: generator(instruction_generator_callback=print), "must be derived from BaseInstructionGenerator"),
        (
            lambda: generator(respondent_prompt_modifier=WithContextRespondentPromptModifier),
            "respondent_prompt_modifier must be derived from .*, got WithContextRespondentPromptModifier",
        ),
        (
            lambda: generator(
                instruction_generator_callback=ToolCallingInstructionGeneratorCallback(documents=TEXTS)
            ).generate_sync(5),
            "has no tools",
        ),
        (
            lambda: generator(respondent_prompt_modifier=WithRAGRespondentPromptModifier(retriever=7)).generate_sync(5),
            "the retriever must be a function of",
        ),
        (lambda: generator(settings={"personas.depht": 1}).generate_sync(5), "personas.depht is no setting; did you"),
        (lambda: PersonaGenerator(base_url=URL).generate_from_documents_sync(TEXTS, n_iterations=9), "personas.depth"),
        (lambda: PersonaGenerator(base_url=URL).generate_from_text_sync("  "), "the text is empty"),
        (lambda: PersonaGenerator(base_url="ftp://x").generate_from_documents_sync(TEXTS), "base_url must start with"),
        (
            lambda: DatasetGenerator(DriaDataset("n", "d", PersonaBio[-1].OutputSchema), base_url=URL).generate_sync(
                [{"description": "a village"}], PersonaBio
            ),
            "an instruction has 'description'; it may have",
        ),
    ],
)
def test_wrong_use_is_one_line_before_anything_is_started(call, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=told) as raised:
        call()
    assert "\n" not in str(raised.value)
    assert raised.value._render_traceback_() == [f"populace: {raised.value}"]


def settings_of(tmp_path, strategy=None, **options):
    runs = Runs(base_url=URL, **options)
    strategy = strategy or Strategy("Help.", None, None, None, False, None)
    return runs.parsed(tmp_path, strategy.sections(tmp_path), strategy.api_key)


def of(asks=None, tells=None, improve=False, judge=None):
    return Strategy("Help.", None, asks, tells, improve, judge)


def test_without_callback_and_prompt_anybody_asks_what_the_assistant_is_for(tmp_path):
    settings = settings_of(tmp_path)
    talk = settings.conversations
    assert (talk.strategy, talk.correspondent_prompt, talk.context) == ("contextual", None, "none")
    assert "respondent_prompt" in talk.model_fields_set, "so a model writes who asks"


def test_callbacks_become_strategies(tmp_path):
    documents = InMemoryDocumentProvider(TEXTS, target_context_usage_count=12)
    contextual = settings_of(tmp_path, of(ContextualInstructionGeneratorCallback(documents=documents)))
    assert contextual.conversations.strategy == "contextual"
    speaks = PersonaInstructionGeneratorCallback(documents=documents, num_random_contexts=2, model_name="other")
    persona = settings_of(tmp_path, of(speaks, WithContextRespondentPromptModifier(), True, "judge"))
    talk = persona.conversations
    assert (talk.strategy, talk.num_random_contexts, talk.context) == ("persona", 2, "document")
    assert talk.auto_improve and persona.llm.roles == {"judge": "judge", "correspondent": "other"}
    assert persona.personas.target_per_document == 6
    looks = settings_of(tmp_path, of(speaks, WithRAGRespondentPromptModifier(top_k=2)))
    assert (looks.conversations.context, looks.conversations.rag.top_k) == ("rag", 2)


def test_a_pydantic_model_is_a_tool(tmp_path):
    from pydantic import BaseModel

    class FindFerry(BaseModel):
        """Departures on a day."""

        day: str

    asks = ToolCallingInstructionGeneratorCallback(tools=[FindFerry], documents=TEXTS)
    settings = settings_of(tmp_path, of(asks))
    assert settings.conversations.strategy == "tools"
    [tool] = yaml.safe_load(Path(settings.conversations.tools.path).read_text())
    assert tool["function"]["name"] == "FindFerry" and tool["function"]["description"] == "Departures on a day."
    assert tool["function"]["parameters"]["required"] == ["day"]


def test_settings_of_the_script_go_before_what_parameters_say(tmp_path):
    more = {"conversations": {"candidates": 4}, "personas.granularity": "fine", "llm.timeout_s": 5}
    settings = settings_of(tmp_path, settings=more)
    assert settings.conversations.candidates == 4 and settings.conversations.strategy == "contextual"
    assert settings.personas.granularity == "fine" and settings.llm.timeout_s == 5


def test_the_settings_beside_a_run_hold_no_key(tmp_path):
    pool = SmartKeyPool(["sk-in-memory-12345"], requests_per_minute=7)
    settings = settings_of(tmp_path, api_key=pool)
    keep_settings(settings)
    text = (tmp_path / "settings.yaml").read_text()
    kept = yaml.safe_load(text)
    assert "sk-in" not in text and kept["llm"]["endpoints"][0]["keys"] == []
    assert kept["llm"]["endpoints"][0]["requests_per_minute"] == 7


def test_a_key_of_openai_goes_nowhere_else(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai-123456")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:8/v1")
    assert settings_of(tmp_path).llm.endpoints[0].keys == []
    [endpoint] = Runs().parsed(tmp_path, Strategy("", None, None, None, False, None).sections(tmp_path)).llm.endpoints
    assert (endpoint.base_url, endpoint.keys) == ("http://127.0.0.1:8/v1", ["env:OPENAI_API_KEY"])


def test_a_number_among_the_rules_is_the_number(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = generator(run_dir=tmp_path / "run")
    _, _, settings = made._place(3, 1, None)
    assert settings.conversations.count == 3
    _, before, settings = made._place(4, 1, None)
    assert (before, settings.conversations.count) == (3, 7), "called again, it makes as many more"
    assert FixedNumberStoppingCallback(4).n == 4


def test_rules_alone_let_no_more_people_grow_than_they_count(tmp_path):
    asks = PersonaInstructionGeneratorCallback(documents=TEXTS)
    made = generator(run_dir=tmp_path / "run", instruction_generator_callback=asks)
    for rules, target in (([PersonaUsageStoppingCallback(50)], 25), ([BudgetStoppingCallback(max_usd=1)], 5)):
        _, _, settings = made._place(100_000, 1, None, _personas_needed(rules, asks.documents))
        assert settings.personas.target_per_document == target


def test_steps_of_people_have_schemas():
    assert list(PersonaBio[-1].OutputSchema.model_fields) == ["bio", "model"]
    assert list(PersonaBackstory[-1].OutputSchema.model_fields) == ["backstory", "model"]
    assert len(PersonaBio) == 2
