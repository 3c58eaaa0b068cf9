import subprocess
import sys
import unicodedata

import pytest

from actors.logic.document import BadDocument, cut, digest, document, document_id, given_persona, normalise
from cluster.errors import FailureKind


def test_the_same_text_has_the_same_id_whatever_its_line_ends_space_and_unicode_form():
    texts = ["Café\nau lait", "  Café\r\nau lait\n", unicodedata.normalize("NFD", "Café\nau lait"), "\0Café\rau lait"]
    assert {document_id(text) for text in texts} == {document_id(texts[0])}
    assert len(document_id(texts[0])) == 24
    assert document_id(texts[0]) != document_id("Café au lait")


def test_a_given_id_is_kept_as_it_is():
    assert document_id("any text", "doc 7") == "doc 7"


def test_the_id_is_that_of_the_whole_text_so_that_another_cut_keeps_it():
    text = "One sentence. " * 100
    assert document(text, None, "a", 50).document_id == document(text, None, "a", 5000).document_id


def test_the_digest_is_64_bits_and_the_same_in_another_process():
    code = "from actors.logic.document import digest; print(digest('doc-1'))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(other.stdout) == digest("doc-1")
    assert 0 <= digest("doc-1") < 2**64
    assert len({digest(str(number)) % 8 for number in range(100)}) == 8


def test_a_document_tells_its_length_before_it_was_cut():
    made = document("One sentence. Another one.", None, "a.txt", 20)
    assert (made.text, made.characters, made.truncated, made.source) == ("One sentence.", 26, True, "a.txt")
    whole = document("One sentence.", None, "a.txt", 20)
    assert (whole.text, whole.characters, whole.truncated) == ("One sentence.", 13, False)


@pytest.mark.parametrize("text", ["", "  \r\n\t", "\0\0", "\u3000"])
def test_a_blank_text_makes_no_document(text):
    made = document(text, "7", "a.jsonl:3", 100)
    assert isinstance(made, BadDocument)
    assert (made.source, made.kind) == ("a.jsonl:3", FailureKind.EMPTY_DOCUMENT)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("First one here.\n\nSecond one. It goes on and on.", "First one here."),
        ("First one here.\r\n \r\nSecond one. It goes on and on.", "First one here."),
        ("A first sentence. A second that goes on and on.", "A first sentence."),
        ('He said "a first thing." Then he went on and on.', 'He said "a first thing."'),
        ("Version 3.14 is the one they use most there", "Version 3.14 is the one"),
        ("words without any end to them in sight", "words without any end to"),
        ("x" * 40, "x" * 24),
        ("这是第一句话。" * 4, "这是第一句话。" * 3),
    ],
)
def test_a_text_is_cut_at_a_paragraph_else_a_sentence_else_a_word(text, kept):
    assert cut(text, 24) == (kept, True)


def test_a_heading_alone_is_not_what_is_kept_of_a_document():
    kept, _ = cut("Title\n\n" + "A sentence of the body. " * 20, 100)
    assert len(kept) > 50
    assert kept.endswith("body.")


def test_a_text_is_never_longer_than_allowed_and_whole_where_it_fits():
    text = "A few words. " * 20 + "\n\n" + "More of them! " * 20
    for size in range(1, len(text) + 5):
        kept, truncated = cut(text, size)
        assert 0 < len(kept) <= size
        assert truncated == (kept != text.strip())


def test_what_no_file_can_hold_is_taken_out_of_a_text():
    assert normalise("a\0b \ud800 c") == "ab \ufffd c"
    assert normalise("\ud83d\ude00") == "😀"
    assert document_id("text", "\ud800") == "\ufffd"


# --- personas that were given


def test_a_given_persona_is_one_line_and_has_the_id_of_it():
    made = given_persona("  A baker\r\n in\tParis, who  rises early. ", None, "hub.jsonl:1")
    assert (made.text, made.source) == ("A baker in Paris, who rises early.", "hub.jsonl:1")
    assert (made.characters, made.truncated) == (len(made.text), False)
    assert made.document_id == given_persona(made.text, None, "other.parquet#7").document_id
    assert given_persona(made.text, "p-1", "hub.jsonl:1").document_id == "p-1"


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("", FailureKind.EMPTY_DOCUMENT, "the persona is empty"),
        (" \n\0", FailureKind.EMPTY_DOCUMENT, "the persona is empty"),
        ("A baker.", FailureKind.NO_PERSONA, "shorter than a persona, which has 3 words at least"),
        ("A baker. " * 120, FailureKind.NO_PERSONA, "longer than a persona, which has 1,000 characters at most"),
        ("word " * 20_000, FailureKind.NO_PERSONA, "longer than a persona, which has 1,000 characters at most"),
        (
            f"A baker{' ' * 200_000}in Paris",
            FailureKind.NO_PERSONA,
            "longer than a persona, which has 1,000 characters",
        ),
    ],
)
def test_a_text_that_is_no_persona_makes_none_and_is_told_why(text, kind, said):
    made = given_persona(text, "p-1", "hub.jsonl:3")
    assert isinstance(made, BadDocument)
    assert (made.source, made.kind) == ("hub.jsonl:3", kind)
    assert made.message.startswith(said)


@pytest.mark.parametrize("text", ["巴黎的一位面包师", "A baker in Paris " + "who rises early " * 61, "一" * 1000])
def test_a_persona_is_known_in_any_script_and_never_cut(text):
    made = given_persona(text, None, "hub.jsonl:1")
    assert (made.text, made.truncated) == (text.strip(), False)
