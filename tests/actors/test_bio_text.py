"""What a bio or backstory is held to: one sentence, so many words, and the traits of its person."""

from __future__ import annotations

import pytest

from actors.logic.bio_text import BioKind, fault, may_go_on, said, unsaid

TRAITS = {"age": 34, "work": "weaver", "owns_land": "yes", "married": "no", "age_group": "30-44"}
STORY = "Word " * 200


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


LANDLESS = {"age": 34, "work": "weaver", "owns_land": "no"}


@pytest.mark.parametrize(
    ("traits", "text", "told"),
    [
        ({"owns_land": "no"}, "owns land", "owns_land: no, but it says owns land"),
        ({"owns_land": "no"}, "does not own land", ""),
        ({"owns_land": "no"}, "works the land of a lord", ""),
        ({"owns_land": "no"}, "has no land but saved her land", "owns_land: no, but it says her land"),
        ({"owns_land": "yes"}, "owns no land", "owns_land: yes, but it says the contrary"),
        ({"owns_land": "yes"}, "had no land as a girl and now owns land", ""),
        ({"married": "no"}, "is married", "married: no, but it says is married"),
        ({"married": "yes"}, "is unmarried", "married: yes, but it says the contrary"),
        ({"children": "none"}, "has 3 children", "children: none, but it says has 3 children"),
    ],
)
def test_a_text_that_turns_yes_and_no_round_will_not_do(traits, text, told):
    of_it = fault(f"Eira is a weaver of 34 who {text}.", BioKind.BIO, {"age": 34, "work": "weaver"} | traits)
    assert of_it == (f"the bio contradicts these traits: {told}" if told else "")


def test_what_is_not_so_counts_as_said_where_it_is_denied_and_not_where_it_is_claimed():
    assert said("Eira, 34, weaves and is landless.", LANDLESS) == 1
    assert unsaid("Eira, a weaver of 34, is the one who owns land.", LANDLESS) == ["owns_land: no"]
    assert said("Eira, 34, weaves.", LANDLESS) == 1, "nothing is said of land"
    assert unsaid("Eira, 34, weaves.", LANDLESS, what_is_not=True) == ["owns_land: no"]
    assert said("She has no children.", {"children": 0}) == 1


def test_a_gender_is_said_by_the_small_words_that_most_of_a_text_has():
    assert said("Joran is a smith. His mother fears that he is her last son.", {"sex": "male"}) == 1
    assert unsaid("Joran is a smith. She sells her nails.", {"sex": "male"}) == ["sex: male"]
    assert unsaid("Joran is a smith who sells nails.", {"sex": "male"}) == ["sex: male"]


def test_a_value_that_is_denied_is_not_said():
    assert unsaid("Joran is no weaver.", {"work": "weaver"}) == ["work: weaver"]
    assert unsaid("He came from the north to study.", {"school": "no schooling"}) == ["school: no schooling"]
    assert unsaid("He came without any schooling.", {"school": "no schooling"}) == []


@pytest.mark.parametrize(
    ("text", "goes_on"),
    [("Eira is a weaver of 34.", True), ("A smith.", False), ("", False), ("A weaver of 34. " * 60, False)],
    ids=["short", "traits", "empty", "long"],
)
def test_only_length_may_be_missing_to_a_backstory_that_goes_on(text, goes_on):
    assert may_go_on(text, BioKind.BACKSTORY, {"age": 34, "work": "weaver"}) is goes_on
    assert not may_go_on(text, BioKind.BIO)


DOMAINS = {"sex": ("female", "male"), "home": ("owns", "rents"), "paid": ("no", "yes"), "age": ("18-24", "65+")}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Joran, a female smith of 21 who rents a room, is here.", "sex: male, but it says female"),
        ("Joran, a male smith of 21 with a female boss, rents a room.", ""),
        ("Joran, a smith of 21 who rents a room, is a young man.", ""),
        ("Joran, a male of 21, says yes and owns a forge.", "home: rents, but it says owns"),
    ],
)
def test_another_value_in_the_place_of_a_trait_is_a_contradiction(text, told):
    traits = {"sex": "male", "home": "rents", "age": "18-24", "work": "smith", "paid": "no"}
    assert told in fault(text, BioKind.BIO, traits, DOMAINS) and bool(told) == bool(
        fault(text, BioKind.BIO, traits, DOMAINS)
    )
