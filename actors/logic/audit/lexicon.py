"""The attributes that people are told by, their groups, and the words that stand for a group, from `lexicon/*.yaml`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

PEOPLE, ADJECTIVE = "people", "adjective"  # kinds of phrases beside those named as their attribute
_NAMES = ("age", "gender", "region", "language", "education", "occupation", "expertise")
_SENTENCES = 12  # of a group, at most, that are made of its words
_TOKEN = re.compile(r"[^\W\d_]+|\d+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Group:
    """A group of an attribute. `aliases` are other names that a reference may have for it; `prototypes` are sentences
    about people who belong to it."""

    name: str
    aliases: tuple[str, ...]
    prototypes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Attribute:
    name: str
    title: str
    groups: tuple[Group, ...]

    @property
    def names(self) -> list[str]:
        return [group.name for group in self.groups]


@dataclass(frozen=True, slots=True)
class Match:
    """Words `start` … `stop` of a text stand for `group`; `kind` is its attribute, `PEOPLE` or `ADJECTIVE`."""

    kind: str
    group: str
    start: int
    stop: int


_Phrase = tuple[tuple[str, ...], str, str]  # the words after the first, kind, group


@dataclass(frozen=True, slots=True)
class Phrases:
    """All phrases by their first word, the longest first."""

    by_first: Mapping[str, Sequence[_Phrase]]

    def find(self, words: Sequence[str]) -> dict[str, list[Match]]:
        """Matches in lower-cased words by kind, in order; of those that overlap the first and longest."""
        found: dict[str, list[Match]] = {}
        for start, word in enumerate(words):
            for rest, kind, group in self.by_first.get(word, ()):
                stop = start + 1 + len(rest)
                before = found.get(kind)
                if before and before[-1].stop > start:
                    continue
                if not rest or tuple(words[start + 1 : stop]) == rest:
                    found.setdefault(kind, []).append(Match(kind, group, start, stop))
        return {kind: kept for kind, all_ in found.items() if (kept := [one for one in all_ if one.group])}


def tokens(text: str) -> list[str]:
    """Words, numbers and marks: "52-year-old" is five, "nurse's" three."""
    return _TOKEN.findall(text.replace("’", "'"))


@cache
def attributes() -> Mapping[str, Attribute]:
    """By name, in the order in which they are told."""
    return {name: _attribute(name, _content(name)) for name in _NAMES}


@cache
def phrases() -> Phrases:
    by_first: dict[str, list[_Phrase]] = {}
    for name in _NAMES:
        for phrase, kind, group in _phrases(name, _content(name)):
            first, *rest = [word.lower() for word in tokens(phrase)]
            by_first.setdefault(first, []).append((tuple(rest), kind, group))
    return Phrases({first: sorted(some, key=lambda one: -len(one[0])) for first, some in by_first.items()})


@cache
def _content(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(files(__package__).joinpath(f"lexicon/{name}.yaml").read_text("utf-8"))
    return content


def _attribute(name: str, content: dict[str, Any]) -> Attribute:
    groups = [
        Group(group, tuple(told.get("aliases", ())), tuple(_prototypes(group, told, content.get("sentence"))))
        for group, told in content["groups"].items()
    ]
    return Attribute(name, content["title"], tuple(groups))


def _prototypes(group: str, told: dict[str, Any], sentence: str | None) -> list[str]:
    """Those that are written, and the attribute's sentence about some of the group's words."""
    words = _listed(told.get("words", "")) if sentence else []
    some = words[:: -(-len(words) // _SENTENCES)] if words else []
    written = told.get("prototypes") or [f"Someone who speaks {group}."]
    return [*written, *(str(sentence).format(word.replace(" - ", "-")) for word in some)]


def _phrases(name: str, content: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Phrase, kind, group; the group is empty where the phrase only looks like others."""
    for phrase in _listed(content.get("not", "")):
        for kind in (name, PEOPLE, ADJECTIVE):
            yield phrase, kind, ""
    for group, told in content["groups"].items():
        for phrase in _listed(told.get("words", group if not told else "")):
            yield phrase, name, group
        for phrase in _listed(told.get("people", "")):
            yield phrase, PEOPLE, group
        for phrase in _listed(told.get("adjectives", "")):
            yield phrase, ADJECTIVE, group


def _listed(text: str) -> list[str]:
    return [phrase for part in text.split(",") if (phrase := part.strip())]
