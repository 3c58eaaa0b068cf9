"""Words and sentences are counted, and texts put together of whole sentences."""

from __future__ import annotations

import pytest

from actors.logic.prose import continued, cut, sentences, words


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("A weaver of 34 lives in Inverness.", 1),
        ("Dr. J. R. Patel, who has 2.5 acres near St. Ives, sells wool.", 1),
        ("She weaves. He farms.", 2),
        ("“Enough!” she said. Then she left", 2),
        ("彼女は織工です。彼は農夫です。", 2),
        ("वह बुनकर है। वह किसान है।", 2),
        ("", 0),
    ],
)
def test_sentences_are_counted_where_titles_and_numbers_end_none(text, count):
    assert sentences(text) == count


def test_words_are_counted_in_scripts_that_do_not_part_them_too():
    assert words("a well-known weaver, aged 34") == 6
    assert 90 <= words("彼女は村の織工です" * 20) <= 110


def test_a_text_is_continued_by_the_sentences_that_it_does_not_hold_yet():
    begun = "Eira is a weaver. Dr. Hale taught her."
    assert continued(begun, "Eira is a weaver. She left! She left! ") == f"{begun} She left!"
    assert continued("彼女は織工です。", "彼女は織工です。彼は農夫です。") == "彼女は織工です。 彼は農夫です。"
    again = "She has long been fond of the stories of the town. She has long been fond of the tales of the town."
    assert continued(begun, again) == f"{begun} She has long been fond of the stories of the town."
    assert continued("", "She left.") == "She left."


def test_a_text_is_cut_after_the_last_whole_sentence_that_fits():
    text = "One two three. Four five. Six seven eight."
    assert [cut(text, most) for most in (8, 7, 5, 4, 2)] == [
        text,
        *["One two three. Four five."] * 2,
        "One two three.",
        text,
    ]
