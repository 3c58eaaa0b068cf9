from cluster.key_board import KeyBoard, KeySet
from cluster.keys import Secret


def test_what_was_said_stands_on_the_board_with_the_time_that_is_left():
    board = KeyBoard()
    board.rest("e a", 20.0, now=100.0)
    board.rest("e b", 5.0, now=100.0)
    board.retire("e c", "HTTP 401")
    news = board.news(now=104.0)
    assert news.resting == {"e a": 16.0, "e b": 1.0}
    assert news.retired == {"e c": "HTTP 401"}
    assert board.news(now=106.0).resting == {"e a": 14.0}


def test_only_what_is_new_makes_another_version():
    board = KeyBoard()
    seen = [board.version]
    for say in (
        lambda: board.rest("e a", 20.0, 100.0),
        lambda: board.retire("e c", "HTTP 401"),
        lambda: board.put_in(KeySet(1, {"e": [("a", Secret("k"))]})),
    ):
        say()
        assert board.version not in seen
        seen.append(board.version)
        say()
        assert board.version == seen[-1]
    board.rest("e a", 10.0, 101.0)  # shorter than it was told before
    assert board.version == seen[-1]


def test_two_boards_do_not_pass_for_each_other():
    assert KeyBoard().version != KeyBoard().version


def test_keys_that_are_put_in_may_live_again():
    board = KeyBoard()
    board.retire("e a", "HTTP 429 insufficient_quota")
    board.put_in(KeySet(3, {"e": [("a", Secret("k"))]}))
    assert board.news(0.0).retired == {}
    board.retire("e a", "HTTP 401")
    board.put_in(KeySet(2, {"e": []}))  # late
    assert board.news(0.0).retired == {"e a": "HTTP 401"}
    assert board.news(0.0).keys.generation == 3


def test_no_key_is_shown():
    board = KeyBoard()
    board.put_in(KeySet(1, {"e": [("a", Secret("sk-very-secret"))]}))
    assert "secret" not in repr(board).lower().replace("secret(…)", "")
    assert "sk-" not in repr(board.news(0.0))
