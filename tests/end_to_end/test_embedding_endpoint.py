"""A run whose personas are embedded by an endpoint, and what it says where that cannot serve."""

import pytest
from jobs import KEY, rows, write_config, write_corpus

ENV = {"POPULACE_TEST_KEY": KEY}


def embedded_by(server, **changed: object) -> dict:
    endpoint = {"base_url": server.base_url, "model": "e", "keys": ["env:POPULACE_TEST_KEY"]} | changed
    return {"dedup": {"scope": "corpus", "endpoint": endpoint}, "depth": 1}


def test_near_duplicates_are_refused_by_an_endpoints_vectors(tmp_path, model_server, shared_ray, run_populace):
    server = model_server(alike=0.4, keys=[KEY])
    corpus, joined = write_corpus(tmp_path, 6), {"address": shared_ray.address}
    config = write_config(tmp_path, server.base_url, corpus, personas=embedded_by(server), cluster=joined)
    done = run_populace("personas", config, env=ENV)
    assert done.returncode == 0, done.stderr
    reasons = {row["reason"] for row in rows(tmp_path / "run", "rejected")}
    assert "embedding" in reasons and rows(tmp_path / "run", "personas")
    assert KEY not in done.stdout + done.stderr


def test_an_endpoint_of_embeddings_that_nobody_serves_is_named_before_anything_is_paid(
    tmp_path, model_server, shared_ray, run_populace
):
    server = model_server()
    personas = embedded_by(server, base_url="http://127.0.0.1:9/v1")
    joined = {"address": shared_ray.address}
    config = write_config(tmp_path, server.base_url, write_corpus(tmp_path, 2), personas=personas, cluster=joined)
    done = run_populace("personas", config, env=ENV)
    assert done.returncode == 2 and server.stats()["requests"] == 0
    assert "personas.dedup.endpoint http://127.0.0.1:9/v1: nobody answers" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_vectors_that_are_none_end_the_run_in_one_line(tmp_path, model_server, shared_ray, run_populace):
    server, embedder = model_server(), model_server(script=["1-=nan_vectors"])
    joined = {"address": shared_ray.address}
    config = write_config(
        tmp_path, server.base_url, write_corpus(tmp_path, 2), personas=embedded_by(embedder), cluster=joined
    )
    done = run_populace("personas", config, env=ENV)
    assert done.returncode == 1
    assert "a vector is NaN, infinite or zero" in done.stderr and "Traceback" not in done.stderr
