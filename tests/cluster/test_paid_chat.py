import asyncio
import os
import re
import selectors
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import pytest

from cluster.chat import ChatAnswer, ChatRequest, Role, ScriptedChat, Usage
from cluster.errors import CallFailed, FailureKind, Halt
from cluster.journal import JournalReader, JournalWriter, index_segments, read_records
from cluster.journaled_chat import JournaledChat
from cluster.key_board import KeyBoard, KeySet, News
from cluster.key_news import KeyNews
from cluster.keys import Endpoint, Secret
from cluster.lanes import Lane, Lanes
from cluster.meter import Tally
from cluster.paid_chat import TRIES, PaidChat
from cluster.retry import Trouble

T = TypeVar("T")
KEY = "sk-very-secret-9000"


# --- a loop whose clock jumps to the next thing to do, so that an hour of waiting takes no time


class Clock:
    now = 1000.0


class JumpingSelector(selectors.DefaultSelector):
    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:  # only a thread can bring news
            ready = super().select(0.2)
            if not ready:
                raise RuntimeError("everybody waits for what will never happen")
            return ready
        self.clock.now += max(0.0, timeout)
        return super().select(0)


class JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.clock = Clock()
        super().__init__(JumpingSelector(self.clock))

    def time(self) -> float:
        return self.clock.now


def play(main: Callable[[], Awaitable[T]]) -> T:
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(main())


def now() -> float:
    """Seconds since the loop began."""
    return asyncio.get_running_loop().time() - 1000.0


# --- the fakes


class Endpoints:
    """A transport: what `script` says of a key's name and the item, after `takes_s`. Keeps when what was sent."""

    def __init__(self, script: Callable[[str, str], object], takes_s: float = 1.0) -> None:
        self.script, self.takes_s = script, takes_s
        self.sent: list[tuple[float, str, str]] = []
        self.in_flight: Counter[str] = Counter()
        self.peak: Counter[str] = Counter()
        self.closed = False

    async def send(self, lane: Lane, request: ChatRequest) -> ChatAnswer:
        name = lane.key_name
        self.sent.append((now(), name, request.item))
        for which in (name, "all"):
            self.in_flight[which] += 1
            self.peak[which] = max(self.peak[which], self.in_flight[which])
        try:
            await asyncio.sleep(self.takes_s)
            said = self.script(name, request.item)
        finally:
            self.in_flight.subtract((name, "all"))
        if isinstance(said, BaseException):
            raise said
        return said if isinstance(said, ChatAnswer) else ChatAnswer(str(said), "m", usage=Usage(1, 10, 5, 0.5))

    async def close(self) -> None:
        self.closed = True

    def times(self, name: str | None = None) -> list[float]:
        return [round(at, 6) for at, key, _ in self.sent if name in (None, key)]


def in_turn(*said: object) -> Callable[[str, str], object]:
    left = list(said)
    return lambda key, item: left.pop(0) if left else "fine"


class MeterHandle:
    """An actor handle, as a `Tally` uses it."""

    class _Method:
        def __init__(self, call: Callable[..., Awaitable[None]]) -> None:
            self.remote = call

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.notes: dict[str, str] = {}
        self.add = self._Method(self._add)

    async def _add(self, counts: dict[str, float], notes: dict[str, str]) -> None:
        self.counts.update(counts)
        self.notes |= notes


def endpoint(name: str = "e", *keys: str, **settings: object) -> Endpoint:
    return Endpoint(
        name, f"http://{name}/v1", "m", [(key, Secret(f"{KEY}-{key}")) for key in keys or ("a",)], **settings
    )


def request(item: str = "item", text: str = "Hello?") -> ChatRequest:
    return ChatRequest(Role.PERSONA, [{"role": "user", "content": text}], item, 100, 0.9, 7)


def chat_over(
    transport: Endpoints, *endpoints: Endpoint, meter: MeterHandle | None = None, **options: float
) -> PaidChat:
    clock = asyncio.get_running_loop().time
    return PaidChat(Lanes(endpoints or [endpoint()]), transport, Tally(meter), clock, **options)


async def all_of(chat: PaidChat, count: int) -> list[object]:
    """Outcomes of so many calls made at once: texts, or the errors."""
    calls = (chat.answer(request(str(number))) for number in range(count))
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    return [one.text if isinstance(one, ChatAnswer) else one for one in outcomes]


