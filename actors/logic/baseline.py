"""The call that a corpus is held against: the model is asked for people, without a document and without a parent."""

from __future__ import annotations

from dataclasses import dataclass

from actors.logic.persona import Granularity, read_personas
from actors.logic.persona_call import ONE_PERSON, TOKENS_PER_PERSON, json_object
from actors.logic.sampling import derived_rng
from actors.prompts import load, render
from cluster.chat import ChatModel, ChatRequest, Role


@dataclass(frozen=True, slots=True)
class BaselineCall:
    """Call `number` of so many equal ones, which differ by their seeds alone; a `PersonaCall` in all else."""

    number: int
    per_call: int
    granularity: Granularity
    seed: int
    one_per_request: bool = False

    @property
    def item_id(self) -> str:
        return f"baseline/{self.number}"

    async def run(self, chat: ChatModel) -> list[str]:
        """The people of one answer, at most `per_call`; too few are not asked for again."""
        answer = await chat.answer(self.request())
        return [one.text for one in read_personas(answer.text)][: self.per_call]

    def request(self) -> ChatRequest:
        """The prompt is the same for each number, as is the temperature of a persona call."""
        person: dict[str, object] = {"type": "string"}
        if self.one_per_request:
            messages = render(load("baseline_one"))
            schema = json_object({"persona": person | {"pattern": ONE_PERSON}})
        else:
            messages = render(
                load("baseline"), count=str(self.per_call), detail=load(f"detail_{self.granularity}").text
            )
            people = {"type": "array", "items": json_object({"persona": person})}
            schema = json_object({"personas": people | {"minItems": self.per_call, "maxItems": self.per_call}})
        return ChatRequest(
            role=Role.PERSONA,
            messages=messages,
            item=self.item_id,
            max_tokens=TOKENS_PER_PERSON[self.granularity] * self.per_call + 60,
            temperature=0.5 if self.one_per_request else 0.9,
            seed=derived_rng(self.seed, self.item_id).getrandbits(31),
            schema=schema,
        )


def baseline_calls(
    people: int, per_call: int, granularity: Granularity, seed: int, one_per_request: bool
) -> list[BaselineCall]:
    """As many calls as bring so many people, when each brings all that it is asked for."""
    each = 1 if one_per_request else per_call
    return [BaselineCall(number, each, granularity, seed, one_per_request) for number in range(-(-people // each))]
