"""The names that scripts import, their signatures and what their docstrings tell: what is here stays."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pipelines
from pipelines import api

README = Path(__file__).resolve().parents[3] / "README.md"

SIGNATURES = {
    "ConversationGenerator": "respondent_prompt, api_key, base_url, model_name, correspondent_prompt, "
    "instruction_generator_callback, respondent_prompt_modifier, auto_improve, evaluator_model_name, storage, *, "
    "run_dir, cluster_address, settings, progress",
    "ConversationGenerator.generate": "num_dialogs, max_turns, max_concurrency, stopping_criteria",
    "ConversationGenerator.generate_sync": "num_dialogs, max_turns, max_concurrency, stopping_criteria",
    "ConversationGenerator.stream": "num_dialogs, max_turns, max_concurrency, stopping_criteria",
    "PersonaGenerator": "api_key, model_name, base_url, *, run_dir, cluster_address, settings, progress",
    "PersonaGenerator.generate_from_documents": "documents, max_docs, n_iterations, target_data_count, "
    "num_random_contexts",
    "PersonaGenerator.generate_from_text": "text",
    "PersonaGenerator.generate_from_persona": "persona",
    "InMemoryDocumentProvider": "texts, target_context_usage_count, run_dir",
    "JSONLDocumentProvider": "path, text_field, id_field, target_context_usage_count, run_dir",
    "DatasetDocumentProvider": "dataset, text_field, id_field, target_context_usage_count, run_dir",
    "ContextualInstructionGeneratorCallback": "api_key, documents, model_name, num_random_contexts",
    "PersonaInstructionGeneratorCallback": "api_key, documents, model_name, num_random_contexts",
    "ToolCallingInstructionGeneratorCallback": "api_key, tools, documents, model_name, num_random_contexts, functions",
    "WithRAGRespondentPromptModifier": "retriever, top_k",
    "FixedNumberStoppingCallback": "n",
    "PersonaUsageStoppingCallback": "n_personas",
    "ContextCoverageStoppingCallback": "coverage_threshold",
    "BudgetStoppingCallback": "max_usd, max_total_tokens, max_prompt_tokens, max_completion_tokens",
    "ErrorRateStoppingCallback": "max_error_rate, min_samples",
    "AndStoppingCallback": "callbacks",
    "OrStoppingCallback": "callbacks",
    "BaseStoppingCallback.should_stop": "state",
    "BaseInstructionGeneratorCallback.generate": "request",
    "BaseRespondentPromptModifierCallback.generate": "request",
    "CallbackRequest.ask": "prompt, temperature",
    "JSONLStorage": "path",
    "ParquetStorage": "run_dir",
    "SmartKeyPool": "api_keys, requests_per_minute, tokens_per_minute",
    "DriaDataset": "name, description, schema, rows",
    "DatasetGenerator": "dataset, api_key, base_url, *, run_dir, cluster_address, settings, progress",
    "DatasetGenerator.generate": "instructions, singletons, models",
}


def parameters(dotted: str) -> str:
    found = pipelines
    for name in dotted.split("."):
        found = getattr(found, name)
    told, starred = [], False
    for one in inspect.signature(found).parameters.values():
        if one.kind is one.KEYWORD_ONLY and not starred:
            told, starred = [*told, "*"], True
        told += [one.name] * (one.name != "self")
    return ", ".join(told)


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_signature_stays(name):
    assert parameters(name) == SIGNATURES[name]


@pytest.mark.parametrize("name", [one for one in api.__all__ if one not in ("PersonaBio", "PersonaBackstory")])
def test_a_name_says_what_it_is_and_so_do_its_methods(name):
    found = getattr(pipelines, name)
    assert len((found.__doc__ or "").split()) >= 3
    for method, value in vars(found).items():
        if not method.startswith("_") and inspect.isfunction(value) and value.__module__.startswith("pipelines.api"):
            inherited = any(getattr(base, method, None) for base in found.__mro__[1:])
            assert value.__doc__ or inherited, f"{name}.{method}"


def test_both_names_are_the_same_class():
    assert pipelines.AsyncConversationGenerator is pipelines.ConversationGenerator


def test_a_name_that_there_is_not_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'ConversationGenerater'"):
        pipelines.ConversationGenerater  # noqa: B018


def test_the_readme_lists_every_name():
    listed = set(re.findall(r"`(\w+)`", README.read_text(encoding="utf-8")))
    assert not [name for name in api.__all__ if name not in listed]


def test_the_package_alone_loads_nothing():
    program = "import pipelines, sys; print(sorted({'ray', 'pyarrow', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