def one_call(transport: Endpoints, *endpoints: Endpoint, **options: float) -> tuple[object, float]:
    """The outcome of a single call, and how long it took."""

    async def main() -> tuple[object, float]:
        [outcome] = await all_of(chat_over(transport, *endpoints, **options), 1)
        return outcome, round(now(), 6)

    return play(main)


def many_calls(transport: Endpoints, count: int, *endpoints: Endpoint, **options: float) -> tuple[list[object], float]:
    async def main() -> tuple[list[object], float]:
        outcomes = await all_of(chat_over(transport, *endpoints, **options), count)
        return outcomes, round(now(), 6)

    return play(main)


def throttled(seconds: float | None = None) -> Trouble:
    return Trouble(429, "slow down", "rate_limit_exceeded", seconds)


UNAUTHORISED = Trouble(401, "no such key")
SILENT = Trouble(None, "connection refused", connected=False)


# --- 429


def test_a_throttled_call_waits_exactly_as_long_as_it_was_told():
    transport = Endpoints(in_turn(throttled(20.0)))
    assert one_call(transport) == ("fine", 22.0)
    assert transport.times() == [0.0, 21.0]


def test_throttling_never_uses_up_the_tries():
    transport = Endpoints(in_turn(*[throttled(20.0)] * 100))
    assert one_call(transport) == ("fine", 101 + 100 * 20.0)


def test_throttling_without_a_time_backs_off_up_to_a_minute():
    transport = Endpoints(in_turn(*[throttled()] * 8), takes_s=0.0)
    one_call(transport)
    assert [after - before for before, after in pairwise(transport.times())] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_throttled_call_goes_to_another_key_at_once():
    transport = Endpoints(in_turn(throttled(20.0)))
    assert one_call(transport, endpoint("e", "a", "b")) == ("fine", 2.0)
    assert {key for _, key, _ in transport.sent} == {"a", "b"}


def test_a_resting_key_is_asked_nothing_until_it_may():
    def script(key: str, item: str) -> object:
        return throttled(20.0) if key == "a" and now() < 15 else "fine"

    transport = Endpoints(script)
    outcomes, _ = many_calls(transport, 60, endpoint("e", "a", "b", max_concurrency=2))
    assert outcomes == ["fine"] * 60
    assert not [at for at in transport.times("a") if 1.0 <= at < 21.0]
    assert [at for at in transport.times("a") if at >= 21.0]


def test_a_storm_of_throttling_delays_calls_and_loses_none():
    def script(key: str, item: str) -> object:
        return throttled(5.0) if now() < 10 else "fine"

    transport = Endpoints(script)
    outcomes, seconds = many_calls(transport, 64, endpoint(max_concurrency=32))
    assert outcomes == ["fine"] * 64
    assert transport.times() == sorted(transport.times())
    assert {at for at in transport.times() if at < 12} == {0.0, 6.0}
    assert seconds == 14.0


def test_a_call_may_wait_for_a_permit_for_an_hour():
    outcomes, seconds = many_calls(Endpoints(in_turn(), takes_s=60.0), 60, endpoint(max_concurrency=1))
    assert (outcomes, seconds) == (["fine"] * 60, 3600.0)


# --- dead keys


def test_the_work_of_a_retired_key_goes_to_the_other():
    def script(key: str, item: str) -> object:
        return UNAUTHORISED if key == "a" else "fine"

    transport = Endpoints(script)
    outcomes, _ = many_calls(transport, 100, endpoint("e", "a", "b", max_concurrency=4))
    assert outcomes == ["fine"] * 100
    assert len(transport.times("a")) == 4  # those that were in flight with the first refusal


def test_when_all_keys_are_dead_the_run_halts_and_names_them_and_no_secret():
    meter = MeterHandle()

    async def main() -> list[object]:
        chat = chat_over(Endpoints(lambda *_: UNAUTHORISED), endpoint("e", "env:A", "file:k line 2"), meter=meter)
        outcomes = await all_of(chat, 1)
        await asyncio.sleep(1)
        return outcomes

    [halt] = play(main)
    assert isinstance(halt, Halt)
    assert "env:A: HTTP 401" in str(halt) and "file:k line 2: HTTP 401" in str(halt)
    assert meter.notes == {"key env:A": "retired: HTTP 401", "key file:k line 2": "retired: HTTP 401"}
    assert KEY not in str(halt) + repr(halt) + repr(meter.notes)


def test_a_key_without_money_halts_the_run_even_as_a_429():
    halt, _ = one_call(Endpoints(lambda *_: Trouble(429, "pay", "insufficient_quota", 20.0)))
    assert isinstance(halt, Halt) and "insufficient_quota" in str(halt)


