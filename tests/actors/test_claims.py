"""What a text says of its person, says not, or says of somebody else."""

from __future__ import annotations

import pytest

from actors.logic.claims import claimed, mentions

REST = " He is a man of the north who works in the hills."


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        ("Joran owns land.", "owns_land", "owns land"),
        ("Joran, owner of 3 acres of land, is here.", "owns_land", "owner of 3 acres of land"),
        ("In the end he saved his land.", "owns_land", "his land"),
        ("She has three children.", "has_children", "has three children"),
        ("She has a child.", "children", "has a child"),
        ("Eira, a married weaver, sells cloth.", "married", "a married"),
        ("She is happily married.", "is_married", "is happily married"),
        ("Not only is he married, he is old.", "married", "is he married"),
        ("He speaks Latin.", "speaks_latin", "speaks latin"),
    ],
)
def test_what_holds_of_the_person_now_is_a_claim(text, name, words):
    assert claimed(text + REST, name) == words


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Joran does not own any land.", "owns_land"),
        ("Joran doesn't own land, but owns a house.", "owns_land"),
        ("This is known of Joran: owns land: no, married yes.", "owns_land"),
        ("This is known of Joran: owns land no, married yes.", "owns_land"),
        ("Joran works the land of his lord.", "owns_land"),
        ("He has worked the land for years.", "owns_land"),
        ("He owns his tools and pays the landlord.", "owns_land"),
        ("His father owned land.", "owns_land"),
        ("He hopes to have land of his own.", "owns_land"),
        ("He had owned land in the south.", "owns_land"),
        ("She is unmarried.", "married"),
        ("She has never been married.", "married"),
        ("She is a childless widow.", "has_children"),
        ("He sings to the children.", "has_children"),
        ("He owns a house, speaks little, and knows no Latin.", "speaks_latin"),
        ("Anything at all.", "owns"),
    ],
)
def test_what_is_denied_hoped_for_past_or_of_others_is_none(text, name):
    assert claimed(text + REST, name) == ""


def test_other_languages_make_no_claims():
    assert claimed("Er besitzt kein Land, und sie besitzt Land.", "besitzt_land") == ""


def test_words_are_mentioned_undenied_or_denied():
    assert list(mentions("A farmer who owns no land, unlike the landlord.", ["land"])) == [False, True]
    assert list(mentions("Unmarried, illiterate and landless.", ["married", "literate", "land"])) == [False] * 3
    assert list(mentions("She rents at the university in the union town.", ["university", "union"])) == [True, True]
