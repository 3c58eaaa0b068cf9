"""The live state of a run on a terminal of any width; and the same in one line, where there is no terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

Told = Mapping[str, Any]

_WIDE, _BAR = 64, 24
_KEY_STYLES = {"in use": "green", "rests": "yellow", "retired": "red"}
_TROUBLES = (
    ("failures", "failed", "red"),
    ("conversations_refused", "refused", ""),
    ("throttled", "× 429", "yellow"),
    ("retries", "tried again", ""),
    ("journal_hits", "answers from the journal", ""),
)


class LiveView:
    """Drawn anew each time, in as many columns as there are."""

    def __init__(self, state: Told, title: str = "") -> None:
        self._state, self._title = state, title

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        is_wide = options.max_width >= _WIDE
        parts: list[RenderableType] = [Text(self._title, style="bold")] if self._title else []
        yield Group(*parts, _stages(self._state, is_wide), _facts(self._state, options.max_width))


def _stages(state: Told, is_wide: bool) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(3 if is_wide else 2):
        table.add_column(no_wrap=True)
    for one in state["stages"]:
        bar = ProgressBar(
            total=one["total"], completed=one["done"], width=_BAR, pulse=not one["total"] and not one["is_over"]
        )
        shown: list[RenderableType] = [Text(one["name"]), Text(_done(one), justify="right")]
        if is_wide:
            shown.insert(1, bar)
        table.add_row(*shown, Text(_time(one, state), style="dim"))
    return table


def _done(stage: Told) -> str:
    return f"{stage['done']:,.0f}" + (f"/{stage['total']:,}" if stage["total"] else "")


def _time(stage: Told, state: Told) -> str:
    if stage["is_over"]:
        return f"in {duration(stage['seconds'])}"
    eta = state["eta_seconds"]
    return f"{duration(stage['seconds'])}" + (f", {duration(eta)} left" if eta is not None else "")


def _facts(state: Told, width: int) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold", max_width=max(20, width - 8))
    for name, told in (("pace", _pace(state)), ("spent", _spent(state)), ("troubles", _troubles(state))):
        if told:
            table.add_row(name, told)
    if keys := state["keys"]:
        table.add_row("keys", Text("   ").join(_key(one) for one in keys))
    for name, note in _notes(state):
        table.add_row(name, Text(note, style="yellow"))
    return table


def _notes(state: Told) -> Iterator[tuple[str, str]]:
    """But for those that a key's state says already."""
    said = {f"key {one['name']}" for one in state["keys"] if one["state"] == "retired"}
    yield from ((name, note) for name, note in state["notes"].items() if name not in said)


def _pace(state: Told) -> Text:
    parts = [f"{state['calls_per_second']:,.1f} calls/s", f"{state['tokens_per_second']:,.0f} tokens/s"]
    now = next((one for one in reversed(state["stages"]) if not one["is_over"]), None)
    if now and state["done_per_minute"]:
        parts.append(f"{state['done_per_minute']:,.1f} {_items(now)}/min")
    return Text(" · ".join([*parts, *_people(state)]))


def _items(stage: Told) -> str:
    return "documents" if stage["name"] == "personas" else str(stage["name"])


def _people(state: Told) -> list[str]:
    if not state["stages"] or state["stages"][-1]["name"] != "personas":
        return []
    return [f"{state['personas_admitted']:,.0f} personas, {state['personas_rejected']:,.0f} refused"]


def _spent(state: Told) -> Text:
    spent, budget = state["spent_usd"], state["budget_usd"]
    if spent is None:
        return Text("unknown (no price in the config)", style="dim")
    if not budget:
        return Text(f"${spent:,.4f}")
    share = spent / budget
    return Text.assemble(
        (f"${spent:,.2f} of ${budget:,.2f}", "red" if share >= 0.9 else ""), (f" ({100 * share:.0f} %)", "dim")
    )


def _troubles(state: Told) -> Text:
    found = [(f"{state[name]:,.0f} {word}", style) for name, word, style in _TROUBLES if state.get(name)]
    return Text(" · ").join(Text(*one) for one in found)


def _key(key: Told) -> Text:
    why = f" {key['why']}" if key["why"] else ""
    return Text.assemble(key["name"], " ", (f"● {key['state']}{why}", _KEY_STYLES[key["state"]]))


def duration(seconds: float) -> str:
    """ "41 s", "12 min", "3.4 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def live_line(state: Told) -> str:
    """The stage that goes on, or the last one, and what goes with it."""
    if not state["stages"]:
        return "starting"
    now = state["stages"][-1]
    of = f" of {now['total']:,}" if now["total"] else ""
    return f"{now['name']}: {now['done']:,.0f}{of} · {' · '.join(_in_line(state, now))}"


def _in_line(state: Told, stage: Told) -> Iterator[str]:
    yield from _people(state)
    if stage["is_over"]:
        yield f"in {duration(stage['seconds'])}"
    else:
        yield f"{state['calls_per_second']:,.1f} calls/s"
        yield f"{state['tokens_per_second']:,.0f} tokens/s"
        if (eta := state["eta_seconds"]) is not None:
            yield f"{duration(eta)} left"
    if state["spent_usd"]:
        of = f" of ${state['budget_usd']:,.2f}" if state["budget_usd"] else ""
        yield f"${state['spent_usd']:,.2f}{of}"
    yield from (f"{state[name]:,.0f} {word}" for name, word, _ in _TROUBLES if state.get(name))
    yield from (f"{key['name']} {key['state']} {key['why']}".strip() for key in state["keys"] if key["why"])
    yield from (f"{name}: {note}" for name, note in _notes(state))
