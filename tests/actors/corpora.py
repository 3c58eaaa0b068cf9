"""Three corpora of equal size: sentences of all sorts, variations of ten of them, and these ten again and again."""

import random
import re
from pathlib import Path

SAMPLES = Path(__file__).parents[2] / "pipelines" / "samples"
EXTRA = [
    "quietly",
    "often",
    "still",
    "now",
    "gladly",
    "once",
    "never",
    "soon",
    "almost",
    "twice",
    "early",
    "late",
    "always",
    "perhaps",
    "indeed",
    "surely",
    "rarely",
    "again",
    "daily",
    "openly",
    "barely",
    "calmly",
    "boldly",
    "wisely",
    "truly",
]


def diverse(count: int) -> list[str]:
    """Sentences of eight to thirty words from the documents that the package ships, some 340."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(SAMPLES.glob("*.txt"))]
    sentences = {
        one.strip() for text in texts for one in re.split(r"(?<=[.!?])\s+", text) if 8 <= len(one.split()) < 30
    }
    return random.Random(0).sample(sorted(sentences), count)


def clustered(count: int) -> list[str]:
    """Each of the ten with another word in it, one of twenty-five."""
    return [_with(one, EXTRA[at // 10 % len(EXTRA)]) for at, one in enumerate(repeated(count))]


def repeated(count: int) -> list[str]:
    return diverse(10) * (count // 10)


def _with(sentence: str, word: str) -> str:
    first, *rest = sentence.split()
    return " ".join([first, word, *rest])
