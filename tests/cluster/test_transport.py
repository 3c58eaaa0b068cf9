import asyncio
import json
import logging
import time
import traceback
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from cluster.chat import ChatAnswer, ChatRequest, Role, Usage
from cluster.dialect import Dialect, Form, Known, is_refusal, next_dialect
from cluster.errors import FailureKind
from cluster.keys import Endpoint, Price, Secret
from cluster.lanes import Lane, Lanes
from cluster.refusal import read_refusal
from cluster.retry import Action, Trouble, Verdict, judge
from cluster.transport import OpenAITransport
from cluster.wire import body_of, read_answer

T = TypeVar("T")
KEY = "sk-very-secret-9000"
SCHEMA = {"type": "object", "properties": {"persona": {"type": "string"}}, "required": ["persona"]}
NARROW = SCHEMA | {"additionalProperties": False}


def request(number: int = 1, schema: dict[str, object] | None = None, text: str = "Hello there?") -> ChatRequest:
    return ChatRequest(Role.PERSONA, [{"role": "user", "content": text}], "item", 500, 0.5, number, schema)


def lane_to(url: str, key: str = KEY, **settings: object) -> Lane:
    [lane] = Lanes([Endpoint("e", url, "m", [("one", Secret(key))], **settings)])
    return lane


def play(main: Callable[[OpenAITransport], Awaitable[T]], timeout_s: float = 10.0) -> T:
    async def all_of_it() -> T:
        transport = OpenAITransport(timeout_s)
        try:
            return await main(transport)
        finally:
            await transport.close()

    return asyncio.run(all_of_it())


def ask(url: str, *asked: ChatRequest, timeout_s: float = 10.0, key: str = KEY, **settings: object) -> list[object]:
    """What each request brings, one after the other, over one transport: an answer or a trouble."""
    lane = lane_to(url, key, **settings)

    async def main(transport: OpenAITransport) -> list[object]:
        outcomes: list[object] = []
        for one in asked or [request()]:
            try:
                outcomes.append(await transport.send(lane, one))
            except Trouble as trouble:
                outcomes.append(trouble)
        return outcomes

    return play(main, timeout_s)


def trouble_of(url: str, asked: ChatRequest | None = None, **options: object) -> Trouble:
    [trouble] = ask(url, asked or request(), **options)
    assert isinstance(trouble, Trouble)
    return trouble


# --- answers


def test_an_answer_has_text_model_reason_usage_and_cost(shared_server):
    [answer] = ask(shared_server().base_url, price=Price(1.0, 2.0))
    assert isinstance(answer, ChatAnswer)
    assert answer.text and (answer.model, answer.finish_reason) == ("m", "stop")
    used = answer.usage
    assert used.calls == 1 and used.prompt_tokens > 0 and used.completion_tokens > 0
    assert used.cost_usd == pytest.approx((used.prompt_tokens + 2 * used.completion_tokens) / 1e6)


def test_the_key_of_the_lane_is_sent(shared_server):
    server = shared_server(keys=["a", "b"])
    for key in "ab":
        assert isinstance(ask(server.base_url, key=key)[0], ChatAnswer)
    assert {row["key"] for row in server.log()} == {"a", "b"}


def test_the_role_chooses_the_model(shared_server):
    [answer] = ask(shared_server().base_url, roles={"persona": "m-large"})
    assert answer.model == "m-large"


def test_the_cost_is_that_of_the_model_that_was_asked(shared_server):
    prices = {"price": Price(1.0, 1.0), "role_prices": {"m-large": Price(10.0, 10.0)}}
    [large] = ask(shared_server().base_url, roles={"persona": "m-large"}, **prices)
    [small] = ask(shared_server().base_url, roles={"judge": "m-large"}, **prices)
    for answer, price in ((large, 10.0), (small, 1.0)):
        used = answer.usage.prompt_tokens + answer.usage.completion_tokens
        assert answer.usage.cost_usd == pytest.approx(price * used / 1e6)
    [unknown] = ask(shared_server().base_url, roles={"persona": "m-large"}, price=Price(1.0, 1.0))
    assert unknown.usage.cost_usd == 0


