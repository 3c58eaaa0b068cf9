"""Whether what a run starts finds room in a cluster. Knows no Ray: nodes are what they have in all, by resource."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

_NEAR = 1e-6


@dataclass(frozen=True, slots=True)
class Node:
    """What a node has in all, whoever uses it, and its labels."""

    resources: Mapping[str, float]
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Want:
    """So many processes of a kind, and what each of them takes."""

    who: str
    count: int
    each: Mapping[str, float]
    labels: Mapping[str, str] = field(default_factory=dict)


def homeless(wants: Iterable[Want], nodes: Sequence[Node]) -> list[Want]:
    """Those of the wanted that find no place on empty nodes, each put where it fits first, the picky ones first."""
    left = [(dict(node.resources), node.labels) for node in nodes]
    missing: list[Want] = []
    for want in sorted(wants, key=lambda one: (-len(one.each) - len(one.labels), -sum(one.each.values()))):
        placed = sum(_place(want, left) for _ in range(want.count))
        if placed < want.count:
            missing.append(Want(want.who, want.count - placed, want.each, want.labels))
    return missing


def _place(want: Want, left: Sequence[tuple[dict[str, float], Mapping[str, str]]]) -> bool:
    for free, labels in left:
        fits = all(free.get(name, 0.0) + _NEAR >= amount for name, amount in want.each.items() if amount)
        if fits and all(labels.get(name) == value for name, value in want.labels.items()):
            for name, amount in want.each.items():
                free[name] = free.get(name, 0.0) - amount
            return True
    return False


def told(missing: Sequence[Want], nodes: Sequence[Node]) -> str:
    """Who finds no place, and what there is of what they want."""
    names = dict.fromkeys(name for one in missing for name in one.each)
    totals = Counter[str]()
    for node in nodes:
        totals.update({name: node.resources.get(name, 0.0) for name in names})
    there = ", ".join(f"{name} {totals[name]:g}" for name in names)
    labelled = dict.fromkeys(f"{name}={value}" for one in missing for name, value in one.labels.items())
    with_labels = [
        f"{sum(node.labels.get(label.partition('=')[0]) == label.partition('=')[2] for node in nodes)} with {label}"
        for label in labelled
    ]
    count = f"{len(nodes)} node{'s' * (len(nodes) != 1)}"
    return f"no room for {'; '.join(map(_one, missing))}; the cluster has {', '.join([there, *with_labels])} on {count}"


def _one(want: Want) -> str:
    each = [f"{name} {amount:g}" for name, amount in want.each.items() if amount]
    each += [f"{name}={value}" for name, value in want.labels.items()]
    return f"{want.count} × {want.who} of {' and '.join(each)}"
