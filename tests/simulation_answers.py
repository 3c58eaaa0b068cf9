"""What the tests' model server answers about the people of simulations: variables, traits, bios and backstories.

Reads what is asked for from the schema, or from the end of the prompt, and the traits from between their tags.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

Choose = Callable[[list[str]], str]

_BY_WORD = re.compile(r'JSON alone: \{"(\w+)"')
_TRAITS = re.compile(r"<traits>\n(.*?)\n</traits>", re.DOTALL)
_PERSON = re.compile(r"<person>\n(.*?)\n</person>", re.DOTALL)

FIRST_NAMES = ["Eira", "Tomas", "Aiko", "Lindiwe", "Joran", "Maren", "Pavel", "Sunita"]
_EVENTS = [
    "In the years after the flood the family moved twice, and each time it began anew with what it could carry.",
    "An old neighbour taught the child to read the sky, and later to keep accounts that nobody could dispute.",
    "There was a winter in which nothing arrived from outside, and everybody learned what a friend is worth.",
    "What looked like bad luck at first turned out to be the reason for everything that came later.",
    "A letter from a cousin changed the plan, and the road led back to where it had started.",
    "Since then the days have been much alike, which is a comfort more often than it is a burden.",
    "On market days strangers ask for advice, and most of them come back to say that it was good.",
    "Some evenings there is music, and then even the quarrels of the morning are forgotten for a while.",
]


def about_people(texts: list[str], schema: dict[str, Any] | None, choose: Choose, fault: str) -> object:
    """The value for one of our questions, None for any other. Of the faults, `unfit` and `deaf` are known here:
    variables that contradict each other, and a text that shows no trait; `short` makes texts of half the length."""
    asked = set(schema.get("properties", {}) if schema else _BY_WORD.findall(texts[-1][-300:]))
    whole = "\n".join(texts)
    if asked == {"variables"}:
        return {"variables": _variables(choose, fault)}
    if asked == {"traits"} and (person := _PERSON.search(whole)):
        return {"traits": _traits_of(person[1])}
    if asked == {"more"}:
        return {"more": " ".join(_EVENTS)}
    if asked in ({"bio"}, {"backstory"}) and (traits := _TRAITS.search(whole)):
        told = [] if fault == "deaf" else [line.partition(": ")[::2] for line in traits[1].splitlines()]
        bio = _bio(told, choose)
        if asked == {"bio"}:
            return {"bio": bio}
        return {"backstory": " ".join([bio, *_story(choose, 90 if fault == "short" else 190)])}
    return None


def _bio(traits: list[tuple[str, str]], choose: Choose) -> str:
    shown = ", ".join(f"{name} {value}" for name, value in traits) or "nothing that anybody knows of"
    return f"{choose(FIRST_NAMES)} is known here for the following, as everybody in the place will tell you: {shown}."


def _story(choose: Choose, words: int) -> list[str]:
    told: list[str] = []
    while len(" ".join(told).split()) < words - 20:
        told.append(choose(_EVENTS))
    return told


def _traits_of(person: str) -> list[dict[str, str]]:
    """What stands in the description: the words from its beginning, three at a time."""
    words = re.findall(r"\w+", person)
    names = ["who", "what", "where", "how"]
    found = [" ".join(words[at : at + 3]) for at in range(0, min(12, len(words)), 3)]
    return [{"name": name, "value": value} for name, value in zip(names, found, strict=False)]


def _law(**given: object) -> dict[str, object]:
    none = {"values": [], "probabilities": [], "distribution": None, "mean": None, "sd": None, "min": None, "max": None}
    return none | {"decimals": 0} | given


def _variables(choose: Choose, fault: str) -> list[dict[str, object]]:
    """Five variables, three of which hang on others; for `unfit` two hang on each other, or do not sum to 1."""
    first = choose(["weaver", "smith", "healer"])
    variables = [
        {"name": "sex", "kind": "categorical", "given": [], "cases": []}
        | _law(values=["female", "male"], probabilities=[0.51, 0.49]),
        {"name": "age", "kind": "numerical", "given": [], "cases": []}
        | _law(distribution="normal", mean=38, sd=14, min=16, max=80),
        {"name": "work", "kind": "categorical", "given": ["sex"]}
        | {
            "cases": [
                {"when": ["female"]} | _law(values=[first, "miller", "farmer"], probabilities=[0.5, 0.2, 0.3]),
                {"when": ["male"]} | _law(values=[first, "miller", "farmer"], probabilities=[0.2, 0.3, 0.5]),
            ]
        }
        | _law(),
        {"name": "owns_land", "kind": "binary", "given": ["work"]}
        | {
            "cases": [
                {"when": [work]} | _law(probabilities=shares)
                for work, shares in ((first, [0.2, 0.8]), ("miller", [0.5, 0.5]), ("farmer", [0.9, 0.1]))
            ]
        }
        | _law(),
        {"name": "yearly_income", "kind": "numerical", "given": ["owns_land"]}
        | {
            "cases": [
                {"when": ["yes"]} | _law(distribution="lognormal", mean=900, sd=300),
                {"when": ["no"]} | _law(distribution="lognormal", mean=400, sd=150),
            ]
        }
        | _law(),
    ]
    if fault == "unfit":
        variables[0]["probabilities"] = [0.51, 0.29]
    return variables
