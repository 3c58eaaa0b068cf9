"""The figures of three corpora of real vectors, which are diverse, clustered and repeated."""

import random
from dataclasses import asdict
from operator import ge, gt, le, lt

import numpy as np
import pytest
from corpora import clustered, diverse, repeated

from actors.encoder import Encoding
from actors.local_encoder import LocalEncoder
from actors.logic.diversity.cells import beside_baseline
from actors.logic.diversity.figures import Figures, Located, Measuring, Samples
from actors.logic.persona import persona_id

COUNT = 250


class Corpus:
    def __init__(self, encoder: LocalEncoder, texts: list[str]) -> None:
        self.rows = [(at % 2, persona_id(str(at), None, text), text) for at, text in enumerate(texts)]
        self.vectors = encoder.encode(texts).astype(np.float16).astype(np.float32)

    def figures(self, shuffled: int | None = None, piece: int = 64, seed: int = 0, logged: int = COUNT):
        """As they are told when personas come in another order; only the first `logged` are in the log."""
        samples, rows = Samples(seed), list(self.rows)
        if shuffled is not None:
            random.Random(shuffled).shuffle(rows)
        for depth, one, text in rows:
            samples.see(depth, one, text)
        at = {one: row for row, (_, one, _) in enumerate(self.rows[:logged])}
        measuring = Measuring(samples, Located(at, self.vectors[:logged].astype(np.float16), np.arange(logged)))
        for start in range(0, logged, piece):
            measuring.see(self.vectors[start : min(start + piece, logged)])
        return measuring.figures()


@pytest.fixture(scope="module")
def corpora() -> list[Corpus]:
    encoder = LocalEncoder(Encoding())
    return [Corpus(encoder, texts(COUNT)) for texts in (diverse, clustered, repeated)]


@pytest.fixture(scope="module")
def told(corpora) -> list[Figures]:
    return [one.figures()[0] for one in corpora]


@pytest.mark.parametrize(
    ("figure", "than_clustered", "than_repeated"),
    [
        (lambda one: one.nearest.median, lt, lt),
        (lambda one: one.nearest.share_from_0_8, lt, le),
        (lambda one: one.nearest.share_from_0_9, lt, le),
        (lambda one: np.average(np.arange(20), weights=one.nearest.histogram), lt, le),
        (lambda one: one.vectors.vendi, gt, gt),
        (lambda one: one.vectors.clusters, gt, ge),
        (lambda one: one.vectors.cluster_entropy, gt, ge),
        (lambda one: one.cells[-1].cells, gt, gt),
        (lambda one: one.texts.distinct_1, gt, gt),
        (lambda one: one.texts.distinct_2, gt, gt),
        (lambda one: one.texts.distinct_3, gt, gt),
        (lambda one: one.texts.compression_ratio, lt, lt),
        (lambda one: round(one.texts.self_bleu, 9), lt, le),
    ],
)
def test_each_figure_tells_diverse_from_clustered_from_repeated(told, figure, than_clustered, than_repeated):
    one, two, three = (figure(of) for of in told)
    assert than_clustered(one, two) and than_repeated(two, three), (one, two, three)


def test_a_repeated_corpus_is_known_by_its_ten_sentences(told):
    *_, repeats = told
    assert repeats.nearest.share_from_0_9 == 1 and repeats.nearest.median == pytest.approx(1, abs=1e-3)
    assert 9 < repeats.vectors.vendi <= 10 == repeats.vectors.clusters == repeats.cells[-1].cells
    assert repeats.texts.self_bleu == pytest.approx(1)


def test_cells_of_a_diverse_corpus_are_more_than_those_of_a_repeated_baseline(corpora):
    one, _, three = corpora
    found = beside_baseline(one.vectors, three.vectors[:100])
    assert found.personas == 100 and found.cells > 4 * found.baseline_cells


def test_figures_do_not_hang_on_the_order_or_on_the_pieces(corpora):
    wanted = corpora[0].figures()
    assert [asdict(one) for one in corpora[0].figures(shuffled=1)] == [asdict(one) for one in wanted]
    for one, other in zip(corpora[0].figures(shuffled=2, piece=17), wanted, strict=True):
        assert (one.texts, one.vectors, one.cells) == (other.texts, other.vectors, other.cells)
        assert one.nearest.median == pytest.approx(other.nearest.median, abs=1e-6)


def test_there_is_one_of_the_run_and_one_of_each_depth(corpora):
    run, *depths = corpora[0].figures()
    assert (run.depth, run.personas) == (None, COUNT)
    assert [(one.depth, one.personas, one.nearest.queries) for one in depths] == [(0, 125, 125), (1, 125, 125)]
    assert run.vectors.cluster_coverage == 1
    assert all(0.4 < one.vectors.cluster_coverage < 0.7 for one in depths), "each has half of singletons"


def test_neighbours_are_looked_for_among_all_depths(corpora):
    *_, repeats = corpora
    _, first, _ = repeats.figures(logged=20)  # the ten twice: each depth has five of them, twice
    assert first.nearest.queries == 10 and first.nearest.median == pytest.approx(1, abs=1e-3)


def test_personas_that_have_no_vector_count_by_their_text_alone(corpora):
    run, *_ = corpora[0].figures(logged=100)
    assert (run.personas, run.nearest.queries, run.vectors.personas, run.cells[-1].personas) == (COUNT, 100, 100, 100)
    assert run.texts == corpora[0].figures()[0].texts


def test_without_vectors_the_texts_are_told_of():
    samples = Samples(0)
    for at, text in enumerate(diverse(30)):
        samples.see(0, f"{at:024x}", text)
    for one in Measuring(samples, None).figures():
        assert one.texts.texts == 30 and (one.nearest, one.vectors, one.cells) == (None, None, [])


def test_one_persona_has_no_neighbour():
    samples = Samples(0)
    samples.see(0, "a" * 24, "A nurse from Leeds.")
    vectors = np.eye(1, 8, dtype=np.float32)
    measuring = Measuring(samples, Located({"a" * 24: 0}, vectors.astype(np.float16), np.array([0])))
    measuring.see(vectors)
    run, only = measuring.figures()
    assert (run.nearest, run.vectors, run.texts, run.cells[-1].cells) == (None, None, None, 1)
    assert (only.depth, only.personas) == (0, 1)
