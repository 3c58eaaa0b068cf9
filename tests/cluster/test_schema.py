import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

import jsonschema
import pytest
from pydantic import BaseModel, Field

from cluster.schema import in_words, schema_text, strict_schema, with_schema


class Mood(StrEnum):
    GLAD = "glad"
    SAD = "sad"


class Trait(BaseModel):
    name: Annotated[str, Field(min_length=2, max_length=40, description="one word")]
    weight: Annotated[float, Field(ge=0, le=1)] = 0.5


class Person(BaseModel):
    name: str
    mood: Mood
    sort: Literal["seed", "grown"] = "seed"
    traits: Annotated[list[Trait], Field(min_length=1, max_length=3)]
    wish: str | None = None
    site: Annotated[str, Field(pattern=r"^https?://", json_schema_extra={"format": "uri"})] = "http://a"


class Kin(BaseModel):
    name: str
    children: list["Kin"] = []


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Home(BaseModel):
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]


BOUNDS = {"multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems"}
SHAPES = {"type", "anyOf", "properties", "required", "additionalProperties", "items", "$ref", "$defs"}
KNOWN = BOUNDS | SHAPES | {"description", "enum", "const", "pattern", "format"}


def parts(schema: object) -> list[Mapping[str, Any]]:
    """Every schema in a schema, itself included."""
    if not isinstance(schema, Mapping):
        return [part for one in schema for part in parts(one)] if isinstance(schema, list) else []
    inner = [*schema.get("properties", {}).values(), *schema.get("$defs", {}).values()]
    inner += [schema[name] for name in ("items", "anyOf") if name in schema]
    return [schema, *(part for one in inner for part in parts(one))]


@pytest.mark.parametrize("shape", [Person, Kin, Home, Trait])
def test_a_strict_schema_names_and_requires_everything_and_has_no_unknown_keyword(shape):
    schema = strict_schema(shape)
    jsonschema.Draft202012Validator.check_schema(schema)
    for part in parts(schema):
        assert set(part) <= KNOWN, part
        if "properties" in part:
            assert part["required"] == list(part["properties"]) and part["additionalProperties"] is False
        if "$ref" in part:
            assert set(part) == {"$ref"}
    assert schema["type"] == "object"


def test_what_strict_endpoints_can_check_is_kept():
    schema = strict_schema(Person)
    assert schema["properties"]["traits"] | {"items": 0} == {"type": "array", "items": 0, "minItems": 1, "maxItems": 3}
    assert schema["properties"]["site"] == {"type": "string", "pattern": "^https?://"}
    assert schema["$defs"]["Mood"] == {"type": "string", "enum": ["glad", "sad"]}
    assert schema["$defs"]["Trait"]["properties"]["name"] == {"type": "string", "description": "one word"}


def test_a_shape_that_fits_is_taken_and_another_is_not():
    fits = {"name": "Ada", "mood": "glad", "sort": "seed", "traits": [{"name": "shy", "weight": 1}], "wish": None}
    jsonschema.validate(fits | {"site": "http://b"}, strict_schema(Person))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(fits, strict_schema(Person))


def test_a_shape_that_holds_itself_is_an_object_at_its_root():
    jsonschema.validate({"name": "Eve", "children": [{"name": "Abel", "children": []}]}, strict_schema(Kin))


class Free(BaseModel):
    scores: dict[str, int]


class Anything(BaseModel):
    value: Any


class Pair(BaseModel):
    both: tuple[int, str]


@pytest.mark.parametrize(("shape", "place"), [(Free, "Free.scores"), (Anything, "Anything.value"), (Pair, "Pair.both")])
def test_what_a_strict_schema_cannot_say_is_named(shape, place):
    with pytest.raises(TypeError, match=place):
        strict_schema(shape)


# --- in a prompt

USER = {"role": "user", "content": "Who are you?"}
SCHEMA = strict_schema(Trait)


def test_the_last_message_asks_for_the_schema():
    system = {"role": "system", "content": "You answer."}
    before, last = with_schema([system, USER], SCHEMA)
    assert before is system
    assert last["content"].startswith("Who are you?\n\n") and "JSON" in last["content"]
    assert json.loads(last["content"].splitlines()[-1]) == SCHEMA


@pytest.mark.parametrize(
    "told", [f"Answer in JSON: {schema_text(SCHEMA)}", 'Answer in JSON: {"name": "…", "weight": 0.5}', in_words(SCHEMA)]
)
def test_a_prompt_that_tells_the_shape_is_left_alone(told):
    messages = [USER | {"content": told}]
    assert with_schema(messages, SCHEMA) is messages
    assert with_schema([*messages, {"role": "assistant", "content": "no"}, USER], SCHEMA)[-1] is USER


@pytest.mark.parametrize("told", [schema_text(SCHEMA), 'Answer in JSON: {"name": "…"}', "the name and weight, in JSON"])
def test_a_prompt_that_tells_but_half_of_it_is_not(told):
    assert len(with_schema([USER | {"content": told}], SCHEMA)[-1]["content"]) > len(told)


def test_asking_twice_asks_once():
    once = with_schema([USER], SCHEMA)
    assert with_schema(once, SCHEMA) is once


def test_after_the_models_own_words_a_message_is_added():
    messages = [USER, {"role": "assistant", "content": "I am"}]
    assert [one["role"] for one in with_schema(messages, SCHEMA)] == ["user", "assistant", "user"]