@pytest.mark.parametrize("waiting", [1, 3, 50])
def test_all_calls_that_wait_are_halted_when_the_last_key_dies(waiting):
    outcomes, seconds = many_calls(Endpoints(lambda *_: UNAUTHORISED), waiting, endpoint(max_concurrency=1))
    assert [type(one) for one in outcomes] == [Halt] * waiting
    assert seconds < 2


# --- fallback


def test_the_second_endpoint_serves_only_while_the_first_rests():
    transport = Endpoints(lambda key, item: throttled(20.0) if key == "a" and now() < 5 else "fine")

    async def main() -> None:
        chat = chat_over(transport, endpoint("first", "a"), endpoint("second", "b"))
        for _ in range(40):
            await chat.answer(request())

    play(main)
    assert transport.times("b") == [float(second) for second in range(1, 21)]
    assert transport.times("a") == [0.0, *(float(second) for second in range(21, 41))]


@pytest.mark.parametrize("trouble", [SILENT, UNAUTHORISED, throttled(20.0)])
def test_all_who_wait_for_the_first_endpoint_go_to_the_second_when_it_is_out(trouble):
    transport = Endpoints(lambda key, item: trouble if key == "a" else "fine")
    outcomes, seconds = many_calls(transport, 20, endpoint("first", "a", max_concurrency=4), endpoint("second", "b"))
    assert (outcomes, seconds) == (["fine"] * 20, 2.0)
    assert len(transport.times("a")) == 4


def test_with_a_fallback_a_silent_first_endpoint_never_ends_the_run():
    transport = Endpoints(lambda key, item: SILENT if key == "a" else "fine")

    async def main() -> int:
        chat = chat_over(transport, endpoint("first", "a"), endpoint("second", "b"))
        return len([await chat.answer(request(str(number))) for number in range(1000)])

    assert play(main) == 1000
    assert 5 < len(transport.times("a")) < 50  # asked now and then whether it is back


# --- outages


def test_an_outage_is_waited_out():
    transport = Endpoints(lambda *_: SILENT if now() < 60 else "fine", takes_s=0.0)
    outcome, seconds = one_call(transport)
    assert outcome == "fine"
    assert 60 <= seconds < 95
    assert transport.times()[:6] == [0, 1, 3, 7, 15, 31]


def test_an_outage_beyond_the_patience_halts_and_names_the_endpoint():
    transport = Endpoints(lambda *_: SILENT, takes_s=0.0)
    halt, seconds = one_call(transport, patience_s=120.0)
    assert isinstance(halt, Halt) and "connection refused" in str(halt)
    assert 120 <= seconds <= 151
    assert len(transport.sent) < 12


def test_all_calls_that_wait_are_halted_when_the_patience_is_over():
    outcomes, seconds = many_calls(Endpoints(lambda *_: SILENT, takes_s=0.01), 300, endpoint(max_concurrency=4))
    assert {type(one) for one in outcomes} == {Halt}
    assert 600 <= seconds <= 661


def test_the_patience_begins_anew_after_an_answer():
    def script(key: str, item: str) -> object:
        return "fine" if 500 < now() < 540 else SILENT

    async def main() -> float:
        chat = chat_over(Endpoints(script), endpoint())
        with pytest.raises(Halt):
            while True:
                await chat.answer(request())
        return now()

    assert play(main) > 500 + 600


def test_an_endpoint_that_refuses_at_times_is_not_silent():
    outcome, seconds = one_call(
        Endpoints(lambda *_: "fine" if now() > 2000 else throttled(5.0) if now() % 500 > 250 else SILENT)
    )
    assert outcome == "fine"
    assert seconds > 2000


def test_what_is_wrong_is_told_while_it_is_and_taken_back_when_it_is_over():
    meter, told = MeterHandle(), []

    async def main() -> None:
        chat = chat_over(Endpoints(lambda *_: SILENT if now() < 20 else "fine"), endpoint(), meter=meter)
        call = asyncio.create_task(chat.answer(request()))
        await asyncio.sleep(10)
        told.append(meter.notes["endpoint"])
        await call
        await asyncio.sleep(1)
        told.append(meter.notes["endpoint"])

    play(main)
    assert told == ["nobody answers at http://e/v1; waiting", ""]