def test_an_answer_that_was_cut_off_says_so(shared_server):
    [answer] = ask(shared_server(share={"length": 1.0}).base_url)
    assert answer.finish_reason == "length" and answer.text


def test_an_empty_answer_is_an_answer(shared_server):
    assert ask(shared_server(share={"empty": 1.0}).base_url)[0].text == ""


def test_reasoning_is_not_part_of_the_text(shared_server):
    server = shared_server()
    [plain] = ask(server.base_url)
    server.set(reasoning=True)
    assert ask(server.base_url)[0].text == plain.text


def test_where_nobody_counts_tokens_they_are_estimated_and_that_is_said_once(shared_server, caplog):
    text = "Hello there? How are you?"
    with caplog.at_level(logging.WARNING):
        first, _ = ask(shared_server(usage=False).base_url, request(1, text=text), request(2))
    assert first.usage == Usage(1, -(-len(text) // 4), -(-len(first.text) // 4), 0.0)
    assert [record.getMessage() for record in caplog.records if "estimated" in record.getMessage()] == [
        "e counts no tokens: usage and cost are estimated from the length of texts"
    ]


def test_half_a_surrogate_pair_is_sent():
    assert json.loads(body_of(request(text="broken \ud800 text"), "m", Dialect()))["messages"][0]["content"]


def test_calls_share_connections(shared_server):
    server = shared_server()
    lane = lane_to(server.base_url)

    async def main(transport: OpenAITransport) -> int:
        for batch in range(5):
            await asyncio.gather(*(transport.send(lane, request(10 * batch + number)) for number in range(10)))
        connector = transport._session.connector
        return sum(map(len, connector._conns.values()))

    assert play(main) <= 10


def test_no_call_waits_for_a_connection(shared_server):
    server = shared_server(latency=0.3)
    lane = lane_to(server.base_url)

    async def main(transport: OpenAITransport) -> None:
        await asyncio.gather(*(transport.send(lane, request(number)) for number in range(200)))

    play(main)
    assert server.stats()["peak_in_flight"] == 200


# --- statuses


@pytest.mark.parametrize(
    ("fault", "status", "code", "action"),
    [
        ("400", 400, None, Action.FAIL),
        ("401", 401, "invalid_api_key", Action.RETIRE),
        ("403", 403, "access_denied", Action.RETIRE),
        ("404", 404, "model_not_found", Action.FAIL),
        ("408", 408, None, Action.RETRY),
        ("409", 409, None, Action.RETRY),
        ("422", 422, None, Action.FAIL),
        ("429", 429, "rate_limit_exceeded", Action.COOL),
        ("500", 500, None, Action.RETRY),
        ("503", 503, None, Action.RETRY),
        ("insufficient_quota", 429, "insufficient_quota", Action.RETIRE),
        ("content_filter", 400, "content_filter", Action.FAIL),
        ("content_filter_400", 400, "content_filter", Action.FAIL),
    ],
)
def test_a_refusal_is_a_trouble_with_status_and_code(shared_server, fault, status, code, action):
    server = shared_server(share={fault: 1.0})
    trouble = trouble_of(server.base_url)
    assert (trouble.status, trouble.code, trouble.is_api, trouble.connected) == (status, code, True, True)
    assert judge(trouble).action is action
    assert trouble.message


@pytest.mark.parametrize(
    ("fault", "status", "code", "action", "kind"),
    [
        ("gemini_key", 400, "API_KEY_INVALID", Action.RETIRE, FailureKind.REFUSED),
        ("gemini_busy", 429, None, Action.COOL, FailureKind.EXHAUSTED),
        ("openrouter_credits", 402, None, Action.RETIRE, FailureKind.REFUSED),
        ("openrouter_moderated", 403, "content_filter", Action.FAIL, FailureKind.FILTERED),
        ("openrouter_busy", 429, None, Action.COOL, FailureKind.EXHAUSTED),
        ("openrouter_busy_200", 429, None, Action.COOL, FailureKind.EXHAUSTED),
        ("openrouter_choice", 502, None, Action.RETRY, FailureKind.EXHAUSTED),
        ("azure_busy", 429, "429", Action.COOL, FailureKind.EXHAUSTED),
        ("anthropic_busy", 529, None, Action.RETRY, FailureKind.EXHAUSTED),
        ("loading", 503, "unavailable_error", Action.OUTAGE, FailureKind.EXHAUSTED),
        ("ollama_404", 404, None, Action.FAIL, FailureKind.REFUSED),
        ("vllm_400", 400, None, Action.FAIL, FailureKind.REFUSED),
    ],
)
def test_providers_are_understood_in_their_own_words(shared_server, fault, status, code, action, kind):
    trouble = trouble_of(shared_server(share={fault: 1.0}).base_url)
    assert (trouble.status, trouble.code, trouble.is_api) == (status, code, True)
    assert judge(trouble) == Verdict(action, kind)
    assert trouble.message and "HTTP" not in trouble.message


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [("gemini_busy", 34.5), ("openrouter_busy", 40.0), ("azure_busy", 2.5), ("openrouter_busy_200", None)],
)
def test_how_long_to_wait_is_read_in_the_providers_own_words(shared_server, fault, seconds):
    wait = trouble_of(shared_server(share={fault: 1.0}).base_url).retry_after_s
    assert wait == (None if seconds is None else pytest.approx(seconds, abs=20 if fault == "openrouter_busy" else 0))


def test_a_moderated_input_costs_no_key_and_is_asked_once(shared_server):
    server = shared_server(share={"openrouter_moderated": 1.0})
    trouble_of(server.base_url, request(schema=NARROW))
    assert server.stats()["requests"] == 1


@pytest.mark.parametrize(
    ("form", "least", "most"),
    [("seconds", 7.5, 7.5), ("ms", 7.5, 7.5), ("date", 6.0, 9.0), ("reset", 7.5, 7.5), ("none", None, None)],
)
def test_how_long_to_wait_is_read_in_every_form(shared_server, form, least, most):
    server = shared_server(share={"429": 1.0}, retry_after=7.5, retry_after_form=form)
    wait = trouble_of(server.base_url).retry_after_s
    assert wait is None if least is None else least <= wait <= most


def test_html_with_an_error_status_is_no_api(shared_server):
    server = shared_server(share={"html_502": 1.0})
    trouble = trouble_of(server.base_url)
    assert (trouble.status, trouble.is_api) == (502, False)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("html_200", "is /v1 missing?"),
        ("truncated", "an unreadable body"),
        ("no_choices", "without choices"),
        ("error_200", "Provider returned error"),
    ],
)
def test_a_200_that_is_no_completion_is_no_api(shared_server, fault, said):
    server = shared_server(share={fault: 1.0})
    trouble = trouble_of(server.base_url)
    assert (trouble.status, trouble.is_api, judge(trouble).action) == (200, False, Action.RETRY)
    assert said in trouble.message


