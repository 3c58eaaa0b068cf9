"""What others than models said, kept beside the paid answers: functions and retrievers need not say the same twice, and
whatever is asked next rests on what they said."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from cluster.journal.reader import JournalReader
from cluster.journal.record import call_key
from cluster.journal.store import Writer


async def recall(
    reader: JournalReader,
    writer: Writer,
    item: str,
    asked: Mapping[str, object],
    bring: Callable[[], Awaitable[Mapping[str, object]]],
) -> Mapping[str, object]:
    """What was said to this before, or what `bring` brings, once it is kept. Raises what `bring` raises, and `Halt`
    where it cannot be kept."""
    key = call_key(asked, item)
    if (kept := await reader.get(key)) is not None:
        return kept
    brought = await bring()
    await writer.append(key, item, brought)
    return brought
