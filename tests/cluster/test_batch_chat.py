"""Batches over HTTP, against the tests' own provider and each of its faults."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import pytest

from cluster.batch import Rule, Stage, discounted
from cluster.batch_api import BatchApi
from cluster.batch_chat import BatchChat
from cluster.batch_client import BatchClient
from cluster.batch_folder import BatchFolder, outstanding
from cluster.chat import ChatAnswer, ChatRequest, Role
from cluster.errors import CallFailed, FailureKind, Halt
from cluster.journal import JournalReader, JournalWriter, index_segments, read_records, segments
from cluster.keys import Endpoint, Price, Secret
from cluster.lanes import Lanes
from cluster.meter import Tally
from cluster.paid_chat import TRIES, PaidChat
from cluster.patience import Patience
from cluster.spending import Unlimited
from cluster.transport import OpenAITransport

T = TypeVar("T")
KEY = "sk-very-secret-9000"
QUICK = Rule(quiet_s=0.05, poll_s=(0.02, 0.05), rest_s=0.1)


def request(number: int, text: str = "Hello?", role: Role = Role.PERSONA) -> ChatRequest:
    return ChatRequest(role, [{"role": "user", "content": text}], f"item-{number}", 100, 0.9, number)


class Money(Unlimited):
    """A purse that keeps what it was told."""

    def __init__(self) -> None:
        self.reserved = self.settled = 0.0

    def worst(self, request: ChatRequest) -> float:
        return 1.0

    def reserve(self, cost: float) -> None:
        self.reserved += cost

    def settle(self, reserved: float, request: ChatRequest, answer: ChatAnswer) -> None:
        self.reserved -= reserved
        self.settled += answer.usage.cost_usd

    def release(self, reserved: float, may_be_paid: bool) -> None:
        self.reserved -= reserved


class Session:
    """One life of a batch chat: what it asks, and how it is closed or, like a killed process, just dropped."""

    def __init__(self, server, folder: Path, rule: Rule = QUICK, keys: tuple[str, ...] = (KEY,), **roles: str) -> None:
        names = [(f"key {number}", Secret(key)) for number, key in enumerate(keys)]
        endpoint = Endpoint("e", server.base_url, "m", names, roles=roles, price=Price(1.0, 2.0))
        index_segments(folder / "journal")
        self.folder, self.money, tally = folder, Money(), Tally(None)
        self.transport = OpenAITransport(10.0)
        online = PaidChat(Lanes([endpoint]), self.transport, tally)
        dialect = self._dialect_of(endpoint)
        batches, api = BatchFolder(folder / "batches", "run"), BatchApi(endpoint, 10.0)
        patience = Patience(Lanes([endpoint]), tally, time.monotonic, outage_patience_s=1.0, trouble_patience_s=5.0)
        client = BatchClient(endpoint, batches, api, patience, dialect, tally, rule)
        self.chat = BatchChat(
            discounted(endpoint),
            batches,
            client,
            online,
            dialect,
            JournalReader(folder / "journal"),
            JournalWriter(folder / "journal", f"w{time.monotonic_ns()}"),
            tally,
            self.money,
            rule,
        )

    def _dialect_of(self, endpoint: Endpoint):
        return lambda request: self.transport.dialect(endpoint, request)

    async def ask(self, *requests: ChatRequest) -> list[ChatAnswer | BaseException]:
        return await asyncio.gather(*map(self.chat.answer, requests), return_exceptions=True)


def play(session: Callable[[], Session], main: Callable[[Session], Awaitable[T]]) -> T:
    async def whole() -> T:
        one = session()
        try:
            return await asyncio.wait_for(main(one), 60)
        finally:
            await one.chat.close()

    return asyncio.run(whole())


def ask(server, folder: Path, *requests: ChatRequest, **options: object) -> list[ChatAnswer | BaseException]:
    return play(lambda: Session(server, folder, **options), lambda session: session.ask(*requests))


def journaled(folder: Path) -> list[str]:
    return [record.item for path in segments(folder / "journal") for record in read_records(path)]


TEN = [request(number) for number in range(10)]


def all_answered(folder: Path, server, answers: list[ChatAnswer | BaseException], count: int = 10) -> dict:
    """Every call has its answer, once journaled and once paid, and nothing is left behind. Returns what was counted."""
    assert [one for one in answers if not isinstance(one, ChatAnswer)] == []
    assert sorted(journaled(folder)) == sorted(f"item-{number}" for number in range(count))
    stats = server.stats()
    assert (stats["paid"], stats["repaid"]) == (count, 0)
    assert [path.name for path in (folder / "batches").iterdir()] == [".lock"]
    return stats["batches"]


def test_calls_go_in_one_batch_after_the_first_that_tells_how_to_ask(shared_server, tmp_path):
    server = shared_server(keys=[KEY])
    done = all_answered(tmp_path, server, ask(server, tmp_path, *TEN))
    assert (done["created"], done["requests"], done["files"]) == (1, 9, [])


def test_answers_cost_half_and_are_those_that_come_online(shared_server, tmp_path):
    server = shared_server()
    first, *others = ask(server, tmp_path, *TEN)
    for one in (first, *others):
        usage = one.usage
        share = 1.0 if one is first else 0.5
        assert usage.cost_usd == pytest.approx(share * (usage.prompt_tokens + 2 * usage.completion_tokens) / 1e6)


def test_what_is_journaled_is_not_asked_for(shared_server, tmp_path):
    server = shared_server()
    first = ask(server, tmp_path, *TEN)
    assert ask(server, tmp_path, *TEN) == first
    all_answered(tmp_path, server, first)


def test_a_batch_holds_no_more_than_the_provider_takes(shared_server, tmp_path):
    server = shared_server(batch_requests=4)
    done = all_answered(tmp_path, server, ask(server, tmp_path, *TEN, rule=Rule(4, 10**6, 0.05, poll_s=(0.02, 0.05))))
    assert (done["created"], done["largest"]) == (3, 4)


def test_every_model_has_batches_of_its_own(shared_server, tmp_path):
    server = shared_server()
    asked = [request(number, role=Role.PERSONA if number % 2 else Role.RESPONDENT) for number in range(10)]
    done = all_answered(tmp_path, server, ask(server, tmp_path, *asked, respondent="other"))
    assert (done["created"], done["requests"]) == (2, 8)


def test_a_batch_asks_as_the_endpoint_wants_to_be_asked(shared_server, tmp_path):
    server = shared_server(refuse=["max_tokens", "temperature"])
    all_answered(tmp_path, server, ask(server, tmp_path, *TEN))


def test_an_item_that_fails_for_now_goes_into_the_next_batch(shared_server, tmp_path):
    server = shared_server(script=["3=500", "5=429"])
    done = all_answered(tmp_path, server, ask(server, tmp_path, *TEN))
    assert (done["created"], done["requests"], done["failed"]) == (2, 11, 2)


def test_an_item_that_fails_for_good_fails_alone(shared_server, tmp_path):
    server = shared_server(marker={"Fatal": "400", "Filtered": "content_filter"})
    *good, bad, filtered = ask(server, tmp_path, *TEN, request(10, "Fatal"), request(11, "Filtered"))
    assert all(isinstance(one, ChatAnswer) for one in good)
    assert (bad.kind, filtered.kind) == (FailureKind.REFUSED, FailureKind.FILTERED)
    assert server.stats()["batches"]["created"] == 1


def test_an_item_that_never_succeeds_is_given_up_after_its_tries(shared_server, tmp_path):
    server = shared_server(marker={"Never": "500"})
    *good, bad = ask(server, tmp_path, *TEN, request(10, "Never"))
    assert all(isinstance(one, ChatAnswer) for one in good)
    assert isinstance(bad, CallFailed) and (bad.kind, bad.attempts) == (FailureKind.EXHAUSTED, TRIES)
    assert server.stats()["batches"]["created"] == TRIES


@pytest.mark.parametrize("ending", ["expired", "cancelled"])
def test_what_a_batch_left_undone_is_sent_again_and_the_rest_kept(shared_server, tmp_path, ending):
    server = shared_server(batch_endings=[ending])
    done = all_answered(tmp_path, server, ask(server, tmp_path, *TEN))
    assert (done["created"], done["requests"], done["completed"]) == (2, 9 + 5, 9)


def test_a_batch_that_is_refused_as_a_whole_is_sent_again(shared_server, tmp_path):
    server = shared_server(batch_endings=["failed"])
    assert all_answered(tmp_path, server, ask(server, tmp_path, *TEN))["created"] == 2


def test_batches_that_are_always_refused_end_the_run_with_the_provider_s_words(shared_server, tmp_path):
    server = shared_server(batch_endings=["failed"] * 9)
    _, *others = ask(server, tmp_path, *TEN)
    assert all(isinstance(one, Halt) and "could not be validated" in str(one) for one in others)
    assert server.stats()["batches"]["created"] == 3


def test_lines_that_validation_refuses_fail_and_the_others_are_sent_again(shared_server, tmp_path):
    server = shared_server(batch_endings=["failed_lines"])
    _, refused, *others = ask(server, tmp_path, *TEN)
    assert refused.kind is FailureKind.REFUSED and "line is not supported" in refused.message
    assert all(isinstance(one, ChatAnswer) for one in others)


def test_batches_become_smaller_where_the_provider_holds_no_more(shared_server, tmp_path):
    server = shared_server(batch_enqueued=5)
    done = all_answered(tmp_path, server, ask(server, tmp_path, *TEN))
    assert done["statuses"]["failed"] >= 1 and done["completed"] == 9


FAULTS = [
    *(f"{route}:0={fault}" for route in ("upload", "create") for fault in ("503", "429", "reset", "lost")),
    "retrieve:0-2=500",
    "retrieve:0=429",
    "content:0=503",
    "content:0=cut",
    "content:0=reset",
    "delete:0=500",
]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_call_of_the_batch_api_that_fails_is_made_again(shared_server, tmp_path, fault):
    server = shared_server(batch_script=[fault])
    assert all_answered(tmp_path, server, ask(server, tmp_path, *TEN))["created"] == 1


def test_a_dead_key_is_retired_and_another_one_goes_on(shared_server, tmp_path):
    server = shared_server(batch_script=["create:0=401"], batch_accounts=True)
    answers = ask(server, tmp_path, *TEN, keys=("k1", "k2"))
    assert all_answered(tmp_path, server, answers)["created"] == 1


def test_no_key_left_ends_the_run(shared_server, tmp_path):
    server = shared_server(batch_script=["upload:0-=401"])
    _, *others = ask(server, tmp_path, *TEN)
    assert all(isinstance(one, Halt) and "no usable key is left" in str(one) and KEY not in str(one) for one in others)


def test_an_endpoint_without_batches_says_so(shared_server, tmp_path):
    server = shared_server(batches=False)
    _, *others = ask(server, tmp_path, *TEN)
    assert all(isinstance(one, Halt) and "HTTP 404" in str(one) and "[].batch" in str(one) for one in others)


def test_an_endpoint_that_stays_away_ends_the_run_and_its_batch_stays_under_way(model_server, tmp_path):
    server = model_server(batch_s=60.0)

    async def main(session: Session) -> list[object]:
        asked = asyncio.create_task(session.ask(*TEN))
        await until(lambda: stage(tmp_path) is Stage.CREATED)
        server.stop()
        return [*await asked, *await session.ask(TEN[1])]

    _, *others = play(lambda: Session(server, tmp_path), main)
    assert all(isinstance(one, Halt) and "batch 1" in str(one) for one in others) and len(others) == 10
    assert stage(tmp_path) is Stage.CREATED


def test_money_is_reserved_until_the_answer_is_known(shared_server, tmp_path):
    server = shared_server(batch_s=0.4, marker={"Fatal": "400"})

    async def main(session: Session) -> Money:
        asked = asyncio.create_task(session.ask(*TEN, request(10, "Fatal")))
        await until(lambda: server.stats()["batches"]["created"])
        assert session.money.reserved == pytest.approx(10.0)
        await asked
        return session.money

    money = play(lambda: Session(server, tmp_path), main)
    assert money.reserved == pytest.approx(0.0) and money.settled > 0


async def until(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing happened in time"
        await asyncio.sleep(0.01)


def stage(folder: Path) -> Stage | None:
    with suppress(Halt, FileNotFoundError):
        return next((one.stage for one in outstanding(folder / "batches")), None)
    return None


HELD = {
    "nothing uploaded": ("upload:0=stall", Stage.WRITTEN),
    "uploaded, and no word of it": ("upload:0=hold", Stage.WRITTEN),
    "nothing created": ("create:0=stall", Stage.UPLOADED),
    "created, and no word of it": ("create:0=hold", Stage.UPLOADED),
    "under way": ("retrieve:1=stall", Stage.CREATED),
    "finished, and nothing read": ("content:0=stall", Stage.FINISHED),
    "half read": ("content:0=half", Stage.FINISHED),
    "collected, and nothing deleted": ("delete:0=stall", Stage.COLLECTED),
}


@pytest.mark.parametrize("state", HELD)
def test_a_process_that_dies_leaves_a_batch_that_the_next_one_goes_on_with(shared_server, tmp_path, state):
    fault, reached = HELD[state]
    server = shared_server(batch_script=[fault])

    async def died(session: Session) -> None:
        asked = asyncio.create_task(session.ask(*TEN))
        route = fault.partition(":")[0]
        await until(lambda: server.stats()["batches"]["calls"].get(route, 0) > int(fault.partition(":")[2][0]))
        await until(lambda: stage(tmp_path) is reached)
        asked.cancel()

    play(lambda: Session(server, tmp_path), died)
    server.set(batch_script=[])
    done = all_answered(tmp_path, server, ask(server, tmp_path, *TEN))
    assert (done["created"], done["requests"], done["files"]) == (1, 9, [])


def test_answers_of_a_batch_come_from_the_journal_where_nobody_asked_in_time(shared_server, tmp_path):
    server = shared_server(batch_script=["retrieve:0=stall"])

    async def died(session: Session) -> None:
        asked = asyncio.create_task(session.ask(*TEN))
        await until(lambda: stage(tmp_path) is Stage.CREATED)
        asked.cancel()

    async def late(session: Session) -> list[object]:
        await session.ask(TEN[0])  # online before, and now the journal's; the batch is adopted
        await until(lambda: not outstanding(tmp_path / "batches"))
        return await session.ask(*TEN)

    play(lambda: Session(server, tmp_path), died)
    server.set(batch_script=[])
    all_answered(tmp_path, server, play(lambda: Session(server, tmp_path), late))


def test_a_batch_of_another_endpoint_is_not_paid_for_again_unasked(shared_server, model_server, tmp_path):
    server, other = shared_server(batch_script=["create:0=stall"]), model_server()

    async def died(session: Session) -> None:
        asked = asyncio.create_task(session.ask(*TEN))
        await until(lambda: stage(tmp_path) is Stage.UPLOADED)
        asked.cancel()

    play(lambda: Session(server, tmp_path), died)
    for one in ask(other, tmp_path, *TEN):
        assert isinstance(one, Halt) and server.base_url in str(one) and "00001.json" in str(one)


def test_nothing_on_disk_holds_a_key(shared_server, tmp_path):
    server = shared_server(keys=[KEY], batch_script=["content:0=stall"])

    async def died(session: Session) -> None:
        asked = asyncio.create_task(session.ask(*TEN))
        await until(lambda: stage(tmp_path) is Stage.FINISHED)
        asked.cancel()

    play(lambda: Session(server, tmp_path), died)
    written = [path.read_text() for path in (tmp_path / "batches").iterdir()]
    assert written and not any(KEY in text for text in written)
    assert json.loads((tmp_path / "batches" / "00001.json").read_text())["key_name"] == "key 0"


def test_a_stopped_chat_sends_nothing_more_and_waits_for_what_is_under_way(shared_server, tmp_path):
    server = shared_server(batch_s=0.5)

    async def main(session: Session) -> tuple[list[object], list[object]]:
        asked = asyncio.create_task(session.ask(*TEN))
        await until(lambda: stage(tmp_path) is Stage.CREATED)
        await session.chat.stop("the disk is full")
        return await asked, await session.ask(request(10))

    answers, [late] = play(lambda: Session(server, tmp_path), main)
    all_answered(tmp_path, server, answers)
    assert isinstance(late, Halt) and str(late) == "the disk is full"