def test_a_key_that_is_exchanged_is_sent_from_then_on(shared_server):
    server = shared_server()
    lane = lane_to(server.base_url, key="old")

    async def main(transport: OpenAITransport) -> None:
        await transport.send(lane, request(1))
        lane.secret = Secret("new")
        await transport.send(lane, request(2))

    play(main)
    assert [row["key"] for row in server.log()] == ["old", "new"]


# --- the way there


def test_a_refused_connection_is_nobody_there(model_server):
    server = model_server()
    server.stop()
    trouble = trouble_of(server.base_url)
    assert (trouble.status, trouble.connected) == (None, False)
    assert server.base_url in trouble.message


def test_an_unknown_host_is_nobody_there():
    assert not trouble_of("http://no.such.host.invalid/v1").connected


def test_a_reset_in_the_middle_is_a_lost_attempt(shared_server):
    server = shared_server(share={"reset": 1.0})
    trouble = trouble_of(server.base_url)
    assert (trouble.status, trouble.connected, judge(trouble).action) == (None, True, Action.RETRY)


def test_a_server_that_dies_as_it_answers_is_a_lost_attempt_and_then_nobody(model_server):
    server = model_server(latency=5.0)
    lane = lane_to(server.base_url)

    async def main(transport: OpenAITransport) -> list[Trouble]:
        troubles = []
        call = asyncio.create_task(transport.send(lane, request()))
        await asyncio.sleep(0.5)
        server._process.kill()
        server._process.wait(5)
        for one in (call, transport.send(lane, request())):
            with pytest.raises(Trouble) as caught:
                await one
            troubles.append(caught.value)
        return troubles

    lost, nobody = play(main)
    assert (lost.connected, nobody.connected) == (True, False)


