"""Rules that end a generation, each with its reason. They are asked after every part that is written, so a little more
may be made than a rule asks for."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Iterable, Sequence
from typing import Any

from cluster.errors import UserError
from pipelines.hooks import GenerationState


class BaseStoppingCallback:
    """A rule. It runs in the process of the script, never in two threads at a time."""

    def should_stop(self, state: GenerationState) -> bool | Awaitable[bool]:
        """Whether this is enough. May be a coroutine function. What it raises ends the generation."""
        raise NotImplementedError(f"{type(self).__name__} has no should_stop")

    def __str__(self) -> str:
        """What it says, as a reason."""
        return f"{type(self).__name__} says stop"


class FixedNumberStoppingCallback(BaseStoppingCallback):
    """After `n` conversations, exactly."""

    def __init__(self, n: int) -> None:
        self.n = _count(n, "n")

    def should_stop(self, state: GenerationState) -> bool:
        return state.num_generated >= self.n

    def __str__(self) -> str:
        return f"{self.n:,} conversations are there"


class PersonaUsageStoppingCallback(BaseStoppingCallback):
    """After `n_personas` different personas have spoken."""

    def __init__(self, n_personas: int) -> None:
        self.n_personas = _count(n_personas, "n_personas")

    def should_stop(self, state: GenerationState) -> bool:
        return state.personas_used >= self.n_personas

    def __str__(self) -> str:
        return f"{self.n_personas:,} personas have spoken"


class ContextCoverageStoppingCallback(BaseStoppingCallback):
    """After this share of the documents (0…1) was talked about."""

    def __init__(self, coverage_threshold: float = 1.0) -> None:
        self.coverage_threshold = _share(coverage_threshold, "coverage_threshold")

    def should_stop(self, state: GenerationState) -> bool:
        return state.documents > 0 and state.documents_covered >= self.coverage_threshold * state.documents

    def __str__(self) -> str:
        return f"{self.coverage_threshold:.0%} of the documents were talked about"


class BudgetStoppingCallback(BaseStoppingCallback):
    """After so many dollars (of models with a price) or tokens. It looks at what has been spent, unlike
    `llm.budget_usd`, which no call exceeds."""

    def __init__(
        self,
        max_usd: float | None = None,
        max_total_tokens: int | None = None,
        max_prompt_tokens: int | None = None,
        max_completion_tokens: int | None = None,
    ) -> None:
        self.limits = (max_usd, max_total_tokens, max_prompt_tokens, max_completion_tokens)
        if not any(one is not None for one in self.limits):
            raise UserError("BudgetStoppingCallback has no limit; give it max_usd, or a number of tokens")

    def should_stop(self, state: GenerationState) -> bool:
        both = state.prompt_tokens + state.completion_tokens
        spent = (state.cost_usd, both, state.prompt_tokens, state.completion_tokens)
        return any(limit is not None and used >= limit for limit, used in zip(self.limits, spent, strict=True))

    def __str__(self) -> str:
        return "the budget of BudgetStoppingCallback is spent"


class ErrorRateStoppingCallback(BaseStoppingCallback):
    """Once more than this share of at least `min_samples` dialogues failed."""

    def __init__(self, max_error_rate: float = 0.5, min_samples: int = 100) -> None:
        self.max_error_rate = _share(max_error_rate, "max_error_rate")
        self.min_samples = _count(min_samples, "min_samples")

    def should_stop(self, state: GenerationState) -> bool:
        tried = state.num_generated + state.num_failed
        return tried >= self.min_samples and state.num_failed > self.max_error_rate * tried

    def __str__(self) -> str:
        return f"more than {self.max_error_rate:.0%} of the dialogues failed"


class _Several(BaseStoppingCallback):
    def __init__(self, callbacks: Iterable[BaseStoppingCallback]) -> None:
        self.callbacks = list(callbacks)
        if not self.callbacks:
            raise UserError(f"{type(self).__name__} has no rule; give it a list of them")

    def _answers(self, state: GenerationState) -> list[bool]:
        return [asked(one, state) for one in self.callbacks]


class AndStoppingCallback(_Several):
    """Once all of these say so at the same time."""

    def should_stop(self, state: GenerationState) -> bool:
        return all(self._answers(state))

    def __str__(self) -> str:
        return " and ".join(map(str, self.callbacks))


class OrStoppingCallback(_Several):
    """Once one of these says so, as a list of rules does by itself."""

    def should_stop(self, state: GenerationState) -> bool:
        return any(self._answers(state))

    def __str__(self) -> str:
        return " or ".join(map(str, self.callbacks))


class Rules:
    """Rules side by side, as a run asks them."""

    def __init__(self, rules: Sequence[BaseStoppingCallback]) -> None:
        self._rules, self.said = rules, ""

    def __bool__(self) -> bool:
        return bool(self._rules)

    def __call__(self, state: GenerationState) -> str:
        """Why the run is to end; empty where it is not."""
        self.said = next((str(one) for one in self._rules if asked(one, state)), "")
        return self.said


def asked(rule: BaseStoppingCallback, state: GenerationState) -> bool:
    """What the rule says, whether it is a coroutine function or not."""
    answer: Any = rule.should_stop(state)
    return bool(asyncio.run(_awaited(answer)) if inspect.isawaitable(answer) else answer)


async def _awaited(answer: Awaitable[bool]) -> bool:
    return await answer


def _count(value: int, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UserError(f"{name} must be a whole number of at least 1, got {value!r}")
    return value


def _share(value: float, name: str) -> float:
    if not 0 <= value <= 1:
        raise UserError(f"{name} must be in [0, 1], got {value!r}")
    return value
