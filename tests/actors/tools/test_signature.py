import pytest

from actors.logic.tools import Tool
from actors.logic.tools.signature import why_unfit

TOOL = Tool("find", "Finds.", {"type": "object", "properties": {"a": {}, "b": {}}, "required": ["a"]})


async def waits(a, b=None):
    return a


@pytest.mark.parametrize(
    "function",
    [lambda a, b=1: 0, lambda *, a, b=1: 0, lambda **any_: 0, lambda a, **rest: 0, lambda a, b=1, c=2: 0, waits],
)
def test_a_function_that_takes_what_the_schema_lets_through_fits(function):
    assert why_unfit(function, TOOL) == ""


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (5, "is no function"),
        (lambda a: 0, "takes no b"),
        (lambda: 0, "takes no a, b"),
        (lambda a, b: 0, "needs b, but the tool does not require it"),
        (lambda a, c, b=1: 0, "needs c, which the tool's parameters do not have"),
        (lambda a, /, b=1, **rest: 0, "takes a by position alone"),
    ],
)
def test_a_function_that_does_not_is_told_by_the_argument(function, said):
    assert said in why_unfit(function, TOOL)
