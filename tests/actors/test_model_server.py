"""The embedded endpoint with the real packaged model: started once, asked through the openai client."""

import importlib.util
import json

import openai
import pytest

from actors.local_model import PACKAGED
from actors.model_server import ModelServer
from cluster.errors import UserError

MODEL = "smollm2-135m-instruct"
for package, distribution in (("xllamacpp", "xllamacpp"), (PACKAGED[MODEL].package, PACKAGED[MODEL].requirement)):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{distribution} is not installed", allow_module_level=True)

PERSONA = {
    "type": "object",
    "properties": {"persona": {"type": "string", "pattern": '^A [^".]{20,90}\\.$'}},
    "required": ["persona"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def server():
    running = ModelServer(MODEL, slots=2, context=512, threads=1)
    yield running
    running.close()


@pytest.fixture(scope="module")
def client(server):
    url, key = server.endpoint()
    with openai.OpenAI(base_url=url, api_key=key, max_retries=0, timeout=120) as made:
        yield made


def say(client, text, **options):
    messages = [{"role": "user", "content": text}]
    return client.chat.completions.create(model=MODEL, messages=messages, **{"max_tokens": 16, "seed": 1} | options)


def test_it_listens_on_loopback_alone_and_keeps_its_address(server):
    assert server.endpoint()[0].startswith("http://127.0.0.1:")
    assert server.endpoint()[0].endswith("/v1")
    assert server.endpoint() == server.endpoint()


def test_nothing_is_answered_without_the_key(server):
    url, _ = server.endpoint()
    with openai.OpenAI(base_url=url, api_key="another") as stranger, pytest.raises(openai.AuthenticationError):
        say(stranger, "Good morning.")


def test_an_answer_names_its_model_and_counts_its_tokens(client):
    answer = say(client, "Write a long story about the sea.")
    assert answer.model == MODEL
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 16
    assert answer.usage.prompt_tokens > 10


def test_a_schema_holds(client):
    form = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": PERSONA}}
    answer = say(client, "Who reads the tide table?", max_tokens=120, temperature=0.5, response_format=form)
    assert answer.choices[0].finish_reason == "stop"
    [persona] = json.loads(answer.choices[0].message.content).values()
    assert persona.startswith("A ") and persona.endswith(".")


def test_the_seed_decides_and_the_prompt_is_cached(client):
    first, again, other = (say(client, "Write one sentence about bread.", seed=seed) for seed in (7, 7, 8))
    text, same, different = (answer.choices[0].message.content for answer in (first, again, other))
    assert text == same != different
    assert again.usage.prompt_tokens_details.cached_tokens > 0


def test_a_prompt_beyond_the_context_is_refused(client):
    with pytest.raises(openai.BadRequestError):
        say(client, "word " * 600)


def test_a_model_that_cannot_be_loaded_is_an_error_of_the_first_call(tmp_path):
    (tmp_path / "cut.gguf").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(UserError, match=r"cut\.gguf"):
        ModelServer(str(tmp_path / "cut.gguf")).endpoint()
