"""A population: blocks of variables that hang on one another without a cycle, and people drawn from it.

A block is P(its variables | its parents): a marginal, a joint table, a conditional table, or a spread of numbers.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from actors.logic.sampling import derived_rng
from actors.logic.variables.laws import Law, Outcomes, Spread, Value
from cluster.errors import UserError

_MOST_STATES = 200_000

When = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """The law of `names` for each combination of the values of `given`. `source` is where it was read."""

    names: tuple[str, ...]
    given: tuple[str, ...]
    laws: Mapping[When, Law]
    source: str


@dataclass(frozen=True, slots=True)
class Population:
    """Blocks in an order in which parents come first. `names` are the variables as they were declared."""

    blocks: tuple[Block, ...]
    names: tuple[str, ...]

    def draw(self, seed: int, index: int) -> dict[str, Value]:
        """Person number `index`: the same traits whoever draws them, and whoever else is drawn."""
        rng = derived_rng(seed, "traits", index)
        traits: dict[str, Value] = {}
        for block in self.blocks:
            law = block.laws[tuple(str(traits[parent]) for parent in block.given)]
            traits.update(zip(block.names, law.draw(rng), strict=True))
        return {name: traits[name] for name in self.names}

    def domains(self) -> dict[str, tuple[str, ...]]:
        """The values of the variables that are no numbers."""
        owners = {name: block for block in self.blocks for name in block.names}
        found = {name: _values(owners[name], name) for name in self.names}
        return {name: tuple(sorted(values)) for name, values in found.items() if values is not None}


def population(blocks: Iterable[Block]) -> Population:
    """The population of these blocks; `UserError` naming what they contradict each other in."""
    declared = list(blocks)
    owners = _owners(declared)
    if not owners:
        raise UserError("there are no variables; name at least one")
    for block in declared:
        _check_names(block, owners)
    ordered = _ordered(declared, owners)
    for block in ordered:
        _check_values(block, owners)
        _check_cases(block, ordered)
    return Population(tuple(ordered), tuple(owners))


def _owners(blocks: Sequence[Block]) -> dict[str, Block]:
    """Which block each variable is drawn by."""
    owners: dict[str, Block] = {}
    for block in blocks:
        for name in block.names:
            if name in owners:
                raise UserError(
                    f"{block.source} and {owners[name].source} both hold the variable {name}; where one hangs on the "
                    f"other, name its column given:{name}"
                )
            owners[name] = block
    return owners


def _check_names(block: Block, owners: Mapping[str, Block]) -> None:
    for parent in block.given:
        if parent not in owners:
            raise UserError(f"{block.source}: {parent} is no variable{_near(parent, owners)}")


def _check_values(block: Block, owners: Mapping[str, Block]) -> None:
    for at, parent in enumerate(block.given):
        known = _values(owners[parent], parent)
        if known is None:
            raise UserError(
                f"{block.source}: {parent} is a number, which nothing can hang on; make it categories such as 18-24"
            )
        for when in block.laws:
            if when[at] not in known:
                raise UserError(f"{block.source}: {parent} has no value {when[at]}{_near(when[at], known)}")


def _values(block: Block, name: str) -> set[str] | None:
    """The values that a variable of the block may have; None where it is a number."""
    at = block.names.index(name)
    if any(isinstance(law, Spread) for law in block.laws.values()):
        return None
    return {values[at] for law in block.laws.values() if isinstance(law, Outcomes) for values in law.values}


def _near(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else ""


def _ordered(blocks: Sequence[Block], owners: Mapping[str, Block]) -> list[Block]:
    """Parents first, else as declared; `UserError` with the path of a cycle."""
    done: list[Block] = []
    under_way: list[tuple[str, Block]] = []

    def visit(name: str) -> None:
        block = owners[name]
        if block in done:
            return
        if any(one is block for _, one in under_way):
            start = next(at for at, (_, one) in enumerate(under_way) if one is block)
            path = [one for one, _ in under_way[start:]]
            raise UserError(f"{block.source}: the variables form a cycle: {' → '.join([*path, path[0]])}")
        under_way.append((name, block))
        for parent in block.given:
            visit(parent)
        under_way.pop()
        done.append(block)

    for block in blocks:
        visit(block.names[0])
    return done


def _check_cases(block: Block, ordered: Sequence[Block]) -> None:
    """`UserError` where a combination of parents that can occur has no law."""
    for when in _reachable(block, ordered) if block.given else ():
        if when not in block.laws:
            told = ", ".join(f"{name} {value}" for name, value in zip(block.given, when, strict=True))
            raise UserError(f"{block.source}: {', '.join(block.names)} has no row for {told}, which can occur")


def _reachable(block: Block, ordered: Sequence[Block]) -> set[When]:
    """The combinations of the block's parents that can occur, found by going through its ancestors in their order and
    keeping of each state what is still asked for."""
    chain = _ancestors(block, ordered)
    columns: list[str] = []
    states: set[When] = {()}
    for at, one in enumerate(chain):
        asked = {*block.given, *(parent for later in chain[at + 1 :] for parent in later.given)}
        kept = [name for name in (*columns, *one.names) if name in asked]
        reached: set[When] = set()
        for state in states:
            known = dict(zip(columns, state, strict=True))
            law = one.laws[tuple(known[parent] for parent in one.given)]
            for values in law.possible() if isinstance(law, Outcomes) else [("",)]:
                now = known | dict(zip(one.names, values, strict=True))
                reached.add(tuple(now[name] for name in kept))
            if len(reached) > _MOST_STATES:
                raise UserError(f"{block.source}: what {', '.join(block.names)} hangs on has too many combinations")
        columns, states = kept, reached
    order = [columns.index(parent) for parent in block.given]
    return {tuple(state[at] for at in order) for state in states}


def _ancestors(block: Block, ordered: Sequence[Block]) -> list[Block]:
    wanted = set(block.given)
    chain: list[Block] = []
    for one in reversed(ordered):
        if wanted.intersection(one.names):
            chain.append(one)
            wanted.update(one.given)
    return chain[::-1]