@pytest.mark.parametrize("trouble", [Trouble(500, "sorry"), Trouble(None, "no answer in 120 s"), Trouble(503, "busy")])
def test_while_an_endpoint_answers_nobody_no_item_is_lost(trouble):
    transport = Endpoints(lambda *_: trouble if now() < 300 else "fine", takes_s=0.1)
    outcomes, seconds = many_calls(transport, 100, endpoint("e", "a", "b"))
    assert outcomes == ["fine"] * 100
    assert 300 < seconds < 335
    assert len([at for at in transport.times() if at < 300]) < 130  # the first round, and a probe now and then


def test_what_comes_of_one_probe_holds_for_all_who_wait():
    def script(key: str, item: str) -> object:
        return Trouble(500, "sorry") if now() < 10 else "fine"

    transport = Endpoints(script, takes_s=1.0)
    outcomes, seconds = many_calls(transport, 300, endpoint())
    assert outcomes == ["fine"] * 300
    probes = [at for at in transport.times() if 1 < at < 11]
    assert probes == [2.0, 5.0, 10.0]
    assert seconds < 20


def test_an_item_that_no_endpoint_can_answer_is_given_up_though_it_be_the_last():
    transport = Endpoints(lambda key, item: Trouble(500, "sorry") if item in list("012") else "fine", takes_s=0.01)
    outcomes, seconds = many_calls(transport, 40, endpoint())
    assert [type(one) for one in outcomes[:3]] == [CallFailed] * 3
    assert outcomes[3:] == ["fine"] * 37
    assert seconds < 60


def test_an_endpoint_that_names_its_rest_is_left_alone_for_it():
    transport = Endpoints(in_turn(Trouble(503, "loading", retry_after_s=20.0)))
    outcome, seconds = one_call(transport, endpoint("e", "a", "b"))
    assert outcome == "fine"
    assert transport.times()[1] >= 21.0
    assert seconds < 23


def test_a_lost_attempt_is_made_again_elsewhere():
    transport = Endpoints(lambda key, item: Trouble(500, "sorry") if key in "ab" else "fine", takes_s=0.0)
    outcome, _ = one_call(transport, endpoint("first", "a", "b"), endpoint("second", "c"))
    assert outcome == "fine"
    assert Counter(key for _, key, _ in transport.sent) == {"a": 1, "b": 1, "c": 1}


def test_while_all_keys_rest_it_is_told_until_when():
    meter, told = MeterHandle(), []

    async def main() -> None:
        chat = chat_over(Endpoints(in_turn(throttled(20.0))), endpoint(), meter=meter)
        call = asyncio.create_task(chat.answer(request()))
        await asyncio.sleep(10)
        told.append(meter.notes["keys"])
        await call
        await asyncio.sleep(1)
        told.append(meter.notes["keys"])

    play(main)
    assert re.fullmatch(r"all rest until \d\d:\d\d:\d\d", told[0])
    assert told[1] == ""


# --- keys that are exchanged


class Board:
    """A key broker behind a handle, as Ray gives one."""

    def __init__(self) -> None:
        self.board, self.changed = KeyBoard(), asyncio.Event()
        self.watch, self.rest, self.retire = (
            MeterHandle._Method(call) for call in (self._watch, self._rest, self._retire)
        )

    async def _watch(self, version: int) -> News:
        if version == self.board.version:
            await self.changed.wait()
        return self.board.news(asyncio.get_running_loop().time())

    async def _rest(self, lane: str, seconds: float) -> None:
        self.board.rest(lane, seconds, asyncio.get_running_loop().time())
        self.tell()

    async def _retire(self, lane: str, why: str) -> None:
        self.board.retire(lane, why)
        self.tell()

    def put_in(self, generation: int, **keys: tuple[str, ...]) -> None:
        sets = {at: [(name, Secret(f"{KEY}-{name}")) for name in names] for at, names in keys.items()}
        self.board.put_in(KeySet(generation, sets))
        self.tell()

    def tell(self) -> None:
        told, self.changed = self.changed, asyncio.Event()
        told.set()


def caller(board: Board, transport: Endpoints, *endpoints: Endpoint) -> PaidChat:
    clock = asyncio.get_running_loop().time
    return PaidChat(Lanes(endpoints), transport, Tally(None), clock, news=KeyNews(board, clock))


def test_a_key_that_is_put_in_while_the_run_waits_for_one_ends_the_wait():
    transport = Endpoints(lambda key, item: "fine" if key == "b" else UNAUTHORISED)

    async def main() -> list[object]:
        board = Board()
        chat = caller(board, transport, endpoint("e", "a", rotates=True))
        calls = asyncio.create_task(all_of(chat, 20))
        await asyncio.sleep(100)
        board.put_in(1, e=("b",))
        outcomes = await calls
        await chat.close()
        return [*outcomes, round(now())]

    assert play(main) == ["fine"] * 20 + [101]


