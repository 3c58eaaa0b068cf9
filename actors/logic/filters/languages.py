"""Which language a text is in, as far as that can be told; by langid.py's model (Lui and Baldwin 2012)."""

from __future__ import annotations

from collections.abc import Sequence

NAMES = {
    "arabic": "ar",
    "bengali": "bn",
    "bulgarian": "bg",
    "catalan": "ca",
    "chinese": "zh",
    "croatian": "hr",
    "czech": "cs",
    "danish": "da",
    "dutch": "nl",
    "english": "en",
    "estonian": "et",
    "finnish": "fi",
    "french": "fr",
    "german": "de",
    "greek": "el",
    "hebrew": "he",
    "hindi": "hi",
    "hungarian": "hu",
    "indonesian": "id",
    "italian": "it",
    "japanese": "ja",
    "korean": "ko",
    "latvian": "lv",
    "lithuanian": "lt",
    "malay": "ms",
    "norwegian": "no",
    "persian": "fa",
    "polish": "pl",
    "portuguese": "pt",
    "romanian": "ro",
    "russian": "ru",
    "serbian": "sr",
    "slovak": "sk",
    "slovenian": "sl",
    "spanish": "es",
    "swahili": "sw",
    "swedish": "sv",
    "tamil": "ta",
    "thai": "th",
    "turkish": "tr",
    "ukrainian": "uk",
    "urdu": "ur",
    "vietnamese": "vi",
}
_KIN = (
    frozenset({"no", "nb", "nn", "da"}),
    frozenset({"hr", "sr", "bs"}),
    frozenset({"id", "ms"}),
    frozenset({"zh", "yue", "wuu"}),
    frozenset({"hi", "ur", "mr", "ne"}),
)
_WORDS = {  # frequent in one language and rare in others: three of them spare a look at the model
    "de": "der die das und mit eine einer ist für sich auf nicht",
    "en": "the who and with from her his their about for that after",
    "es": "el los las que con una por su para sus como del",
    "fr": "les des est une qui dans pour avec sur ses aux du",
    "it": "che per della con gli nel una del sono il suo di",
    "nl": "het een van die met voor zijn haar niet ook naar uit",
    "pl": "się jest która który dla oraz przez nie jej jego w z",
    "pt": "que uma com para dos das seu sua por não em os",
    "ru": "и в на с который которая из по за его её что",
}
_TELLING = {code: frozenset(words.split()) for code, words in _WORDS.items()}
_ENOUGH, _NONE = 3, frozenset[str]()
_LEAST_CHARACTERS = 40  # below that nothing is told
_UNDECIDED = 25.0  # nats: another language within that distance of the likeliest might be meant as well
_READ = 400  # characters


def language_of(text: str) -> str:
    """The code (ISO 639) of the likeliest language; empty where the text is too short to tell or several are as
    likely."""
    part = text[:_READ]
    if len(part.encode()) < _LEAST_CHARACTERS:
        return ""
    (first, best), (_, second), *_ = _ranked(part)
    return str(first) if best - second >= _UNDECIDED else ""


def is_in(text: str, words: Sequence[str], code: str) -> bool:
    """Whether the text, of these words, may be in this language."""
    if len(text.encode()) < _LEAST_CHARACTERS or len(_TELLING.get(code, _NONE).intersection(words)) >= _ENOUGH:
        return True
    ranked = dict(_ranked(text[:_READ]))
    best, codes = max(ranked.values()), next((kin for kin in _KIN if code in kin), frozenset({code}))
    return any(best - ranked.get(one, float("-inf")) < _UNDECIDED for one in codes) or code not in ranked


def _ranked(text: str) -> list[tuple[str, float]]:
    """Languages and their log-likelihoods, the likeliest first."""
    import py3langid  # its model takes a second to load

    found: list[tuple[str, float]] = py3langid.rank(text)
    return found


def code_of(name: str) -> str:
    """The code of a language by its English name or code; empty where it is neither."""
    folded = name.strip().casefold()
    return NAMES.get(folded, folded if folded in NAMES.values() else "")
