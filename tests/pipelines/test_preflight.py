"""What the endpoints are asked before a run: each over HTTP, as the run does it."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cluster.errors import UserError
from cluster.keys import Endpoint, Secret
from pipelines.model_names import is_listed, nearest_first
from pipelines.preflight import check

KEY = "sk-preflight-77"


def endpoint(url: str, model: str = "m", number: int = 0, **fields: object) -> Endpoint:
    return Endpoint(f"llm.endpoints[{number}]", url, model, [("env:K", Secret(KEY))], **fields)


def refusal(*endpoints: Endpoint) -> str:
    with pytest.raises(UserError) as caught:
        check(list(endpoints))
    assert KEY not in str(caught.value)
    return str(caught.value)


@contextmanager
def pages(answers: dict[str, tuple[int, str]]) -> Iterator[str]:
    """A server that answers each path with a status and a body, and any other with 404; yields its address."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers.get(self.path, (404, "{}"))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def listing(*names: str, **more: object) -> str:
    return json.dumps({"object": "list", "data": [{"id": name} for name in names]} | more)


# --- models


def test_a_model_that_is_there_is_no_matter(shared_server):
    server = shared_server(models=["m", "big"])
    assert check([endpoint(server.base_url, roles={"judge": "big"})]).warnings == []


def test_a_model_that_nobody_has_is_refused_with_the_nearest_first(shared_server):
    server = shared_server(models=["zeta", "gpt-5-mini", "alpha"])
    said = refusal(endpoint(server.base_url, "gpt-5-mnii"))
    assert said == (f"llm.endpoints[0] {server.base_url} has no model gpt-5-mnii; it has gpt-5-mini, alpha, zeta")


def test_the_model_of_a_role_is_looked_for_too(shared_server):
    server = shared_server(models=["m"])
    assert "has no model bgi; it has m" in refusal(endpoint(server.base_url, roles={"judge": "bgi"}))


def test_while_another_endpoint_can_serve_it_is_a_warning(shared_server):
    server = shared_server(models=["m"])
    [warning] = check([endpoint(server.base_url, "other"), endpoint(server.base_url, number=1)]).warnings
    assert warning.startswith("llm.endpoints[0]") and "has no model other" in warning


def test_a_model_that_is_described_when_asked_for_need_not_be_listed():
    with pages({"/v1/models": (200, listing("a")), "/v1/models/org/b": (200, '{"id": "org/b"}')}) as url:
        assert check([endpoint(f"{url}/v1", "org/b")]).warnings == []


@pytest.mark.parametrize(
    "body",
    [listing("a", has_more=True), json.dumps({"data": [{"id": "/models/a.gguf", "owned_by": "llamacpp"}]})],
)
def test_a_list_that_is_known_to_be_partial_is_said_to_be_so_and_the_run_goes_on(body):
    with pages({"/v1/models": (200, body)}) as url:
        [warning] = check([endpoint(f"{url}/v1")]).warnings
    assert "does not list the model m, but may have it all the same" in warning


@pytest.mark.parametrize("body", ["{}", "[]", '{"data": null}', '{"data": []}'])
def test_an_empty_list_says_nothing(body):
    with pages({"/v1/models": (200, body)}) as url:
        assert check([endpoint(f"{url}/v1")]).warnings == []


@pytest.mark.parametrize(
    ("model", "listed"),
    [
        ("llama3.2", "llama3.2:latest"),
        ("gemini-2.5-flash", "models/gemini-2.5-flash"),
        ("models/gemini-2.5-flash", "gemini-2.5-flash"),
        ("meta-llama/llama-3.3-70b-instruct:nitro", "meta-llama/llama-3.3-70b-instruct"),
        ("claude-haiku-4-5", "claude-haiku-4-5-20251001"),
        ("claude-3-5-haiku-latest", "claude-3-5-haiku-20241022"),
        ("gpt-4o-mini", "gpt-4o-mini-2024-07-18"),
        ("mistral-small-latest", "mistral-small-2603"),
    ],
)
def test_a_model_is_known_by_its_other_names(model, listed):
    assert is_listed(model, ["other", listed])


@pytest.mark.parametrize(
    ("model", "listed"),
    [("llama3.2:1b", "llama3.2:3b"), ("llama3.2", "llama3.2:1b"), ("gpt-4o", "gpt-4o-mini"), ("gpt-5", "gpt-5-pro")],
)
def test_another_model_is_not_taken_for_it(model, listed):
    assert not is_listed(model, [listed])


def test_of_many_models_the_nearest_are_shown_and_the_rest_counted():
    names = [f"org/model-{number}" for number in range(30)] + ["gpt-5"]
    assert nearest_first("gpt5", names).startswith("gpt-5, org/model-0, ")
    assert nearest_first("gpt5", names).endswith(" and 23 more")


# --- addresses


def test_an_address_without_its_v1_is_told_the_right_one(shared_server):
    url = shared_server(keys=[KEY]).base_url
    bare = url.removesuffix("/v1")
    assert refusal(endpoint(bare)) == (
        f"llm.endpoints[0] {bare} is no OpenAI-compatible API, but {url} is; set base_url to that"
    )


@pytest.mark.parametrize("status", [200, 401])
def test_also_behind_a_page_of_html_and_with_a_wrong_key(status):
    with pages({"/models": (200, "<!doctype html><html>"), "/v1/models": (status, listing("m"))}) as url:
        assert refusal(endpoint(url)).endswith(f"but {url}/v1 is; set base_url to that")


def test_an_api_without_a_list_of_models_is_a_warning():
    with pages({}) as url:
        [warning] = check([endpoint(url)]).warnings
    assert "has no /models (HTTP 404); does base_url lack its /v1?" in warning


def test_html_alone_is_no_api():
    with pages({"/models": (200, "<html>"), "/v1/models": (200, "<html>")}) as url:
        assert "answers HTML" in refusal(endpoint(url))


# --- keys

_BAD_KEY = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, "{}"),
        (402, '{"error": {"code": 402, "message": "no credits"}}'),
        (400, json.dumps([{"error": {"code": 400, "status": "INVALID_ARGUMENT", "details": [_BAD_KEY]}}])),
    ],
)
def test_a_key_that_is_refused_in_whatever_words_is_named(status, body):
    with pages({"/v1/models": (status, body)}) as url:
        assert f"refuses the key env:K (HTTP {status})" in refusal(endpoint(f"{url}/v1"))


@pytest.mark.parametrize("status", [400, 429, 500, 503])
def test_a_passing_trouble_is_not_held_against_the_endpoint(status):
    with pages({"/v1/models": (status, "{}")}) as url:
        assert check([endpoint(f"{url}/v1")]).warnings == []
