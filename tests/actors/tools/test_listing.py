import json
from pathlib import Path

import pytest

from actors.logic.tools import read_tools
from cluster.errors import UserError

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def entry(name: object = "weather", description: object = "The weather.", **more: object) -> dict[str, object]:
    return {"type": "function", "function": {"name": name, "description": description} | more}


def refusal(content: object) -> str:
    with pytest.raises(UserError) as caught:
        read_tools(content, "tools.json")
    said = str(caught.value)
    assert said.startswith("tools.json") and "\n" not in said
    return said


def test_a_list_as_openai_has_it_is_read():
    tools = read_tools([entry(parameters=PARAMETERS, strict=True), entry("now")], "tools.json")
    assert [(one.name, one.properties, one.required) for one in tools] == [
        ("weather", ["city"], ["city"]),
        ("now", [], []),
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"tools": []}, "is no list of tools"),
        ("weather", "is no list of tools"),
        ([], "has no tool"),
        ([{"name": "weather"}], "tool 1 must have type: function"),
        ([entry(), {"type": "retrieval"}], "tool 2 must have type: function"),
        ([entry("the weather")], "tool 1: its name must be 1 to 64"),
        ([entry("w" * 65)], "its name must be"),
        ([entry(None)], "its name must be"),
        ([entry(), entry("now"), entry()], "tool 3 is named weather, as tool 1 is"),
        ([entry(description="  ")], "tool 1 (weather) has no description"),
        ([entry(description=None)], "has no description"),
        ([entry(parameters="city")], "type: object"),
        ([entry(parameters={"type": "string"})], "type: object"),
        ([entry(parameters={"type": "object", "properties": {"a": {"type": "text"}}})], "no valid JSON Schema at"),
        ([entry(parameters={"type": "object", "required": "city"})], "no valid JSON Schema at ['required']"),
        ([entry(parameters={"type": "object", "properties": {"a": {"pattern": "(["}}})], "is not a 'regex'"),
        ([entry(parameters={"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}})], "refer to #/$defs/b"),
        ([entry(parameters={"type": "object", "properties": {"a": {"$ref": "http://h/s.json"}}})], "refer to http://"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused_by_the_tool_and_what_is_wrong(content, said):
    assert said in refusal(content)


def test_a_schema_may_refer_to_its_own_definitions():
    parameters = {
        "type": "object",
        "properties": {"at": {"$ref": "#/$defs/place"}, "$ref": {"type": "string"}},
        "$defs": {"place": {"type": "string"}},
    }
    [tool] = read_tools([entry(parameters=parameters)], "tools.json")
    assert tool.properties == ["at", "$ref"]


def test_the_example_of_the_readme_is_a_list_of_tools():
    text = Path("README.md").read_text(encoding="utf-8")
    listed = text.partition("`tools.json`")[2].partition("```json\n")[2].partition("```")[0]
    assert [one.name for one in read_tools(json.loads(listed), "README")] == ["find_ferry", "book_ferry"]