@pytest.mark.parametrize("fault", ["hang", "drip"])
def test_the_time_of_an_exchange_is_bounded_from_its_beginning_to_its_end(shared_server, fault):
    server = shared_server(share={fault: 1.0}, drip_s=10.0, hang_s=2.0)
    begun = time.monotonic()
    trouble = trouble_of(server.base_url, timeout_s=0.7)
    assert time.monotonic() - begun < 3
    assert (trouble.status, trouble.connected) == (None, True)
    assert "0.7 s" in trouble.message


def test_a_call_that_is_cancelled_leaves_the_others_alone(shared_server):
    server = shared_server(latency=0.3)
    lane = lane_to(server.base_url)

    async def main(transport: OpenAITransport) -> list[object]:
        calls = [asyncio.create_task(transport.send(lane, request(number))) for number in range(4)]
        await asyncio.sleep(0.1)
        calls[1].cancel()
        return await asyncio.gather(*calls, return_exceptions=True)

    kinds = [type(outcome) for outcome in play(main)]
    assert kinds == [ChatAnswer, asyncio.CancelledError, ChatAnswer, ChatAnswer]


def test_the_proxy_of_the_environment_is_used_but_for_the_hosts_that_it_leaves_out(shared_server, monkeypatch):
    server = shared_server()
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert not trouble_of(server.base_url).connected
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert isinstance(ask(server.base_url)[0], ChatAnswer)


def test_a_transport_that_sent_nothing_closes():
    async def main(transport: OpenAITransport) -> None:
        return None

    play(main)


# --- dialects


def asked_how(server, **options: object) -> list[int]:
    """The statuses of four structured requests, one after the other."""
    server.set(**options)
    outcomes = ask(server.base_url, *(request(number, NARROW) for number in range(4)))
    assert all(isinstance(outcome, ChatAnswer) for outcome in outcomes), outcomes
    return [row["status"] for row in server.log()]


def test_a_schema_is_held(shared_server):
    [answer] = ask(shared_server().base_url, request(schema=NARROW))
    assert '"persona"' in answer.text


def test_without_json_schema_json_mode_serves_and_the_refusal_happens_once(shared_server):
    assert asked_how(shared_server(), refuse=["json_schema"]) == [400, 200, 200, 200, 200]


def test_without_response_format_the_prompt_alone_serves(shared_server):
    assert asked_how(shared_server(), refuse=["response_format"]) == [400, 400, 200, 200, 200, 200]


def test_without_max_tokens_the_newer_name_serves(shared_server):
    assert asked_how(shared_server(), refuse=["max_tokens"]) == [400, 200, 200, 200, 200]


@pytest.mark.parametrize("field", ["temperature", "seed"])
def test_a_setting_that_a_model_does_not_take_is_left_out(shared_server, field):
    assert asked_how(shared_server(), refuse=[field]) == [400, 200, 200, 200, 200]


