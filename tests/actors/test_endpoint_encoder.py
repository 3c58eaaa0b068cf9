import asyncio
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from actors.endpoint_encoder import EndpointEncoder
from cluster.errors import Halt
from cluster.keys import Endpoint, Secret
from cluster.meter import Tally

KEY = "sk-embeds-1234567890"
TEXTS = [f"a persona of number {at} who mends bicycles" for at in range(150)]


def encoded(server, calls: Sequence[Sequence[str]], keys: Sequence[str] = (KEY,), before: Callable = lambda at: None):
    """The vectors of each call, one after the other; `before` hears the number of the call."""
    named = [(f"key {key[-1]}", Secret(key)) for key in keys]
    endpoint = Endpoint("personas.dedup.endpoint", server.base_url, "e", named)

    async def all_calls():
        encoder = EndpointEncoder(endpoint, 20, Tally(None))
        try:
            found = []
            for at, texts in enumerate(calls):
                before(at)
                found.append(await encoder.encode(texts))
            return found
        finally:
            await encoder.close()

    return asyncio.run(all_calls())


def halted(server, calls: Sequence[Sequence[str]] = (TEXTS[:3],), **options: object) -> str:
    with pytest.raises(Halt) as caught:
        encoded(server, calls, **options)
    said = str(caught.value)
    assert KEY not in said and KEY[:6] not in said and "\n" not in said
    return said


def test_vectors_are_unit_vectors_in_the_order_of_the_texts(shared_server):
    server = shared_server(keys=[KEY])
    [all_of_them, one] = encoded(server, [TEXTS, TEXTS[77:78]])
    assert all_of_them.shape == (150, 32) and all_of_them.dtype == np.float32
    assert np.allclose(np.linalg.norm(all_of_them, axis=1), 1, atol=1e-6)
    assert np.allclose(all_of_them[77], one[0], atol=1e-6)


def test_vectors_that_come_in_another_order_are_sorted(shared_server):
    server = shared_server()
    [straight, mixed] = encoded(
        server, [TEXTS[:9], TEXTS[:9]], before=lambda at: server.set(script=["0-=mixed_vectors"] if at else [])
    )
    assert np.array_equal(straight, mixed)


def test_no_texts_have_no_vectors(shared_server):
    [none] = encoded(shared_server(), [[]])
    assert none.shape == (0, 32)


def test_an_empty_and_an_endless_text_have_vectors(shared_server):
    [found] = encoded(shared_server(), [["", "word " * 100_000]])
    assert np.isfinite(found).all()


@pytest.mark.parametrize("fault", ["500", "reset", "truncated", "html_200", "html_502", "error_200"])
def test_what_is_no_answer_is_asked_again(shared_server, fault):
    server = shared_server(script=[f"0={fault}"])
    [found] = encoded(server, [TEXTS[:3]])
    assert found.shape == (3, 32) and server.stats()["requests"] == 2


def test_a_busy_endpoint_is_left_alone_for_as_long_as_it_says(shared_server):
    server = shared_server(script=["0=429"], retry_after=0.5, grace_s=0.0)
    encoded(server, [TEXTS[:3]])
    stats = server.stats()
    assert stats["statuses"] == {"200": 1, "429": 1} and sum(one["early"] for one in stats["keys"].values()) == 0


def test_another_key_takes_over_from_a_refused_one(shared_server):
    server = shared_server(keys=[KEY], quote=["whole"])
    [found] = encoded(server, [TEXTS[:3]], keys=["sk-other-0987654321", KEY])
    assert found.shape == (3, 32) and server.stats()["statuses"] == {"200": 1, "401": 1}


def test_without_a_usable_key_the_run_halts_and_names_none(shared_server):
    said = halted(shared_server(keys=["sk-another"], quote=["whole", "head"]))
    assert "no usable key is left (key 0: HTTP 401 invalid_api_key)" in said


def test_a_refused_request_halts_with_the_endpoints_words(shared_server):
    assert "does not exist" in halted(shared_server(models=["another"]))


@pytest.mark.parametrize(
    ("fault", "said"),
    [("few_vectors", "3 vectors were asked for and 2 came"), ("nan_vectors", "a vector is NaN, infinite or zero")],
)
def test_an_answer_that_does_not_fit_halts_in_one_line(shared_server, fault, said):
    server = shared_server(script=[f"0-={fault}"])
    told = halted(server)
    assert told.startswith(f"personas.dedup.endpoint {server.base_url}: ") and said in told


def test_vectors_of_another_size_than_before_halt(shared_server):
    server = shared_server()
    said = halted(
        server, [TEXTS[:3], TEXTS[:3]], before=lambda at: server.set(script=["0-=thin_vectors"] if at else [])
    )
    assert said.endswith("vectors have 31 components, and had 32 before")
