"""Prototypes are trusted where words agree with them, and nowhere else."""

import numpy as np
import pytest

from actors.logic.audit.lexicon import attributes
from actors.logic.audit.prototypes import prototype_figures, sentences

SIZE = 256


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def owners():
    return [
        (name, group.name)
        for name, attribute in attributes().items()
        for group in attribute.groups
        for _ in group.prototypes
    ]


def corpus(count, noise, seed=0, told=0.5):
    """People near a prototype of a gender each, of `told` of whom words say it; the prototypes; the true genders."""
    rng = np.random.default_rng(seed)
    prototypes = unit(rng.standard_normal((len(sentences()), SIZE)))
    groups = ["woman", "man", "nonbinary"]
    at = {group: owners().index(("gender", group)) for group in groups}
    truth = [groups[rng.integers(3)] for _ in range(count)]
    vectors = unit(prototypes[[at[one] for one in truth]] + noise * rng.standard_normal((count, SIZE)))
    labels = [{"gender": one} if rng.random() < told else {} for one in truth]
    return prototypes, vectors, labels, truth


def gender(figures):
    return next(one for one in figures if one.attribute == "gender")


def test_who_is_near_a_prototype_is_put_there_and_it_is_said_how_often_that_is_right():
    prototypes, vectors, labels, truth = corpus(1000, noise=0.05)
    found = gender(prototype_figures(prototypes, vectors, labels))
    assert found.why_not == "" and found.said == sum(map(len, labels))
    for one in found.groups:
        assert one.is_trusted and one.agreed / one.nearest > 0.95 and one.bounds.low > 0.9
        unsaid = sum(who == one.group and not label for who, label in zip(truth, labels, strict=True))
        assert one.added == pytest.approx(unsaid, rel=0.15)


def test_where_the_nearest_is_no_better_than_chance_nobody_is_put_anywhere():
    prototypes, vectors, labels, _ = corpus(1000, noise=0.05)
    rng = np.random.default_rng(9)
    mixed = [{"gender": ["woman", "man", "nonbinary"][rng.integers(3)]} if one else {} for one in labels]
    found = gender(prototype_figures(prototypes, vectors, mixed))
    assert found.why_not and not any(one.added for one in found.groups)


def test_an_attribute_that_words_hardly_tell_is_not_tried():
    prototypes, vectors, labels, _ = corpus(100, noise=0.05, told=0.2)
    found = gender(prototype_figures(prototypes, vectors, labels))
    assert "people only" in found.why_not and found.groups == []


def test_places_and_titles_of_the_lexicon_are_prototypes_too():
    assert "Someone in Algeria." in sentences() and "A soldier." in sentences()
    assert 150 < len(sentences()) < 500


def test_there_is_a_figure_for_each_attribute():
    prototypes, vectors, labels, _ = corpus(100, noise=0.05)
    assert [one.attribute for one in prototype_figures(prototypes, vectors, labels)] == list(attributes())
