"""What is seen of a run that goes on: its pace, on terminals of any width, in one line, and from elsewhere."""

import json
import threading
import time
from io import StringIO
from pathlib import Path

import pytest
from made_run import made_run
from rich.console import Console

from cluster.errors import UserError
from cluster.files import RunLock
from pipelines import status
from pipelines.live.state import KeyState, Pace, Stage, live_state
from pipelines.live.view import LiveView, live_line
from pipelines.live.watch import watch
from pipelines.run_reading import find_run


def pace(per_second: float = 4.0, seconds: int = 20) -> Pace:
    found = Pace()
    for at in range(seconds + 1):
        found.see(100.0 + at, {"calls": 3 * at, "completion_tokens": 50 * at}, per_second * at)
    return found


def state(**changes) -> dict:
    stages = [Stage("personas", 41, 41, 52.0, True), Stage("conversations", 312, 500, 90.0)]
    keys = [
        KeyState("env:FIRST_KEY"),
        KeyState("file:keys.txt line 2", "retired", "HTTP 401"),
        KeyState("env:C", "rests", "12 s"),
    ]
    given = {"failures": 58, "throttled": 1052, "personas_admitted": 5453}
    notes = {"key file:keys.txt line 2": "retired: HTTP 401", "endpoint": "HTTP 500; waiting"}
    found = {
        "stages": stages,
        "pace": pace(),
        "session": given,
        "spent_usd": 0.61,
        "budget_usd": 0.65,
        "keys": keys,
        "notes": notes,
    }
    return live_state(**(found | changes))


def drawn(told: dict, width: int, **options) -> list[str]:
    out = StringIO()
    Console(file=out, width=width, **options).print(LiveView(told, "run abc in runs/first"))
    return out.getvalue().splitlines()


def test_the_pace_is_that_of_the_last_half_minute():
    one = Pace()
    for at in range(100):
        one.see(float(at), {"calls": 10 * min(at, 50)}, at)
    assert one.per_second("calls") == 0 and one.done_per_second == pytest.approx(1)
    one.begin()
    assert one.done_per_second == 0


def test_what_is_left_follows_from_the_pace_and_is_unknown_without_one():
    assert state()["eta_seconds"] == 47.0 and state()["done_per_minute"] == 240
    assert state(pace=Pace())["eta_seconds"] is None
    assert state(stages=[Stage("personas", 3, None)])["eta_seconds"] is None


@pytest.mark.parametrize("width", [40, 64, 100, 200])
def test_the_view_fits_any_width_and_leaves_nothing_out(width):
    lines = drawn(state(), width)
    text = " ".join(" ".join(lines).split())
    assert max(map(len, lines)) <= width
    for said in ("conversations", "312/500", "47 s left", "3.0 calls/s", "$0.61 of $0.65", "58 failed", "1,052 × 429"):
        assert said in text, said
    assert "env:FIRST_KEY ● in use" in text and "● retired HTTP 401" in text and "rests 12 s" in text
    assert "HTTP 500; waiting" in text and text.count("HTTP 401") == 1


def test_without_colour_there_is_no_escape_and_with_it_there_is():
    assert not any("\x1b" in line for line in drawn(state(), 100, no_color=True))
    assert any("\x1b" in line for line in drawn(state(), 100, force_terminal=True, color_system="truecolor"))


def test_one_line_says_it_where_there_is_no_terminal():
    line = live_line(state())
    assert line.startswith("conversations: 312 of 500 · 3.0 calls/s · 50 tokens/s · 47 s left · $0.61 of $0.65")
    assert "58 failed" in line and "file:keys.txt line 2 retired HTTP 401" in line and "\n" not in line


def test_a_price_that_is_unknown_is_said_to_be():
    assert "unknown (no price in the config)" in " ".join(drawn(state(spent_usd=None), 100))


def put(folder: Path, told: dict) -> None:
    counts = json.loads((folder / "metrics.json").read_text())
    (folder / "metrics.json").write_text(json.dumps(counts | {"live": told, "updated_at": time.time()}))


def test_watching_follows_a_run_until_it_ends(tmp_path):
    folder, out = made_run(tmp_path / "run"), StringIO()
    put(folder, state())

    def run() -> None:
        with RunLock(folder, "populace run"):
            time.sleep(0.4)
            put(folder, state(stages=[Stage("conversations", 400, 500, 90.0)]))
            time.sleep(0.6)

    going = threading.Thread(target=run)
    going.start()
    time.sleep(0.1)
    found = watch(folder, Console(file=out, width=80), look_s=0.02)
    going.join()
    assert not found.is_running
    said = out.getvalue().splitlines()
    assert said[0].startswith("conversations: 312 of 500") and said[-1].startswith("conversations: 400 of 500")
    assert len(said) == len(set(said))


def test_watching_what_has_ended_returns_at_once(tmp_path):
    folder, out = made_run(tmp_path / "run"), StringIO()
    assert watch(folder, Console(file=out)).state == "finished" and out.getvalue() == ""
    with pytest.raises(UserError, match="is no run"):
        watch(tmp_path / "other", Console(file=out))


def test_a_run_on_another_machine_is_known_by_what_it_wrote_last(tmp_path):
    folder = made_run(tmp_path / "run")
    (folder / ".lock").write_text(json.dumps({"pid": 1, "host": "elsewhere", "since": 0.0, "command": "populace run"}))
    (folder / "metrics.json").write_text(json.dumps({"live": state(), "updated_at": time.time()}))
    assert find_run(folder).is_running and find_run(folder).state == "running, conversations 312"
    (folder / "metrics.json").write_text(json.dumps({"live": state(), "updated_at": time.time() - 60}))
    assert not find_run(folder).is_running


@pytest.mark.parametrize("width", [40, 100])
def test_status_fits_the_terminal(tmp_path, width):
    out = StringIO()
    status.show(made_run(tmp_path / "run"), Console(file=out, width=width, force_terminal=True, color_system=None))
    assert max(map(len, out.getvalue().splitlines())) <= width
    assert "malformed" in out.getvalue() and "Bad request" in " ".join(out.getvalue().split())