def test_without_another_key_in_time_the_run_halts():
    async def main() -> tuple[object, float]:
        chat = caller(Board(), Endpoints(lambda *_: UNAUTHORISED), endpoint("e", "a", rotates=True))
        [outcome] = await all_of(chat, 1)
        await chat.close()
        return outcome, now()

    halt, seconds = play(main)
    assert isinstance(halt, Halt) and "a: HTTP 401" in str(halt)
    assert 600 <= seconds < 605


def test_what_one_caller_is_told_of_a_key_holds_for_all():
    """Three callers, two keys: one is dead, the other rests once; no call of any caller reaches either too early."""
    cooled: list[float] = []

    def script(key: str, item: str) -> object:
        if key == "dead":
            return UNAUTHORISED
        if not cooled:
            cooled.append(now())
            return throttled(30.0)
        return "fine"

    transport = Endpoints(script, takes_s=0.5)

    async def main() -> list[object]:
        board = Board()
        chats = [caller(board, transport, endpoint("e", "dead", "alive")) for _ in range(3)]
        for chat in chats[1:]:  # they listen from their first call on
            chat._news.listen(chat._lanes, chat._wake_all)
        outcomes = [asyncio.create_task(all_of(chats[0], 2))]
        await asyncio.sleep(1)
        outcomes += [asyncio.create_task(all_of(chat, 4)) for chat in chats[1:]]
        texts = [text for task in outcomes for text in await task]
        for chat in chats:
            await chat.close()
        return texts

    assert play(main) == ["fine"] * 10
    assert len(transport.times("dead")) == 1
    assert not [at for at in transport.times("alive") if cooled[0] < at < cooled[0] + 30]


# --- what is tried again, and what is not


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_a_refused_request_is_final(status):
    transport = Endpoints(lambda *_: Trouble(status, "too long"))
    failure, _ = one_call(transport, endpoint("e", "a", "b"))
    assert isinstance(failure, CallFailed)
    assert (failure.kind, failure.message, failure.attempts) == (FailureKind.REFUSED, "too long", 1)
    assert len(transport.sent) == 1


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        (Trouble(500, "sorry"), FailureKind.EXHAUSTED),
        (Trouble(None, "no answer in 120 s"), FailureKind.EXHAUSTED),
        (Trouble(200, "HTML", is_api=False), FailureKind.NOT_AN_API),
    ],
)
def test_a_lost_attempt_is_tried_again_and_then_given_up(trouble, kind):
    transport = Endpoints(lambda *_: trouble)
    failure, _ = one_call(transport)
    assert isinstance(failure, CallFailed)
    assert (failure.kind, failure.message, failure.attempts) == (kind, trouble.message, TRIES)
    assert len(transport.sent) == TRIES


def test_a_lost_attempt_costs_no_item_while_tries_are_left():
    assert one_call(Endpoints(in_turn(*[Trouble(503, "busy")] * (TRIES - 1))))[0] == "fine"


def test_between_tries_some_time_passes_and_more_each_time():
    transport = Endpoints(lambda *_: Trouble(503, "busy"), takes_s=0.0)
    one_call(transport)
    pauses = [after - before for before, after in pairwise(transport.times())]
    assert all(0.05 * 2**at <= pause <= 0.5 * 2**at for at, pause in enumerate(pauses))


def test_a_call_that_backs_off_holds_no_permit():
    def script(key: str, item: str) -> object:
        return Trouble(503, "busy") if item == "0" else "fine"

    outcomes, _ = many_calls(Endpoints(script, takes_s=0.01), 100, endpoint(max_concurrency=1))
    assert isinstance(outcomes[0], CallFailed)
    assert outcomes[1:] == ["fine"] * 99


def test_throttling_between_lost_attempts_does_not_count():
    busy = Trouble(503, "busy")
    said = [thing for _ in range(TRIES - 1) for thing in (busy, throttled(20.0))]
    transport = Endpoints(in_turn(*said))
    assert one_call(transport)[0] == "fine"
    assert len(transport.sent) == 2 * TRIES - 1


def test_troubles_are_counted():
    meter = MeterHandle()

    async def main() -> None:
        chat = chat_over(Endpoints(in_turn(throttled(1.0), Trouble(503, "busy"), throttled(1.0))), meter=meter)
        await chat.answer(request())
        await asyncio.sleep(1)

    play(main)
    assert (meter.counts["throttled"], meter.counts["retries"]) == (2, 1)


