from actors.encoder import DEFAULT_MODEL, Backend, Encoding, Precision
from cluster.keys import Endpoint, Secret


def at(url: str, model: str = "e", key: str = "sk-secret") -> Encoding:
    return Encoding(endpoint=Endpoint("personas.dedup.endpoint", url, model, [("key", Secret(key))]))


def test_a_local_model_gives_its_space_its_name():
    assert Encoding().space == DEFAULT_MODEL
    assert Encoding("some/model").space == "some/model"


def test_backends_of_equal_precision_share_a_space():
    assert Encoding(backend=Backend.ONNX).space == Encoding().space


def test_what_changes_vectors_changes_the_space():
    others = [Encoding(precision=Precision.INT8), at("http://a/v1"), at("http://b/v1"), at("http://a/v1", model="f")]
    assert len({one.space for one in [Encoding(), *others]}) == 5


def test_no_key_is_in_a_space_or_a_repr():
    one = at("http://a/v1")
    assert one.space == at("http://a/v1", key="sk-other").space
    assert "sk-secret" not in one.space + repr(one)
