from itertools import pairwise

from pipelines.history import COLUMNS, HISTORY, History, read_history


def seen(history: History, seconds: float, conversations: int, calls: int = 0) -> None:
    history.see(seconds, 1e9 + seconds, "conversations", {"calls": calls}, {"conversations_done": conversations})


def test_a_point_too_near_to_the_last_one_is_left_out(tmp_path):
    history = History(tmp_path / HISTORY, every_s=2)
    for at in range(10):
        seen(history, at * 0.5, at)
    history.write()
    assert [one["seconds"] for one in read_history(tmp_path / HISTORY)] == [0, 2, 4]


def test_however_long_a_run_is_its_series_stays_short_and_spans_all_of_it(tmp_path):
    history = History(tmp_path / HISTORY, most=100, every_s=1)
    for at in range(20_000):
        seen(history, float(at), at)
    history.write()
    found = read_history(tmp_path / HISTORY)
    assert 50 <= len(found) <= 100
    assert found[0]["seconds"] == 0 and found[-1]["seconds"] > 19_500
    gaps = [b["seconds"] - a["seconds"] for a, b in pairwise(found)]
    assert max(gaps) <= 2 * min(gaps) + 1


def test_a_later_session_goes_on_with_the_counts_of_the_earlier_one(tmp_path):
    first = History(tmp_path / HISTORY)
    seen(first, 10, 40)
    first.write()
    second = History(tmp_path / HISTORY)
    seen(second, 20, 5)
    second.write()
    assert [one["conversations_done"] for one in read_history(tmp_path / HISTORY)] == [40, 45]


def test_a_file_that_is_no_history_is_none(tmp_path):
    for text in ("", "[]", '{"columns": ["a"], "points": [[1, 2]]}', '{"columns": ["a"], "points": [[1]]}'):
        (tmp_path / HISTORY).write_text(text)
        assert read_history(tmp_path / HISTORY) == []
    assert read_history(tmp_path / "none") == [] and len(set(COLUMNS)) == len(COLUMNS)
