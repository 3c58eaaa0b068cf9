"""The small English words by which a claim is told from a denial, a hope, a memory, or what is said of others."""

from __future__ import annotations


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


DENYING = _set(
    "not no never without nor neither none cannot lack lacks lacked lacking t isnt doesnt didnt wasnt hasnt hadnt dont "
    "wont cant"
)
HAS = _set("has have had having")
OWNS = _set("own owns owned owning owner holds held possesses got")
WITH = _set("his her their with")
IS = _set("is are was were be been being am s became becomes becoming remains now a an")
GENDERS = {"male": _set("he his him himself man boy"), "female": _set("she her herself woman girl")}

APART = _set("to in on for from by at as about")
APART_FROM_WITH = APART | _set("the of")

OTHERS = _set(
    "father mother parents brother sister son daughter husband wife uncle aunt family lord lady master neighbour "
    "neighbours neighbor neighbors friend friends grandfather grandmother king church abbey couple people others"
)
NOT_NOW = _set(
    "hope hopes hoped hoping dream dreams dreamed dreamt dreaming wish wishes wished want wants wanted if would could "
    "might should will someday once used former formerly until lost sold promised before"
)
ENGLISH = _set("the and of is was who with has in a")
