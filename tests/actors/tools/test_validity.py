import pickle

import pytest

from actors.logic.tools import ToolKit, read_tools, why_invalid
from actors.logic.tools.content import MOST_CHARACTERS, content_of, error_of
from cluster.tool_calls import ToolCall

PLACE = {"type": "object", "properties": {"lat": {"type": "number"}}, "required": ["lat"]}
PARAMETERS = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "minLength": 2},
        "days": {"type": "integer", "maximum": 7},
        "at": {"$ref": "#/$defs/place"},
    },
    "required": ["city"],
    "additionalProperties": False,
    "$defs": {"place": PLACE},
}
LISTED = [
    {"type": "function", "function": {"name": "get_weather", "description": "The weather.", "parameters": PARAMETERS}},
    {"type": "function", "function": {"name": "now", "description": "The time."}},
]
TOOLS = read_tools(LISTED, "tools")


def why(name: str, arguments: str) -> str:
    return why_invalid(ToolCall("c", name, arguments), TOOLS)


@pytest.mark.parametrize("arguments", ['{"city": "Oban"}', '{"city": "Oban", "days": 3, "at": {"lat": 56.4}}'])
def test_a_call_that_fits_has_no_fault(arguments):
    assert why("get_weather", arguments) == "" == why("now", "{}")


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("weather", "{}", "there is no tool 'weather'; there are get_weather, now; did you mean get_weather?"),
        ("", "Oban", "cannot be read"),
        ("now", "{", "no JSON"),
        ("now", '{"a": NaN}', "NaN is no JSON number"),
        ("now", "[" * 100_000, "no JSON"),
        ("now", "[]", "must be a JSON object"),
        ("get_weather", "{}", "'city' is a required property"),
        ("get_weather", '{"city": 5}', "city: 5 is not of type 'string'"),
        ("get_weather", '{"city": "Oban", "days": 8}', "days: 8 is greater than the maximum"),
        ("get_weather", '{"city": "Oban", "town": 1}', "Additional properties"),
        ("get_weather", '{"city": "Oban", "at": {"lat": "north"}}', "at.lat: 'north' is not of type 'number'"),
    ],
)
def test_a_call_that_does_not_is_told_what_is_wrong(name, arguments, said):
    assert said in why(name, arguments)


def test_what_is_told_is_short_however_long_the_arguments():
    assert len(why("get_weather", '{"city": ' + '["x"],' * 9 + f'"x": "{"y" * 50_000}"}}')) < 1000
    assert len(why("get_weather", f'{{"city": [{", ".join(["1"] * 20_000)}], "days": "{"y" * 9999}"}}')) < 1000


def test_a_kit_is_the_same_after_a_journey_between_processes():
    kit = ToolKit('[{"type": "function", "function": {"name": "now", "description": "The time."}}]')
    assert kit.tools[0].name == "now"
    assert pickle.loads(pickle.dumps(kit)) == kit


def test_results_are_json_and_texts_stay_as_they_are():
    assert content_of({"sky": "grey", "C": [1, None]}) == '{"sky": "grey", "C": [1, null]}'
    assert content_of("déjà") == "déjà"
    assert error_of("KeyError: 'a'") == '{"error": "KeyError: \'a\'"}'
    with pytest.raises(ValueError):
        content_of(float("nan"))
    with pytest.raises(TypeError):
        content_of({1, 2})


def test_a_result_that_is_too_long_is_cut_and_says_so():
    told = content_of(["x" * 100_000])
    assert len(told) < MOST_CHARACTERS + 60
    assert told.endswith("(cut: 20,000 of 100,004 characters)")