def test_several_refusals_are_found_out_one_after_the_other(shared_server):
    server = shared_server()
    assert asked_how(server, refuse=["max_tokens", "json_schema", "temperature"]) == [400] * 3 + [200] * 4


def test_requests_that_were_refused_together_are_all_served(shared_server):
    server = shared_server(refuse=["json_schema", "max_tokens"], latency=0.05)
    lane = lane_to(server.base_url)

    async def main(transport: OpenAITransport) -> None:
        await asyncio.gather(*(transport.send(lane, request(number, NARROW)) for number in range(20)))
        await transport.send(lane, request(20, NARROW))

    play(main)
    statuses = [row["status"] for row in server.log()]
    assert statuses.count(200) == 21 and statuses[-1] == 200 and len(statuses) <= 61


def test_a_request_without_a_schema_is_asked_the_same(shared_server):
    server = shared_server(refuse=["json_schema"])
    assert all(isinstance(one, ChatAnswer) for one in ask(server.base_url, request(1), request(2)))
    assert server.stats()["requests"] == 2


def test_a_bad_request_is_refused_as_it_was_and_changes_nothing(shared_server):
    server = shared_server(marker={"too long": "400"})
    bad = request(2, NARROW, "much too long")
    good, refused, after = ask(server.base_url, request(1, NARROW), bad, request(3, NARROW))
    assert isinstance(good, ChatAnswer) and isinstance(after, ChatAnswer)
    assert refused.status == 400
    assert [row["status"] for row in server.log()][-1] == 200
    assert server.stats()["requests"] <= 5


def test_what_the_filter_refuses_is_not_asked_otherwise(shared_server):
    server = shared_server(share={"content_filter_400": 1.0})
    assert trouble_of(server.base_url, request(schema=NARROW)).code == "content_filter"
    assert server.stats()["requests"] == 1


def test_a_dead_key_is_not_asked_otherwise(shared_server):
    server = shared_server(share={"insufficient_quota": 1.0})
    assert judge(trouble_of(server.base_url, request(schema=NARROW))).action is Action.RETIRE
    assert server.stats()["requests"] == 1


@pytest.mark.parametrize("code", ["content_filter", "insufficient_quota", "invalid_api_key"])
def test_a_400_that_says_what_it_is_about_is_no_question_of_dialect(code):
    assert not is_refusal(Trouble(400, "no", code))
    assert is_refusal(Trouble(400, "no")) and is_refusal(Trouble(422, "no", is_api=False))


@pytest.mark.parametrize("structured", [False, True])
def test_without_a_named_field_every_way_is_tried_once_and_then_none(structured):
    known, tried = Known(), [Dialect()]
    while (another := next_dialect(known, tried, None, structured)) is not None:
        tried.append(another)
    assert len(tried) == len(set(tried)) == (6 if structured else 2)
    known.worked(tried[0], structured)
    assert next_dialect(known, [Dialect(Form.TEXT)], None, structured) == Dialect()


def test_what_worked_is_not_doubted_for_one_request():
    known = Known()
    known.worked(Dialect(), structured=True)
    assert not known.worked(Dialect(Form.TEXT), structured=True)
    assert known.dialect == Dialect()


@pytest.mark.parametrize("field", ["messages", "model", "max_completion_tokens", "tools"])
def test_a_refusal_that_names_anything_else_is_final(field):
    assert next_dialect(Known(), [Dialect()], field, True) is None


# --- the key


def everything_of(error: BaseException) -> str:
    """What a log, a traceback with its chain, or a repr could show."""
    told, seen = "", set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        told += "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
        told += repr(error) + repr(vars(error) if hasattr(error, "__dict__") else "")
        error = error.__cause__ or error.__context__
    return told


@pytest.mark.parametrize("fault", ["401", "429", "500", "reset", "html_200", "truncated"])
def test_no_error_knows_the_key(shared_server, fault):
    server = shared_server(share={fault: 1.0})
    assert KEY not in everything_of(trouble_of(server.base_url))


