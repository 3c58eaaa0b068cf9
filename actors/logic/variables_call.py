"""The program that asks a model for the random variables of a simulation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, model_validator

from actors.logic.sampling import derived_rng
from actors.logic.variables import Variable, Variables, blocks, population
from actors.logic.variables.answer_schema import answer_schema
from actors.prompts import load, render
from cluster.chat import ChatModel, ChatRequest, Role
from cluster.errors import CallFailed, FailureKind, UserError
from cluster.structured import ask_for

TRIES = 2  # each with its correction turn
ROUGH = 0.11  # by which a model's probabilities may miss 1: many add badly, and what they mean are weights
_TOKENS, _TOKENS_SMALL = 3_000, 1_200
_LEAST, _MOST, _MOST_SMALL = 3, 12, 6
_AGAIN = (FailureKind.MALFORMED, FailureKind.EMPTY, FailureKind.TRUNCATED)


class _Answer(Variables):
    variables: Annotated[list[Variable], Field(min_length=1)]

    @model_validator(mode="after")
    def _make_a_population(self) -> _Answer:
        try:
            population(blocks(self.variables, "", ROUGH))
        except UserError as error:
            raise ValueError(str(error)) from None
        return self


@dataclass(frozen=True, slots=True)
class VariablesCall:
    """Variables for a description, checked as a user's own are."""

    description: str
    seed: int
    model: str | None = None
    small_model: bool = False

    @property
    def item_id(self) -> str:
        return "variables"

    async def run(self, chat: ChatModel) -> list[Variable]:
        """Their probabilities sum to 1 as written. Raises `CallFailed` when no try brought variables that fit."""
        for attempt in range(1, TRIES + 1):
            try:
                answer = await ask_for(chat, self._request(attempt), _Answer)
                return [_rounded(one) for one in answer.value.variables]
            except CallFailed as failure:
                if failure.kind not in _AGAIN or attempt == TRIES:
                    raise
        raise AssertionError("unreachable")

    def _request(self, attempt: int) -> ChatRequest:
        place = f"variables/{attempt}"
        return ChatRequest(
            role=Role.PERSONA,
            messages=render(load("random_variables"), description=self.description),
            item=place,
            max_tokens=_TOKENS_SMALL if self.small_model else _TOKENS,
            temperature=0.6,
            seed=derived_rng(self.seed, place).getrandbits(31),
            schema=answer_schema(_LEAST, _MOST_SMALL if self.small_model else _MOST),
            model=self.model,
        )


def _rounded(variable: Variable) -> Variable:
    """With probabilities that sum to 1 within the rounding that a table is allowed."""
    cases = [one.model_copy(update={"probabilities": _shares(one.probabilities)}) for one in variable.cases]
    return variable.model_copy(update={"probabilities": _shares(variable.probabilities), "cases": cases})


def _shares(probabilities: list[float]) -> list[float]:
    if len(probabilities) < 2:
        return probabilities
    return [round(one / sum(probabilities), 6) for one in probabilities]
