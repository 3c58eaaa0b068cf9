"""Exports as TRL takes them, with a chat template that has tools. It loads TRL, which takes seconds."""

import json

import datasets
import pytest
from dialogues import TOOLS, row, said, talk, tooled, write_run
from rich.console import Console

from pipelines.export import asked, export

pytestmark = pytest.mark.slow

# As those of Llama 3.1 and Qwen 2.5 do: a key that is there counts, arguments are written by `tojson`.
TEMPLATE = """
{%- for tool in tools or [] %}<tool>{{ tool | tojson }}</tool>{% endfor -%}
{%- for message in messages -%}
<{{ message.role }}>
{%- if 'tool_calls' in message -%}
{%- for call in message.tool_calls %}{{ call.function.name }}{{ call.function.arguments | tojson }}{% endfor -%}
{%- else -%}{{ message.content }}{%- endif -%}
{%- if message.role == 'tool' %} by {{ message.name }}{% endif -%}
</{{ message.role }}>
{%- endfor -%}
{%- if add_generation_prompt %}<assistant>{% endif -%}
"""


@pytest.fixture(scope="module")
def tokenizer():
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel()), chat_template=TEMPLATE)


@pytest.fixture(params=["jsonl", "parquet"])
def load(request, tmp_path):
    """`load(format, rows)`: the rows exported, and read back by datasets."""

    def read(format_: str, rows: list[dict]) -> datasets.Dataset:
        candidates = [
            row(one["conversation_id"], [*one["messages"][:-1], said("assistant", "No.")], score=0.25) for one in rows
        ]
        run = write_run(tmp_path / "run", [rows], [candidates])
        export(asked(run, format_, request.param, None, "1", None), Console())
        path = str(run / "exports" / format_ / f"train.{request.param}")
        kind = "json" if request.param == "jsonl" else "parquet"
        return datasets.load_dataset(kind, data_files=path, split="train", cache_dir=str(tmp_path / "cache"))

    return read


def test_messages_are_a_conversation_for_a_template(load, tokenizer):
    from trl import apply_chat_template, is_conversational

    [one] = load("messages", [row("a", talk("s", "q", "a"))])
    assert is_conversational(one)
    assert apply_chat_template(one, tokenizer) == {"text": "<system>s</system><user>q</user><assistant>a</assistant>"}


def test_tools_reach_a_template_whole(load, tokenizer):
    from trl import apply_chat_template, is_conversational

    [one] = load("tools", [row("a", tooled(), TOOLS)])
    assert is_conversational(one)
    tools = json.loads(one["tools"]) if isinstance(one["tools"], str) else one["tools"]  # as TRL's trainers do
    assert tools == json.loads(TOOLS)
    text = apply_chat_template({"messages": one["messages"]}, tokenizer, tools=tools)["text"]
    assert text.startswith('<tool>{"type": "function", "function": {"name": "weather"')
    assert '<assistant>weather{"place": "Rome"}weather{"place": "“Köln”\\n"}</assistant>' in text
    assert '<tool>{"t": 3} by weather</tool>' in text
    assert text.endswith("<assistant>3 and 4.</assistant>")


def test_pairs_are_preferences_with_a_prompt_of_their_own(load, tokenizer):
    from trl import apply_chat_template, is_conversational, maybe_extract_prompt, unpair_preference_dataset

    found = load("dpo", [row("a", talk("s", "q", "a", "r", "b"), score=0.5)])
    [one] = found
    assert is_conversational(one) and maybe_extract_prompt(one) == one
    assert (one["score_chosen"], one["score_rejected"]) == (0.5, 0.25)
    texts = apply_chat_template({name: one[name] for name in ("prompt", "chosen", "rejected")}, tokenizer)
    assert texts == {
        "prompt": "<system>s</system><user>q</user><assistant>a</assistant><user>r</user><assistant>",
        "chosen": "b</assistant>",
        "rejected": "No.</assistant>",
    }
    alone = unpair_preference_dataset(found.select_columns(["prompt", "chosen", "rejected"]))
    assert sorted((row["completion"][0]["content"], row["label"]) for row in alone) == [("No.", False), ("b", True)]
    extracted = maybe_extract_prompt(
        {"chosen": one["prompt"] + one["chosen"], "rejected": one["prompt"] + one["rejected"]}
    )
    assert extracted == {name: one[name] for name in ("prompt", "chosen", "rejected")}


def test_pairs_with_tools_reach_a_template(load, tokenizer):
    from trl import apply_chat_template

    [one] = load("dpo", [row("a", tooled(), TOOLS)])
    texts = apply_chat_template({name: one[name] for name in ("prompt", "chosen", "rejected")}, tokenizer)
    assert texts["prompt"] == "<user>How warm?</user><assistant>"
    assert texts["chosen"].startswith('weather{"place": "Rome"}')
    assert texts["rejected"].endswith("<assistant>No.</assistant>")
