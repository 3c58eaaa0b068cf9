"""The program that asks for the random variables of a simulation."""

from __future__ import annotations

import asyncio
import json
import math

import pytest

from actors.logic.variables import blocks, population
from actors.logic.variables_call import VariablesCall
from cluster.chat import ChatRequest, ScriptedChat
from cluster.errors import CallFailed, FailureKind

NUMBERS = {"name": "age", "kind": "numerical", "distribution": "normal", "mean": 38, "sd": 14, "min": 16, "max": 80}
GOOD = {
    "variables": [
        {"name": "sex", "kind": "categorical", "values": ["female", "male"], "probabilities": [0.51, 0.49]},
        NUMBERS,
        {
            "name": "work",
            "kind": "categorical",
            "given": ["sex"],
            "values": ["weaver", "farmer"],
            "cases": [
                {"when": ["female"], "probabilities": [0.7, 0.3]},
                {"when": ["male"], "probabilities": [0.2, 0.8]},
            ],
        },
        {
            "name": "owns_land",
            "kind": "binary",
            "given": ["work"],
            "cases": [{"when": ["weaver"], "probabilities": [0.2]}, {"when": ["farmer"], "probabilities": [0.9]}],
        },
        {
            "name": "income",
            "kind": "numerical",
            "given": ["owns_land"],
            "cases": [
                {"when": [owns], "distribution": "lognormal", "mean": mean, "sd": 150}
                for owns, mean in (("yes", 900), ("no", 400))
            ],
        },
    ]
}


def ask(*answers: object) -> tuple[list, list[ChatRequest]]:
    asked: list[ChatRequest] = []

    def script(request: ChatRequest) -> str:
        asked.append(request)
        answer = answers[min(len(asked), len(answers)) - 1]
        return answer if isinstance(answer, str) else json.dumps(answer)

    return asyncio.run(VariablesCall("Mars", 0, "m").run(ScriptedChat(script))), asked


def changed(at: int, **values: object) -> dict:
    variables = [dict(one) for one in GOOD["variables"]]
    variables[at] |= values
    return {"variables": variables}


UNFIT = changed(0, probabilities=[0.51, 0.29])


@pytest.mark.parametrize("shares", [[0.5, 0.49], [0.45, 0.45], [0.6, 0.5]])
def test_variables_come_back_as_a_population_whose_probabilities_sum_to_1(shares):
    rough = changed(0, probabilities=shares)
    found, [request] = ask(rough)
    assert math.isclose(sum(found[0].probabilities), 1, abs_tol=2e-6)
    assert set(population(blocks(found, "")).draw(0, 0)) == {"sex", "age", "work", "owns_land", "income"}
    assert request.model == "m" and "Mars" in request.messages[-1]["content"] and request.schema


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (UNFIT, "the probabilities sum to 0.8"),
        (changed(2, given=["owns_land"]), "cycle: work → owns_land → work"),
        (changed(2, given=["gender"]), "gender is no variable"),
        (changed(0, values=[], probabilities=[]), "sex has no values"),
        (changed(4, given=["age"]), "age is a number"),
        ("These are the variables: sex, age and work.", "no JSON object"),
        ({"variables": []}, "variables"),
    ],
    ids=["sum", "cycle", "unknown", "no values", "number", "prose", "none"],
)
def test_what_does_not_fit_is_named_to_the_model_which_may_mend_it(wrong, said):
    found, asked = ask(wrong, GOOD)
    assert len(found) == 5 and len(asked) == 2
    assert said in asked[1].messages[-1]["content"]


def test_a_model_that_never_fits_them_together_is_given_up():
    with pytest.raises(CallFailed) as caught:
        ask(UNFIT)
    assert caught.value.kind is FailureKind.MALFORMED and "sum to 0.8" in caught.value.message