@pytest.mark.parametrize("key", ["sk-with\nnewline", "sk-ключ"])
def test_a_key_that_fits_no_header_is_retired_before_it_is_sent(key):
    trouble = trouble_of("http://no.such.host.invalid/v1", key=key)
    assert judge(trouble).action is Action.RETIRE
    assert key not in everything_of(trouble)


@pytest.mark.parametrize("shown", [KEY, "sk-v****9000", KEY[:-2], f"...{KEY[-8:]}", f"{KEY[:7]} {KEY[2:]}"])
def test_a_key_that_the_endpoint_quotes_is_taken_out(shown):
    body = f'{{"error": {{"message": "Incorrect API key provided: {shown}. See there.", "code": null}}}}'.encode()
    trouble = read_refusal(401, {}, body, "http://e/v1", Secret(KEY), 0.0)
    assert not any(KEY[at : at + 6] in trouble.message for at in range(len(KEY) - 5)), trouble.message
    assert "9000" not in trouble.message and trouble.message.startswith("Incorrect API key provided:")


@pytest.mark.parametrize("fault", ["400", "500", "error_200"])
@pytest.mark.parametrize("form", ["whole", "head", "tail", "masked"])
def test_no_part_of_a_quoted_key_is_in_a_trouble(shared_server, fault, form):
    trouble = trouble_of(shared_server(share={fault: 1.0}, quote=[form]).base_url)
    assert "You provided: " in trouble.message
    assert not any(KEY[at : at + 6] in repr(trouble) for at in range(len(KEY) - 5))


# --- bodies that this server does not write


def refusal(body: str, status: int = 400) -> Trouble:
    return read_refusal(status, {}, body.encode(), "http://e/v1", Secret(KEY), 0.0)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"error": "model is loading"}', "model is loading"),
        (
            '[{"error": {"code": 400, "message": "API key not valid", "status": "INVALID_ARGUMENT"}}]',
            "API key not valid",
        ),
        ('{"object": "error", "message": "too long", "code": 400}', "too long"),
        ('{"detail": "Not Found"}', "HTTP 400 from http://e/v1"),
        ('{"error": null}', "HTTP 400 from http://e/v1"),
        ("{}", "HTTP 400 from http://e/v1"),
    ],
)
def test_refusals_of_other_shapes_are_read(body, message):
    trouble = refusal(body)
    assert (trouble.message, trouble.code, trouble.is_api) == (message, None, True)


@pytest.mark.parametrize(
    "error",
    [
        {"details": None},
        {"details": [None, 3, {"@type": 7}]},
        {"details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": 34}]},
        {"details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "soon"}]},
        {"details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": None}]},
        {"metadata": [], "code": 429},
        {"metadata": {"headers": []}},
        {"metadata": {"headers": {"X-RateLimit-Reset": None}}},
    ],
)
def test_details_of_no_known_kind_are_left_alone(error):
    trouble = refusal(json.dumps({"error": error | {"message": "no"}}), 429)
    assert (trouble.message, trouble.code, trouble.retry_after_s) == ("no", None, None)


def test_the_headers_word_goes_before_that_of_the_body():
    delay = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}
    body = json.dumps({"error": {"details": [delay]}}).encode()
    assert read_refusal(429, {"retry-after": "2"}, body, "http://e/v1", Secret(KEY), 0.0).retry_after_s == 2.0


@pytest.mark.parametrize("body", ["", "<html>", "null", "[]", "3", '"no"', "[" * 100_000, "\xff"])
def test_a_refusal_that_is_no_object_is_no_api(body):
    assert not refusal(body).is_api


def test_an_empty_account_is_known_by_the_type_too():
    assert refusal('{"error": {"type": "insufficient_quota", "code": null}}', 429).code == "insufficient_quota"


def test_the_refused_field_is_read_where_fastapi_tells_it():
    body = '{"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]}'
    assert refusal(body, 422).field == "seed"


