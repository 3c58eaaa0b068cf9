"""What builds the chat models of callers, each in its caller's process, where what only that needs is imported."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.chat import ChatModel, ChatRequest
from cluster.dialect import Dialect
from cluster.keys import Endpoint
from cluster.lanes import Lanes
from cluster.meter import Tally
from cluster.named import Named
from cluster.run_log import log_to

if TYPE_CHECKING:
    from cluster.journal import JournalReader, Writer
    from cluster.key_news import KeyNews
    from cluster.paid_chat import PaidChat
    from cluster.spending import Spending
    from cluster.transport import OpenAITransport

MakeChat = Callable[[Tally], ChatModel]


@dataclass(frozen=True, slots=True)
class Wiring:
    """What the callers of a run have in common. `callers` is how many divide the calls in flight between them."""

    targets: list[Endpoint]
    callers: int
    run_dir: Path
    timeout_s: float
    broker: Named | None = None
    budget_usd: float | None = None
    run_id: str = ""

    def transport(self) -> OpenAITransport:
        from cluster.transport import OpenAITransport

        return OpenAITransport(self.timeout_s)

    def paid(self, targets: list[Endpoint], transport: OpenAITransport, tally: Tally) -> PaidChat:
        """A model that pays, under the fleet's limits and budget."""
        from cluster.collector import collect_seldom
        from cluster.leasing import Leasing
        from cluster.paid_chat import PaidChat

        leasing = Leasing(self.broker.handle(), time.monotonic) if self.broker else None
        lanes, spending = Lanes(targets, self.callers, adapt=True), self.spending(targets)
        collect_seldom()
        return PaidChat(lanes, transport, tally, spending=spending, leasing=leasing, news=self.news())

    def spending(self, targets: list[Endpoint]) -> Spending:
        from cluster.purse import LeasedSpending
        from cluster.spending import Unlimited

        if self.broker and self.budget_usd:
            return LeasedSpending(self.broker.handle(), targets, self.budget_usd)
        return Unlimited()

    def news(self) -> KeyNews | None:
        from cluster.key_news import KeyNews

        return KeyNews(self.broker.handle(), time.monotonic) if self.broker else None

    def journal(self) -> tuple[JournalReader, Writer]:
        from cluster.journal import JournalReader, open_writer
        from cluster.sight import check_seen

        check_seen(self.run_dir)
        place = self.run_dir / "journal"
        return JournalReader(place), open_writer(place, uuid.uuid4().hex[:12])


def chat_maker(wiring: Wiring) -> MakeChat:
    """Of a caller that works online."""

    def make(tally: Tally) -> ChatModel:
        from cluster.journaled_chat import JournaledChat

        log_to(wiring.run_dir, wiring.run_id, "caller")
        paid = wiring.paid(wiring.targets, wiring.transport(), tally)
        return JournaledChat(paid, *wiring.journal(), tally)

    return make


def batch_chat_maker(wiring: Wiring, run_id: str) -> MakeChat:
    """Of the caller whose work goes through the first endpoint's batches."""

    def make(tally: Tally) -> ChatModel:
        from cluster.batch import Rule, discounted
        from cluster.batch_api import BatchApi
        from cluster.batch_chat import BatchChat
        from cluster.batch_client import BatchClient
        from cluster.batch_folder import BatchFolder
        from cluster.patience import Patience

        log_to(wiring.run_dir, run_id, "batch-caller")
        target, transport, rule = wiring.targets[0], wiring.transport(), Rule()

        def dialect(request: ChatRequest) -> Dialect | None:
            return transport.dialect(target, request)

        half = discounted(target)
        folder, api = BatchFolder(wiring.run_dir / "batches", run_id), BatchApi(target, wiring.timeout_s)
        patience = Patience(Lanes([target]), tally, time.monotonic, news=wiring.news())
        client = BatchClient(target, folder, api, patience, dialect, tally, rule)
        online, spending = wiring.paid([target], transport, tally), wiring.spending([half])
        return BatchChat(half, folder, client, online, dialect, *wiring.journal(), tally, spending, rule)

    return make