# --- limits


def test_no_more_calls_are_in_flight_than_allowed_and_no_fewer():
    transport = Endpoints(in_turn())
    _, seconds = many_calls(transport, 50, endpoint("e", "a", "b", max_concurrency=5))
    assert transport.peak == {"a": 5, "b": 5, "all": 10}
    assert seconds == 5.0


def test_the_bound_holds_through_troubles_of_every_kind():
    troubles = [throttled(0.5), Trouble(503, "busy"), Trouble(400, "no"), Trouble(None, "reset"), "fine", "fine"]
    transport = Endpoints(in_turn(*troubles * 50), takes_s=0.1)
    outcomes, _ = many_calls(transport, 200, endpoint("e", "a", "b", max_concurrency=3))
    assert len(outcomes) == 200
    assert transport.peak["all"] <= 6 and max(transport.peak["a"], transport.peak["b"]) <= 3
    assert transport.in_flight["all"] == 0


def test_a_call_that_is_cancelled_gives_its_permit_back():
    async def main() -> str:
        chat = chat_over(Endpoints(in_turn(), takes_s=100.0), endpoint(max_concurrency=1))
        first = asyncio.create_task(chat.answer(request()))
        second = asyncio.create_task(chat.answer(request()))
        await asyncio.sleep(1)
        first.cancel()
        return (await second).text

    assert play(main) == "fine"


def test_a_call_that_is_cancelled_as_it_waits_takes_no_permit_along():
    async def main() -> str:
        chat = chat_over(Endpoints(in_turn(), takes_s=10.0), endpoint(max_concurrency=1))
        _, waiting, last = (asyncio.create_task(chat.answer(request())) for _ in range(3))
        await asyncio.sleep(10.0)  # the first ends now, and its permit is on the way to the second
        waiting.cancel()
        return (await last).text

    assert play(main) == "fine"


def test_a_mistake_of_ours_passes_and_gives_its_permit_back():
    outcomes, _ = many_calls(Endpoints(in_turn(ZeroDivisionError())), 2, endpoint(max_concurrency=1))
    assert isinstance(outcomes[0], ZeroDivisionError)
    assert outcomes[1] == "fine"


def test_closing_closes_the_connections():
    async def main() -> bool:
        transport = Endpoints(in_turn())
        await chat_over(transport).close()
        return transport.closed

    assert play(main)


# --- the journal


class Paid(ScriptedChat):
    """A model that counts what it was asked; answers may be given whole."""

    def __init__(self, script: Callable[[ChatRequest], object] = lambda asked: f"says {asked.item}") -> None:
        self.script, self.asked, self.closed = script, [], False

    async def answer(self, request: ChatRequest) -> ChatAnswer:
        self.asked.append(request.item)
        said = self.script(request)
        if isinstance(said, BaseException):
            raise said
        return said if isinstance(said, ChatAnswer) else ChatAnswer(str(said), "m", "stop", Usage(1, 10, 5, 0.5))

    async def close(self) -> None:
        self.closed = True


async def journaled(folder: Path, paid: Paid, *asked: ChatRequest, meter: MeterHandle | None = None) -> list[object]:
    """What a caller that starts now gets; its end is as clean as that of a killed process."""
    index_segments(folder)
    tally = Tally(meter)
    chat = JournaledChat(paid, JournalReader(folder), JournalWriter(folder, "w"), tally)
    outcomes = await asyncio.gather(*map(chat.answer, asked), return_exceptions=True)
    await tally.flush()
    return list(outcomes)


def session(folder: Path, paid: Paid, *asked: ChatRequest, meter: MeterHandle | None = None) -> list[object]:
    return asyncio.run(journaled(folder, paid, *asked, meter=meter))


def test_what_was_paid_for_once_is_free_in_the_next_session_and_comes_back_whole(tmp_path):
    first, second = Paid(), Paid()
    before = session(tmp_path, first, request("1"), request("2"))
    after = session(tmp_path, second, request("1"), request("2"), request("3"))
    assert before == [ChatAnswer(f"says {item}", "m", "stop", Usage(1, 10, 5, 0.5)) for item in "12"]
    assert after[:2] == before
    assert (first.asked, second.asked) == (["1", "2"], ["3"])


