import copy

import pytest
import torch
from sentence_transformers import SentenceTransformer
from transformers import BertConfig, BertModel

from actors.encoder import DEFAULT_MODEL
from actors.local_encoder import locate
from actors.packed_bert import packed

LENGTHS = [3, 9, 9, 9, 2, 14, 14, 1]


@pytest.fixture(scope="module")
def small() -> BertModel:
    torch.manual_seed(0)
    shape = BertConfig(vocab_size=97, hidden_size=24, num_hidden_layers=3, num_attention_heads=4, intermediate_size=40)
    return with_biases(BertModel(shape).eval())


def with_biases(model: BertModel) -> BertModel:
    """All of them drawn, as no new model has them, and norms that are not the identity."""
    for name, weights in model.named_parameters():
        if name.endswith("bias") or "LayerNorm" in name:
            torch.nn.init.normal_(weights, mean=float(name.endswith("weight")), std=0.5)
    return model


def batch(lengths: list[int], words: int) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(sum(lengths))
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)).long()
    return torch.randint(1, words, mask.shape, generator=draw) * mask, mask


def farthest(model: BertModel, made, lengths: list[int]) -> float:
    ids, mask = batch(lengths, model.config.vocab_size)
    with torch.inference_mode():
        there, found = mask.unsqueeze(-1), made(ids, mask)
        wanted = model(input_ids=ids, attention_mask=mask)[0]
    assert not (found * (1 - there)).any()
    return float(((found - wanted) * there).abs().max())


@pytest.mark.parametrize("lengths", [LENGTHS, sorted(LENGTHS), [1], [7] * 5, [512, 3]])
def test_vectors_of_tokens_are_those_of_the_model_in_any_order_of_lengths(small, lengths):
    assert farthest(small, packed(small), lengths) < 1e-5


def test_one_model_serves_batches_that_grow_and_shrink(small):
    made = packed(small)
    assert all(farthest(small, made, [longest, longest, 2]) < 1e-5 for longest in (5, 40, 3, 41))


def test_the_packaged_model_is_the_same_to_the_fifth_digit():
    model = SentenceTransformer(locate(DEFAULT_MODEL), device="cpu")[0].auto_model
    assert farthest(model, packed(model), LENGTHS) < 1e-5


@pytest.mark.parametrize(
    "changed", [{"hidden_act": "relu"}, {"is_decoder": True}, {"model_type": "roberta"}, {"dtype": torch.bfloat16}]
)
def test_what_is_no_plain_bert_in_float32_stays_as_it_is(small, changed):
    other = copy.deepcopy(small)
    if dtype := changed.pop("dtype", None):
        other.to(dtype)
    for name, value in changed.items():
        setattr(other.config, name, value)
    assert packed(other) is None


def test_a_model_that_would_come_out_otherwise_stays_as_it_is(small):
    other = copy.deepcopy(small)
    other.encoder.layer[1].register_forward_hook(lambda _, __, found: 2 * found)
    assert packed(other) is None
