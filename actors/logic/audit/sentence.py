"""A description as the rules see it: its words, where its opening ends, and which words stand for which groups."""

from __future__ import annotations

from dataclasses import dataclass

from actors.logic.audit.grammar import head_of, is_own
from actors.logic.audit.lexicon import Match, phrases, tokens


@dataclass(frozen=True, slots=True)
class Evidence:
    """The group that a text puts its person in, and the words that say so, which are those from `start` to `stop`."""

    group: str
    words: str
    start: int
    stop: int

    def overlaps(self, other: Evidence) -> bool:
        return self.start < other.stop and other.start < self.stop


@dataclass(frozen=True, slots=True)
class Sentence:
    """`raw` as it is written, `words` in lower case; `head` is the first word after the opening."""

    raw: list[str]
    words: list[str]
    head: int
    matches: dict[str, list[Match]]

    def of(self, kind: str) -> list[Match]:
        return self.matches.get(kind, [])

    def is_own(self, at: int) -> bool:
        return is_own(self.words, self.head, at)

    def starts(self, *kinds: str) -> set[int]:
        return {match.start for kind in kinds for match in self.of(kind)}

    def own_stops(self) -> set[int]:
        """Where words that name the person end."""
        named = (*self.of("occupation"), *self.of("gender"))
        return {match.stop for match in named if self.is_own(match.start)}

    def is_capital(self, at: int) -> bool:
        return at < len(self.raw) and self.raw[at][0].isupper()

    def evidence(self, group: str, start: int, stop: int) -> Evidence:
        words = " ".join(self.raw[start:stop]).replace(" - ", "-").replace(" ' ", "'")
        return Evidence(group, words, start, stop)

    def by(self, match: Match) -> Evidence:
        return self.evidence(match.group, match.start, match.stop)


def read(text: str) -> Sentence:
    raw = tokens(text)
    words = [word.lower() for word in raw]
    return Sentence(raw, words, head_of(words), phrases().find(words))
