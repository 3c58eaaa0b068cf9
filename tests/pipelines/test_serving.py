"""What `populace serve` answers, and to whom."""

import http.client
import json
import threading
from contextlib import contextmanager

import pytest
from browser import chromium, until
from made_run import HOSTILE, Made, made_run
from test_live import put, state

from cluster.errors import UserError
from cluster.files import RunLock
from pipelines.live.serving import Server
from pipelines.live.state import Stage


@contextmanager
def served(folder, host="127.0.0.1"):
    with Server(folder, host, 0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def folder(tmp_path):
    return made_run(tmp_path / "run", Made(hostile=HOSTILE))


def get(server, path, method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=30)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    return answer.status, dict(answer.getheaders()), answer.read().decode()


def test_the_page_the_report_and_the_state_are_there_and_nothing_else(folder):
    with served(folder) as server:
        assert "populace run" in get(server, "/")[2] and "Map of personas" in get(server, "/report")[2]
        told = json.loads(get(server, "/state.json")[2])
        assert told["run"]["state"] == "finished" and told["counts"]["personas"] == 60
        for path in ("/manifest.json", "/../manifest.json", "/%2e%2e/manifest.json", "/report/.."):
            assert get(server, path)[0] == 404
        assert get(server, "/", method="POST")[0] == 501


def test_a_page_of_elsewhere_does_not_get_at_it_by_a_name_of_its_own(folder):
    with served(folder) as server:
        port = server.server_address[1]
        assert get(server, "/state.json", Host=f"evil.example:{port}")[0] == 403
        assert get(server, "/state.json", Host=f"localhost:{port}")[0] == 200
        assert get(server, "/", Host=f"127.0.0.1:{port}")[1]["X-Frame-Options"] == "DENY"


def test_beyond_this_machine_a_token_is_asked_for(folder):
    with served(folder, "0.0.0.0") as server:
        token = server.address.partition("token=")[2]
        assert len(token) >= 32
        assert get(server, "/state.json")[0] == get(server, "/state.json?token=wrong")[0] == 403
        assert get(server, "/", Cookie="populace=é; x")[0] == 403
        status, headers, _ = get(server, f"/report?token={token}")
        assert (
            status == 303 and headers["Location"] == "/report" and "HttpOnly; SameSite=Strict" in headers["Set-Cookie"]
        )
        assert get(server, "/report", Cookie=headers["Set-Cookie"].partition(";")[0])[0] == 200
        assert get(server, f"//evil.example?token={token}")[1]["Location"] == "/evil.example"


def test_what_cannot_be_served_is_told_in_one_line(tmp_path, folder):
    with pytest.raises(UserError, match="is no run"):
        Server(tmp_path / "other", "127.0.0.1", 0)
    with served(folder) as server, pytest.raises(UserError, match="cannot serve on 127"):
        Server(folder, "127.0.0.1", server.server_address[1])


def test_a_run_whose_folder_goes_away_is_told(folder):
    with served(folder) as server:
        folder.rename(folder.with_name("elsewhere"))
        status, _, said = get(server, "/state.json")
        assert status == 404 and "is no run" in said


def test_the_live_page_follows_the_run_in_a_browser(folder):
    put(folder, state())
    with (
        chromium() as opened,
        RunLock(folder, "populace run"),
        served(folder) as server,
        opened(server.address) as seen,
    ):
        page, wrong = seen
        assert page.inner_text("#run-state") == "running, conversations 312."
        assert "312 of 500" in page.inner_text("#stage-list") and "retired" in page.inner_text("#keys")
        until(lambda: page.locator('[data-chart="cost"] svg').count())
        put(folder, state(stages=[Stage("conversations", 498, 500, 99.0)]))
        until(lambda: "498 of 500" in page.inner_text("#stage-list"))
        page.click("text=Open the report")
        until(lambda: page.locator("#talk .words").count())
        assert wrong == [] and page.evaluate("window.caught") is None