def answer_of(content: str) -> ChatAnswer:
    return read_answer(content.encode(), request(), "m", Endpoint("e", "http://e/v1", "m", []))[0]


def test_of_a_content_in_parts_the_text_is_taken():
    parts = '[{"type": "thinking", "thinking": []}, {"type": "text", "text": "yes"}]'
    assert answer_of(f'{{"choices": [{{"message": {{"content": {parts}}}}}]}}').text == "yes"


def usage_of(usage: dict[str, object], **prices: Price) -> Usage:
    endpoint = Endpoint("e", "http://e/v1", "m", [], **prices)
    body = json.dumps({"choices": [{"message": {"content": "yes"}}], "usage": usage}).encode()
    return read_answer(body, request(), "m", endpoint)[0].usage


@pytest.mark.parametrize(
    ("usage", "prompt", "written"),
    [
        ({"prompt_tokens": 20, "completion_tokens": 30, "total_tokens": 50}, 20, 30),
        ({"prompt_tokens": 20, "completion_tokens": 151, "total_tokens": 553}, 20, 533),
        ({"prompt_tokens": 20, "completion_tokens": 30, "total_tokens": None}, 20, 30),
        ({"prompt_tokens": 20, "completion_tokens": None, "total_tokens": 20}, 20, 0),
    ],
)
def test_tokens_that_were_thought_are_written_ones_also_where_the_total_alone_tells_them(usage, prompt, written):
    used = usage_of(usage)
    assert (used.prompt_tokens, used.completion_tokens) == (prompt, written)


@pytest.mark.parametrize(
    ("told", "cached"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 600}}, 600),
        ({"prompt_cache_hit_tokens": 600, "prompt_cache_miss_tokens": 400}, 600),
        ({"prompt_tokens_details": {"cached_tokens": 5000}}, 1000),
        ({"prompt_tokens_details": None}, 0),
        ({"prompt_tokens_details": {"cached_tokens": "many"}}, 0),
        ({}, 0),
    ],
)
def test_cached_tokens_cost_less_where_that_is_known(told, cached):
    usage = {"prompt_tokens": 1000, "completion_tokens": 100} | told
    assert usage_of(usage, price=Price(2.0, 8.0, 0.5)).cost_usd == pytest.approx(
        ((1000 - cached) * 2 + cached * 0.5 + 800) / 1e6
    )
    assert usage_of(usage, price=Price(2.0, 8.0)).cost_usd == pytest.approx(2800 / 1e6)


@pytest.mark.parametrize("message", ["null", "{}", '{"content": null}', '{"content": 3}'])
def test_a_message_without_content_is_an_empty_answer(message):
    answer = answer_of(f'{{"choices": [{{"message": {message}, "finish_reason": "length"}}]}}')
    assert (answer.text, answer.finish_reason, answer.model) == ("", "length", "m")


def test_the_status_inside_of_a_200_is_the_status():
    with pytest.raises(Trouble) as caught:
        answer_of('{"error": {"code": 429, "message": "busy upstream"}}')
    assert (caught.value.status, caught.value.message) == (429, "busy upstream")


@pytest.mark.parametrize("content", ["null", "[]", "3", '"text"', "{}", '{"choices": null}', '{"choices": [null]}', ""])
def test_any_other_body_is_no_api(content):
    with pytest.raises(Trouble) as caught:
        answer_of(content)
    assert (caught.value.status, caught.value.is_api) == (200, False)


def test_a_body_says_what_the_dialect_says():
    asked = request(schema=SCHEMA)
    assert b'"json_schema"' in body_of(asked, "m", Dialect())
    assert b'"response_format":{"type":"json_object"}' in body_of(asked, "m", Dialect(Form.JSON_OBJECT))
    assert b"response_format" not in body_of(asked, "m", Dialect(Form.TEXT))
    assert b'"max_completion_tokens":500' in body_of(asked, "m", Dialect(max_completion_tokens=True))
    assert b"seed" not in body_of(asked, "m", Dialect(left_out=frozenset({"seed"})))