@pytest.mark.parametrize(
    "change",
    [
        {"item": "2"},
        {"seed": 8},
        {"temperature": 0.1},
        {"max_tokens": 99},
        {"role": Role.JUDGE},
        {"schema": {"type": "object"}},
        {"messages": [{"role": "user", "content": "Hello!"}]},
    ],
)
def test_another_item_or_request_is_another_call(tmp_path, change):
    session(tmp_path, Paid(), request("1"))
    second = Paid()
    session(tmp_path, second, replace(request("1"), **change))
    assert len(second.asked) == 1


def test_a_failure_is_not_kept(tmp_path):
    for fault in (CallFailed(FailureKind.EXHAUSTED, "busy", 5), Halt("no key")):
        assert session(tmp_path, Paid(lambda _, fault=fault: fault), request("1")) == [fault]
    assert session(tmp_path, Paid(), request("1"))[0].text == "says 1"


@pytest.mark.parametrize(("reason", "kind"), [("stop", FailureKind.EMPTY), ("length", FailureKind.TRUNCATED)])
def test_an_answer_without_text_was_paid_for_and_is_kept_before_it_is_found_wanting(tmp_path, reason, kind):
    nothing = ChatAnswer(" \n", "m", reason, Usage(1, 10, 0, 0.5))
    for paid in (Paid(lambda _: nothing), Paid(lambda _: "not asked again")):
        [failure] = session(tmp_path, paid, request("1"))
        assert isinstance(failure, CallFailed) and failure.kind is kind
    assert len([record for path in tmp_path.glob("*.jsonl") for record in read_records(path)]) == 1


def test_the_record_holds_the_raw_answer_and_whose_it_is(tmp_path):
    session(tmp_path, Paid(lambda _: "raw\n```json\n{"), request("doc/0/1"))
    [record] = [record for path in tmp_path.glob("*.jsonl") for record in read_records(path)]
    assert record.item == "doc/0/1"
    assert record.answer["text"] == "raw\n```json\n{"
    assert KEY not in repr(record)


def test_tokens_and_cost_are_counted_when_they_are_paid_and_not_again(tmp_path):
    paying, resuming = MeterHandle(), MeterHandle()
    asked = [request(str(number)) for number in range(4)]
    session(tmp_path, Paid(), *asked, meter=paying)
    session(tmp_path, Paid(), *asked, meter=resuming)
    assert paying.counts == {"calls": 4, "prompt_tokens": 40, "completion_tokens": 20, "cost_usd": 2.0}
    assert resuming.counts == {"journal_hits": 4}


def test_an_empty_answer_is_counted_as_paid(tmp_path):
    meter = MeterHandle()
    session(tmp_path, Paid(lambda _: ChatAnswer("", "m", "stop", Usage(1, 10, 0, 0.5))), request("1"), meter=meter)
    assert (meter.counts["calls"], meter.counts["cost_usd"]) == (1, 0.5)


def full(disk: Path, left: int) -> Path:
    """Fills a disk but for about `left` bytes."""
    ballast, free = disk / "ballast", os.statvfs(disk)
    ballast.write_bytes(bytes(free.f_bavail * free.f_frsize - left))
    return ballast


class Gates:
    """A transport whose answers come when they are let through, each of its own size."""

    def __init__(self, sizes: dict[str, int]) -> None:
        self.sizes, self.sent = sizes, list[str]()
        self.open = {item: asyncio.Event() for item in sizes}

    async def send(self, lane: Lane, request: ChatRequest) -> ChatAnswer:
        self.sent.append(request.item)
        await self.open[request.item].wait()
        return ChatAnswer("x" * self.sizes[request.item], "m", usage=Usage(1, 10, 5, 0.5))

    async def close(self) -> None:
        return None


def test_an_answer_that_cannot_be_kept_ends_all_paying_but_not_the_keeping(small_disk):
    journal = small_disk / "journal"

    async def main() -> tuple[list[object], list[object], list[str]]:
        gates = Gates({"1": 300_000, "2": 1_000, "3": 1_000})
        paid = chat_over(gates, endpoint(max_concurrency=3))
        chat = JournaledChat(paid, JournalReader(journal), JournalWriter(journal, "w"), Tally(None))
        calls = {item: asyncio.ensure_future(chat.answer(request(item))) for item in "1234"}
        await asyncio.sleep(0.01)
        full(small_disk, 100_000)
        gates.open["1"].set()
        lost = await asyncio.gather(calls["1"], calls["4"], chat.answer(request("5")), return_exceptions=True)
        gates.open["2"].set()
        gates.open["3"].set()
        kept = await asyncio.gather(calls["2"], calls["3"], return_exceptions=True)
        return lost, kept, gates.sent

    lost, kept, sent = asyncio.run(main())
    assert [type(one) for one in lost] == [Halt, Halt, Halt]
    assert "No space left on device; free some and run again" in str(lost[1])
    assert [type(one) for one in kept] == [ChatAnswer, ChatAnswer]
    assert sent == ["1", "2", "3"]
    assert [record.item for path in journal.glob("*.jsonl") for record in read_records(path)] == ["2", "3"]


