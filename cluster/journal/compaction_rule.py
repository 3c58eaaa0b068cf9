"""Decides which segments to compact, and when it pays. Knows no file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """It pays from `many` segments under `small_bytes` on, or where `waste` of all bytes is wasted, if no less than
    `least_waste_bytes`. Then small segments and those of which `waste` is wasted become ones of about
    `output_bytes`."""

    small_bytes: int = 32 << 20
    many: int = 64
    waste: float = 0.25
    least_waste_bytes: int = 64 << 20
    output_bytes: int = 1 << 30


@dataclass(frozen=True, slots=True)
class Candidate:
    """A closed segment; `live` of its `lines` (one or more) are answers that the index points at."""

    number: int
    bytes: int
    lines: int
    live: int

    @property
    def wasted(self) -> float:
        """Bytes of duplicates and of lines that are not sound, about."""
        return self.bytes * (1 - self.live / self.lines)


def plan(candidates: Sequence[Candidate], rule: Rule) -> list[list[Candidate]]:
    """Groups, each to become one segment, in the order given; none where it does not pay."""
    small = sum(one.bytes < rule.small_bytes for one in candidates)
    wasted = sum(one.wasted for one in candidates)
    enough_waste = max(rule.least_waste_bytes, rule.waste * sum(one.bytes for one in candidates))
    if small < rule.many and wasted < enough_waste:
        return []
    groups: list[list[Candidate]] = []
    room = 0.0
    for one in candidates:
        if one.bytes >= rule.small_bytes and not _is_wasteful(one, rule):
            continue
        live = one.bytes - one.wasted
        if not groups or live > room:
            groups.append([])
            room = rule.output_bytes
        groups[-1].append(one)
        room -= live
    return [group for group in groups if len(group) > 1 or _is_wasteful(group[0], rule)]


def _is_wasteful(one: Candidate, rule: Rule) -> bool:
    return one.wasted > 0 and one.wasted >= rule.waste * one.bytes
