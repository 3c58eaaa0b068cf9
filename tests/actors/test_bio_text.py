"""What a bio or backstory is held to: one sentence, so many words, and the traits of its person."""

from __future__ import annotations

import pytest

from actors.logic.bio_text import BioKind, fault, said, sentences, unsaid, words

TRAITS = {"age": 34, "work": "weaver", "owns_land": "yes", "married": "no", "age_group": "30-44"}
STORY = "Word " * 200


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


def test_a_bio_of_two_sentences_is_told_so():
    assert "2 sentences" in fault("A weaver lives here today. She has land and sheep.", BioKind.BIO)
    assert fault("A weaver of 34 lives here with her sheep.", BioKind.BIO) == ""


@pytest.mark.parametrize(("count", "fits"), [(149, False), (150, True), (250, True), (251, False)])
def test_a_backstory_has_150_to_250_words(count, fits):
    said_of_it = fault("word " * count, BioKind.BACKSTORY)
    assert (said_of_it == "") is fits and (fits or f"{count} words" in said_of_it)


def test_traits_are_found_by_number_spelled_number_range_stem_and_name():
    assert unsaid("A weaver of 34 who owns land.", TRAITS) == []
    assert unsaid("A thirty-four-year-old, known for weaving on her land.", TRAITS) == []
    assert unsaid("A fisherman of 52.", TRAITS) == ["age: 34", "work: weaver", "owns_land: yes", "age_group: 30-44"]
    assert unsaid("He rents a room.", {"home": "owns"}) == ["home: owns"]
    assert unsaid("She earns 12,400 a year.", {"income": 12400}) == []


def test_what_leaves_no_trace_is_not_looked_for():
    assert said("Anything at all.", {"married": "no", "children": "none"}) == 1.0


def test_a_text_that_shows_less_than_half_of_the_traits_is_told_which_it_lacks():
    told = fault("A weaver who sails around the cold northern islands.", BioKind.BIO, TRAITS)
    assert "age: 34" in told and "owns_land: yes" in told and "work" not in told
    assert fault("A 34-year-old weaver who sails around the islands.", BioKind.BIO, TRAITS) == ""


DOMAINS = {"sex": ("female", "male"), "home": ("owns", "rents"), "paid": ("no", "yes"), "age": ("18-24", "65+")}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Joran, a female smith of 21 who rents a room, is here.", "sex: male, but it says female"),
        ("Joran, a male smith of 21 with a female boss, rents a room.", ""),
        ("Joran, a smith of 21 who rents a room, is a young man.", ""),
        ("Joran, no longer a male of 21, says yes and owns a forge.", "home: rents, but it says owns"),
    ],
)
def test_another_value_in_the_place_of_a_trait_is_a_contradiction(text, told):
    traits = {"sex": "male", "home": "rents", "age": "18-24", "work": "smith", "paid": "no"}
    assert told in fault(text, BioKind.BIO, traits, DOMAINS) and bool(told) == bool(
        fault(text, BioKind.BIO, traits, DOMAINS)
    )
