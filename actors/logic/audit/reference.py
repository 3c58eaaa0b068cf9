"""A table that the personas are held against: how the groups of one attribute, or of several together, are spread."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from actors.logic.audit.lexicon import Attribute, attributes
from actors.logic.variables import Block
from actors.logic.variables.laws import Outcomes
from cluster.errors import UserError


@dataclass(frozen=True, slots=True)
class Reference:
    """Shares that sum to 1 of combinations of groups, one group for each of `attributes`. `source` is where it was
    read."""

    source: str
    attributes: tuple[str, ...]
    shares: Mapping[tuple[str, ...], float]


def reference(block: Block) -> Reference:
    """The reference in a table whose columns are attributes; `UserError` naming what no attribute or group is."""
    if block.given:
        raise UserError(
            f"{block.source}: given:{block.given[0]} is of no use here; give the shares of all groups together"
        )
    found = [_attribute(name, block.source) for name in block.names]
    law = block.laws[()]
    if not isinstance(law, Outcomes):
        raise UserError(f"{block.source}: {', '.join(block.names)} has no groups")
    shares: dict[tuple[str, ...], float] = {}
    before = 0.0
    for values, reached in zip(law.values, law.running, strict=True):
        groups = tuple(_group(one, value, block.source) for one, value in zip(found, values, strict=True))
        if groups in shares:
            raise UserError(f"{block.source} has {', '.join(groups)} twice; leave one out")
        shares[groups] = reached - before
        before = reached
    if len(shares) < 2:
        raise UserError(f"{block.source} has a single group ({', '.join(next(iter(shares)))}); name at least two")
    return Reference(block.source, tuple(one.name for one in found), shares)


def references(blocks: Iterable[Block]) -> list[Reference]:
    """As `reference`; `UserError` where two are of the same attributes."""
    kept: dict[frozenset[str], Reference] = {}
    for one in map(reference, blocks):
        if (before := kept.setdefault(frozenset(one.attributes), one)) is not one:
            raise UserError(
                f"{one.source} and {before.source} are both of {' and '.join(one.attributes)}; leave one out"
            )
    return list(kept.values())


def _attribute(name: str, source: str) -> Attribute:
    known = attributes()
    for one in known.values():
        if _plain(name) in (one.name, _plain(one.title)):
            return one
    raise UserError(f"{source}: {name} is no attribute that personas are audited by{_nearest(name, list(known))}")


def _group(attribute: Attribute, value: str, source: str) -> str:
    names = {_plain(name): group.name for group in attribute.groups for name in (group.name, *group.aliases)}
    if found := names.get(_plain(value)):
        return found
    said = _nearest(value, attribute.names)
    raise UserError(f"{source}: {value} is no group of {attribute.name}{said}")


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("–", "-").replace("_", " ").split())


def _nearest(name: str, known: Sequence[str]) -> str:
    """The nearest name and all there are."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return (f"; did you mean {close[0]}?" if close else "") + f" (there are: {', '.join(known)})"
