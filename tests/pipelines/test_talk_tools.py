"""The tools of a config, from the user's files: what is taken, and in what words the rest is refused."""

from __future__ import annotations

import json

import pytest

from cluster.errors import UserError
from pipelines.batching import batches_dialogues
from pipelines.conversation_flow import dialogue_rule
from pipelines.endpoints import endpoints
from pipelines.plan import estimate
from pipelines.run_folder import lasting
from pipelines.settings import Settings, parse
from pipelines.talk_tools import tool_kit

DAY = {"type": "object", "properties": {"day": {"type": "string"}}, "required": ["day"]}
TOOLS = [{"type": "function", "function": {"name": "find_ferry", "description": "Ferries.", "parameters": DAY}}]
GOOD = "def find_ferry(day): return [day]\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "tools.json").write_text(json.dumps(TOOLS))
    (tmp_path / "corpus.csv").write_text("text\n" + "a note about tides\n" * 4)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def settings(*overrides: str, **tools: object) -> Settings:
    talk = {"strategy": "tools", "tools": {"path": "tools.json"} | tools, "count": 10}
    content = {
        "run_dir": "run",
        "documents": {"path": ["corpus.csv"]},
        "llm": {"endpoints": [{"base_url": "http://h/v1", "model": "m"}]},
        "conversations": talk,
    }
    return parse(content, overrides)


def refusal(*overrides: str, **tools: object) -> str:
    with pytest.raises(UserError) as caught:
        tool_kit(settings(*overrides, **tools))
    said = str(caught.value)
    assert "\n" not in said and "Traceback" not in said
    return said


def test_a_list_of_tools_is_all_that_is_needed(folder):
    kit = tool_kit(settings())
    assert ([one.name for one in kit.tools], kit.functions, kit.max_calls, kit.errors) == (
        ["find_ferry"],
        None,
        8,
        0.05,
    )
    assert dialogue_rule(settings()).tools == kit
    assert json.loads(kit.text) == TOOLS


def test_without_the_strategy_there_are_no_tools(folder):
    assert tool_kit(settings("conversations.strategy=persona", "conversations.tools=null")) is None


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["conversations.tools=null"], "conversations has strategy: tools, but no tools"),
        (["conversations.strategy=persona"], "conversations has tools, but strategy: persona"),
        (["conversations.tools.max_calls=0"], "conversations.tools.max_calls must be in [1, 100]"),
        (["conversations.tools.timeout_s=0"], "conversations.tools.timeout_s must be more than 0"),
        (["conversations.tools.errors=2"], "conversations.tools.errors must be in [0, 1]"),
        (["conversations.tools.path="], "conversations.tools.path must be text"),
        (["conversations.tools.pth=x"], "conversations.tools.pth is no setting; did you mean path?"),
        (["conversations.tools.functions=f.py", "conversations.tools.errors=0"], "functions and errors"),
        (["conversations.strategy=tool"], "conversations has tools, but strategy: tool;"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(folder, overrides, said):
    assert said in refusal(*overrides)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "conversations.tools.path: tools.json: no such file; did you mean tool.json in its folder?"),
        ("[{", "conversations.tools.path: tools.json is no JSON"),
        ("{}", "conversations.tools.path: tools.json is no list of tools"),
        (json.dumps(TOOLS * 2), "tool 2 is named find_ferry, as tool 1 is"),
        (json.dumps([{"type": "function", "function": {"name": "a"}}]), "tool 1 (a) has no description"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused_by_its_file(folder, text, said):
    (folder / "tools.json").unlink()
    (folder / ("tools.json" if text else "tool.json")).write_text(text or "[]")
    assert said in refusal()


def test_functions_are_taken_from_a_file_or_a_module(folder):
    (folder / "ferries.py").write_text(GOOD)
    (folder / "a_package_of_tests").mkdir()
    (folder / "a_package_of_tests" / "ferries.py").write_text(GOOD)
    assert tool_kit(settings(functions="ferries.py")).functions.source == GOOD
    assert tool_kit(settings(functions="a_package_of_tests.ferries")).functions.source is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "conversations.tools.functions: ferries.py: no such file; did you mean ferry.py in its folder?"),
        ("def find_ferries(day): 1", "ferries.py has no function find_ferry; did you mean find_ferries?"),
        ("find_ferry = 5", "ferries.py: find_ferry is no function"),
        ("def find_ferry(): 1", "ferries.py: find_ferry takes no day"),
        ("def find_ferry(day, hour): 1", "ferries.py: find_ferry needs hour"),
        ("import nothing_of_that_name", "ferries.py cannot be loaded (ModuleNotFoundError"),
        ("def find_ferry(", "ferries.py cannot be loaded (SyntaxError"),
    ],
)
def test_functions_that_do_not_fit_are_refused_by_the_function(folder, text, said):
    (folder / ("ferries.py" if text else "ferry.py")).write_text(text or GOOD)
    assert said in refusal(functions="ferries.py")


def test_a_module_that_is_not_there_is_refused(folder):
    assert "no_module.here cannot be loaded (ModuleNotFoundError" in refusal(functions="no_module.here")


def test_the_tools_are_played_by_the_model_of_the_respondent_unless_told(folder):
    [one] = endpoints(settings("llm.roles.respondent=big"))
    assert (one.model_for("tool"), one.model_for("judge")) == ("big", "m")
    [one] = endpoints(settings("llm.roles.respondent=big", "llm.roles.tool=small"))
    assert one.model_for("tool") == "small"


def test_a_run_rests_on_what_its_tools_say(folder):
    (folder / "ferries.py").write_text(GOOD)
    chosen = settings(functions="ferries.py")
    before = lasting(chosen)
    assert lasting(settings("conversations.tools.timeout_s=1", functions="ferries.py")) == before
    (folder / "ferries.py").write_text(GOOD + "\n")
    assert [name for name, value in lasting(chosen).items() if value != before[name]] == [
        "conversations.tools.functions"
    ]
    (folder / "tools.json").write_text(json.dumps(TOOLS, indent=1))
    assert lasting(chosen)["conversations.tools.path"] != before["conversations.tools.path"]


def test_dialogues_with_tools_wait_for_no_batch(folder):
    chosen = ["llm.endpoints.0.batch=true", "conversations.max_turns=1"]
    assert not batches_dialogues(settings(*chosen))
    assert batches_dialogues(settings(*chosen, "conversations.strategy=persona", "conversations.tools=null"))


def test_a_plan_counts_the_calls_of_tools_and_says_what_it_assumes(folder):
    (folder / "ferries.py").write_text(GOOD)
    plain = estimate(settings("conversations.strategy=persona", "conversations.tools=null"))
    functions, played = estimate(settings(functions="ferries.py")), estimate(settings())
    assert (functions.calls - plain.calls, played.calls - plain.calls) == (30, 60)
    assert plain.prompt_tokens < functions.prompt_tokens < played.prompt_tokens
    assert "one tool call an exchange, answered by a model" in played.basis and "tool" not in plain.basis
