import json
import logging
import pickle
import pprint

import pytest

from cluster.keys import Endpoint, Price, Secret
from cluster.lanes import Lanes

KEY = "sk-very-secret-9000"


def endpoint(name: str = "e", *key_names: str, **settings: object) -> Endpoint:
    keys = [(key, Secret(f"{KEY}-{key}")) for key in key_names or ("a",)]
    return Endpoint(name, f"http://{name}/v1", "m", keys, **settings)


@pytest.mark.parametrize(
    "show", [repr, str, "{}".format, "{!r:>20}".format, "{!s}".format, "%s".__mod__, ascii, pprint.pformat]
)
def test_a_secret_is_not_shown(show):
    assert KEY not in show(Secret(KEY))
    assert KEY not in show({"keys": [Secret(KEY)]})


def test_what_holds_a_secret_does_not_show_it():
    [lane] = Lanes([endpoint()])
    assert KEY not in repr(lane) and KEY not in repr(lane.endpoint)


def test_a_secret_has_no_attributes_to_dump_and_is_no_json():
    secret = Secret(KEY)
    assert not hasattr(secret, "__dict__")
    with pytest.raises(TypeError) as refusal:
        json.dumps({"key": secret})
    assert KEY not in str(refusal.value)


def test_a_secret_is_not_logged(caplog):
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("test").warning("key %s %r", Secret(KEY), endpoint())
    assert "Secret(…)" in caplog.text and KEY not in caplog.text


def test_a_secret_travels_to_another_process_and_can_be_used_there():
    sent = pickle.loads(pickle.dumps(endpoint("e", "a")))
    assert sent.keys[0][1].reveal() == f"{KEY}-a"
    assert KEY not in repr(sent)


def test_a_price_is_per_million_tokens():
    assert Price(0.25, 2.0).cost(1_000_000, 500_000) == pytest.approx(1.25)
    assert Price(0.25, 2.0).cost(0, 0) == 0


def test_a_role_without_a_model_of_its_own_has_the_endpoints():
    both = endpoint(roles={"judge": "strict"})
    assert (both.model_for("judge"), both.model_for("persona")) == ("strict", "m")
