"""What a model is held to when it names random variables is what is read as such."""

import jsonschema
import pytest

from actors.logic.variables import Variables
from actors.logic.variables.answer_schema import answer_schema

SCHEMA = answer_schema(1, 3)
SEX = {"name": "sex", "kind": "categorical", "values": ["female", "male"], "probabilities": [0.5, 0.5]}
AGE = {"name": "age", "kind": "numerical", "distribution": "normal", "mean": 38, "sd": 14, "decimals": 0} | {
    "min": 16,
    "max": None,
}
LAND = {"name": "land", "kind": "binary", "given": ["sex"]} | {
    "cases": [{"when": [one], "probabilities": [0.2, 0.8]} for one in ("female", "male")]
}


def test_variables_of_each_kind_fit_and_are_read():
    answer = {"variables": [SEX, AGE, LAND]}
    jsonschema.validate(answer, SCHEMA)
    assert [one.name for one in Variables.model_validate(answer).variables] == ["sex", "age", "land"]


@pytest.mark.parametrize(
    "wrong",
    [
        SEX | {"mean": 4},
        {name: value for name, value in AGE.items() if name != "distribution"},
        AGE | {"kind": "binary"},
        LAND | {"probabilities": [0.5, 0.5]},
        {name: value for name, value in LAND.items() if name != "cases"},
    ],
    ids=["a mean of words", "no distribution", "numbers that are yes or no", "laws at two places", "no cases"],
)
def test_fields_that_a_kind_has_not_do_not_fit(wrong):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"variables": [wrong]}, SCHEMA)


def test_as_many_variables_fit_as_were_asked_for():
    for count in (0, 4):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"variables": [SEX] * count}, SCHEMA)