def test_where_the_disk_has_no_room_for_the_answer_the_call_is_not_paid(small_disk):
    paid = Paid()
    journal = small_disk / "journal"
    chat = JournaledChat(paid, JournalReader(journal), JournalWriter(journal, "w"), Tally(None))
    ballast = full(small_disk, 50_000)
    with pytest.raises(Halt, match=r"No space left .* free some and run again"):
        asyncio.run(chat.answer(replace(request(), max_tokens=20_000)))
    assert paid.asked == []
    ballast.unlink()


def test_what_is_on_the_wire_at_the_end_is_kept(tmp_path):
    async def main() -> None:
        chat = JournaledChat(Slow(), JournalReader(tmp_path), JournalWriter(tmp_path, "w"), Tally(None))
        call = asyncio.ensure_future(chat.answer(request("1")))
        await asyncio.sleep(0.001)
        await chat.close()
        await call

    asyncio.run(main())
    assert [record.item for path in tmp_path.glob("*.jsonl") for record in read_records(path)] == ["1"]


def test_after_catching_up_what_another_caller_paid_for_is_free(tmp_path):
    async def main() -> tuple[list[str], str]:
        index_segments(tmp_path)
        mine, theirs = Paid(), Paid()
        reader = JournalReader(tmp_path)
        chat = JournaledChat(mine, reader, JournalWriter(tmp_path, "mine"), Tally(None))
        other = JournaledChat(theirs, JournalReader(tmp_path), JournalWriter(tmp_path, "theirs"), Tally(None))
        await other.answer(request("1"))
        await other.answer(request("2"))
        await asyncio.gather(chat.catch_up(), chat.catch_up())
        answer = await chat.answer(request("1"))
        await chat.answer(request("3"))
        return mine.asked, answer.text

    assert asyncio.run(main()) == (["3"], "says 1")


class Slow(Paid):
    """Answers after a moment, so that others can ask meanwhile."""

    async def answer(self, request: ChatRequest) -> ChatAnswer:
        await asyncio.sleep(0.02)
        return await super().answer(request)


def test_a_call_that_is_asked_twice_at_once_is_paid_once(tmp_path):
    paid, meter = Slow(), MeterHandle()
    outcomes = session(tmp_path, paid, request("1"), request("1"), request("2"), meter=meter)
    assert [one.text for one in outcomes] == ["says 1", "says 1", "says 2"]
    assert sorted(paid.asked) == ["1", "2"]
    assert meter.counts["calls"] == 2


def test_a_call_that_fails_fails_for_all_who_asked_and_may_be_asked_again(tmp_path):
    lost = CallFailed(FailureKind.EXHAUSTED, "busy", 5)

    async def main() -> tuple[list[object], str]:
        paid = Slow(in_turn_of_requests(lost))
        chat = JournaledChat(paid, JournalReader(tmp_path), JournalWriter(tmp_path, "w"), Tally(None))
        both = await asyncio.gather(chat.answer(request("1")), chat.answer(request("1")), return_exceptions=True)
        return both, (await chat.answer(request("1"))).text

    assert asyncio.run(main()) == ([lost, lost], "fine")


def in_turn_of_requests(*said: object) -> Callable[[ChatRequest], object]:
    script = in_turn(*said)
    return lambda asked: script("", asked.item)


def test_a_call_on_the_wire_ends_in_the_journal_though_nobody_waits_any_more(tmp_path):
    async def main() -> None:
        chat = JournaledChat(Slow(), JournalReader(tmp_path), JournalWriter(tmp_path, "w"), Tally(None))
        call = asyncio.create_task(chat.answer(request("1")))
        await asyncio.sleep(0.001)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.sleep(0.1)

    asyncio.run(main())
    assert [record.item for path in tmp_path.glob("*.jsonl") for record in read_records(path)] == ["1"]


def test_closing_closes_the_model_and_the_journal(tmp_path):
    async def main() -> Paid:
        paid = Paid()
        await JournaledChat(paid, JournalReader(tmp_path), JournalWriter(tmp_path, "w"), Tally(None)).close()
        return paid

    assert asyncio.run(main()).closed
    assert list(tmp_path.glob("*.jsonl")) == []
