import random

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding

from actors.encoder import DEFAULT_MODEL, Backend, Encoding, Precision, unit
from actors.local_encoder import LocalEncoder, locate
from cluster.errors import Halt, UserError

TEXTS = ["a nurse in Accra", "a judge"]
WORDS = ("harbour", "teacher", "bicycle", "antibiotics", "night", "a", "of", "Ouagadougou", "the", "repairs")


@pytest.fixture(scope="module")
def encoder() -> LocalEncoder:
    return LocalEncoder(Encoding())


@pytest.fixture(scope="module")
def original() -> SentenceTransformer:
    return SentenceTransformer(locate(DEFAULT_MODEL))


def texts(count: int, longest: int = 60) -> list[str]:
    draw = random.Random(0)
    return [" ".join(draw.choices(WORDS, k=draw.randint(1, longest))) for _ in range(count)]


def test_vectors_are_those_of_the_model_in_the_order_of_the_texts(encoder, original):
    told = texts(100)
    wanted = original.encode(told, normalize_embeddings=True, show_progress_bar=False)
    assert np.abs(encoder.encode(told) - wanted).max() < 1e-5


def test_bfloat16_is_nearly_the_model_and_is_refused_where_the_processor_lacks_it(encoder):
    half, told = Encoding(precision=Precision.BFLOAT16), texts(100)
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        with pytest.raises(UserError, match=r"personas\.dedup\.precision: this processor does not compute in bfloat16"):
            LocalEncoder(half)
        return
    cosines = (LocalEncoder(half).encode(told) * encoder.encode(told)).sum(axis=1)
    assert 0.999 < cosines.min() < cosines.max() < 1.0000001
    assert half.space != Encoding().space


def test_vectors_have_length_one_and_the_dimension_that_was_told(encoder):
    vectors = encoder.encode(texts(5))
    assert vectors.shape == (5, encoder.dimension) and vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_no_texts_have_no_vectors(encoder):
    assert encoder.encode([]).shape == (0, encoder.dimension)


def test_an_empty_text_has_a_vector(encoder):
    assert np.isfinite(encoder.encode(["", " "])).all()


def test_a_long_text_counts_as_far_as_the_model_reads(encoder, original):
    long = " ".join(texts(1, 60) * 3_000)
    assert len(long) > 100_000
    [wanted] = original.encode([long], normalize_embeddings=True, show_progress_bar=False)
    assert np.abs(encoder.encode([long, "short"])[0] - wanted).max() < 1e-5


@pytest.mark.parametrize("unit_of_it", ["学校の先生は自転車を直す。", "a" * 90 + " ", "a  \n \t" * 9, "Ouagadougou"])
def test_a_text_of_few_spaces_or_of_many_counts_as_far_as_any_other(encoder, original, unit_of_it):
    long = unit_of_it * 2_000
    wanted = original.encode([long, "short"], normalize_embeddings=True, show_progress_bar=False)
    assert np.abs(encoder.encode([long, "short"]) - wanted).max() < 1e-5


def test_half_a_surrogate_pair_is_no_obstacle(encoder):
    assert np.isfinite(encoder.encode(["a nurse \ud83d in Accra"])).all()


def test_a_model_without_a_transformer_is_taken_as_it_is(tmp_path, original):
    table = StaticEmbedding(original.tokenizer.backend_tokenizer, embedding_dim=8)
    SentenceTransformer(modules=[table]).save(str(tmp_path))
    found = LocalEncoder(Encoding(str(tmp_path)))
    assert found.dimension == 8 and found.encode(TEXTS).shape == (2, 8) and found.encode([]).shape == (0, 8)
    with pytest.raises(UserError, match="no transformer to compute by onnx"):
        LocalEncoder(Encoding(str(tmp_path), Backend.ONNX))


def test_a_model_works_on_one_thread(encoder):
    assert torch.get_num_threads() == 1


def test_a_model_that_is_not_there_is_refused_with_the_ways_out(tmp_path):
    with pytest.raises(UserError) as caught:
        LocalEncoder(Encoding(model=str(tmp_path)))
    said = str(caught.value)
    assert said.startswith("personas.dedup.model: cannot load") and "populace[local]" in said and "\n" not in said


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_a_vector_without_direction_is_refused_by_the_name_of_its_model(value):
    vectors = np.ones((3, 4), dtype=np.float32)
    vectors[1] *= value
    with pytest.raises(Halt, match=r"^some/model: a vector is NaN, infinite or zero, that of the text 'a baker'"):
        unit(vectors, "some/model", ["a nurse", "a\nbaker", "a judge"])


def test_a_model_whose_weights_are_broken_is_refused_by_name(tmp_path):
    broken = SentenceTransformer(locate(DEFAULT_MODEL))
    with torch.no_grad():
        broken[0].auto_model.encoder.layer[3].output.dense.weight[0, 0] = float("nan")
    broken.save(str(tmp_path))
    with pytest.raises(Halt, match=str(tmp_path)):
        LocalEncoder(Encoding(model=str(tmp_path))).encode(["a text"])
