from actors.logic.words import words


def test_words_are_those_of_the_normal_form_in_order():
    assert words("A nurse, from Leeds: a NURSE!") == ["a", "nurse", "from", "leeds", "a", "nurse"]


def test_scripts_without_spaces_have_a_word_a_character():
    assert words("在医院 Leeds") == ["在", "医", "院", "leeds"]


def test_a_text_of_signs_has_no_words():
    assert words("… 🙂") == []
