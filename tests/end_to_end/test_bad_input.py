"""Wrong use and unusable input: exit code 2 or 1, one clear line, nothing paid, nothing lost."""

from __future__ import annotations

import http.server
import json
import shutil
import subprocess
import threading

import pytest
import yaml
from jobs import KEY, conversation_ids, rows, write_config, write_corpus

ENV = {"POPULACE_TEST_KEY": KEY}


def refusal(done, code=2) -> str:
    """The one line of a refused command."""
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    [line] = done.stderr.splitlines()
    assert line.startswith("populace: ")
    return line


@pytest.fixture
def config(tmp_path, model_server):
    return write_config(tmp_path, model_server(keys=[KEY]).base_url, write_corpus(tmp_path, 3))


def test_an_unknown_key_names_the_nearest(config, run_populace):
    line = refusal(run_populace("run", config, "--set", "conversations.cuont=5", env=ENV))
    assert "conversations.cuont is no setting; did you mean count?" in line


def test_an_ill_typed_value_names_key_and_bounds(config, run_populace):
    line = refusal(run_populace("run", config, "--set", "personas.dedup.threshold=1.2", env=ENV))
    assert "personas.dedup.threshold must be in (0, 1], got 1.2" in line


def test_a_missing_config_is_named(tmp_path, run_populace):
    assert "nowhere.yaml: no such file" in refusal(run_populace("run", tmp_path / "nowhere.yaml"))


def test_a_missing_document_file_names_the_nearest(config, tmp_path, run_populace):
    line = refusal(run_populace("run", config, "--set", f"documents.path={tmp_path}/corpsu.jsonl", env=ENV))
    assert "corpsu.jsonl" in line and "corpus.jsonl" in line


def test_an_empty_corpus_is_refused(config, tmp_path, run_populace):
    (tmp_path / "empty.jsonl").write_text("\n\n")
    line = refusal(run_populace("run", config, "--set", f"documents.path={tmp_path}/empty.jsonl", env=ENV))
    assert "empty.jsonl" in line


def test_a_wrong_key_is_refused_before_anything_starts(config, run_populace):
    line = refusal(run_populace("run", config, env={"POPULACE_TEST_KEY": "sk-wrong-0123456789"}))
    assert "refuses the key env:POPULACE_TEST_KEY (HTTP 401)" in line and "0123456789" not in line


def test_a_missing_key_variable_is_named(config, run_populace):
    assert "no POPULACE_TEST_KEY" in refusal(run_populace("run", config, env={"POPULACE_TEST_KEY": ""}))


def test_an_endpoint_that_is_not_there_is_named(config, run_populace):
    line = refusal(run_populace("run", config, "--set", "llm.endpoints.0.base_url=http://127.0.0.1:9/v1", env=ENV))
    assert "http://127.0.0.1:9/v1: nobody answers" in line


def test_an_endpoint_that_answers_html_is_named(config, run_populace):
    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><html><body>Welcome</body></html>")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Page) as page:
        threading.Thread(target=page.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{page.server_port}"
        line = refusal(run_populace("run", config, "--set", f"llm.endpoints.0.base_url={url}", env=ENV))
        page.shutdown()
    assert "answers HTML" in line and "/v1" in line


def test_a_model_that_the_endpoint_has_not_is_named_with_those_that_it_has(tmp_path, model_server, run_populace):
    server = model_server(keys=[KEY], models=["alpha", "test-model-2", "zeta"])
    config = write_config(tmp_path, server.base_url, write_corpus(tmp_path, 3))
    line = refusal(run_populace("run", config, env=ENV))
    assert f"{server.base_url} has no model test-model; it has test-model-2, alpha, zeta" in line
    assert server.stats()["requests"] == 0


def test_an_endpoint_without_its_v1_is_told_the_very_address(config, run_populace):
    url = yaml.safe_load(config.read_text())["llm"]["endpoints"][0]["base_url"]
    bare = url.removesuffix("/v1")
    line = refusal(run_populace("run", config, "--set", f"llm.endpoints.0.base_url={bare}", env=ENV))
    assert line.endswith(f"{bare} is no OpenAI-compatible API, but {url} is; set base_url to that")


@pytest.mark.slow
def test_a_key_that_is_named_twice_counts_once(tmp_path, model_server, shared_ray, run_populace):
    server = model_server(keys=[KEY], latency=0.2)
    (tmp_path / "keys.txt").write_text(f"{KEY}\n# the same\n {KEY} \n")
    keys = ["env:POPULACE_TEST_KEY", f"file:{tmp_path}/keys.txt", "env:POPULACE_SAME_KEY"]
    endpoint = {"base_url": server.base_url, "model": "m", "keys": keys, "max_concurrency": 2}
    corpus = write_corpus(tmp_path, 12)
    config = write_config(
        tmp_path, server.base_url, corpus, llm={"endpoints": [endpoint]}, cluster={"address": shared_ray.address}
    )
    done = run_populace("personas", config, env=ENV | {"POPULACE_SAME_KEY": KEY})
    assert done.returncode == 0, done.stderr
    assert server.stats()["keys"][KEY]["peak_in_flight"] <= 2


def test_a_folder_that_is_no_run_is_named(tmp_path, run_populace):
    assert "is no run" in refusal(run_populace("status", tmp_path))


@pytest.mark.slow
def test_a_changed_setting_is_named_and_a_fresh_start_removes_only_ours(config, tmp_path, shared_ray, run_populace):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("not yours")
    command = ("personas", config, "--set", f"cluster.address={shared_ray.address}")
    assert run_populace(*command, env=ENV).returncode == 0
    changed = ("--set", "personas.per_call=4")
    assert "personas.per_call was 5" in refusal(run_populace(*command, *changed, env=ENV))
    assert run_populace(*command, *changed, "--fresh", "--yes", env=ENV).returncode == 0
    assert len(rows(tmp_path / "run", "personas")) == 12
    assert (tmp_path / "run" / "mine.txt").read_text() == "not yours"


@pytest.mark.slow
def test_a_full_disk_stops_the_run_which_goes_on_when_there_is_room(
    tmp_path, small_disk, model_server, shared_ray, run_populace
):
    server, joined = model_server(keys=[KEY]), {"address": shared_ray.address}
    corpus = write_corpus(tmp_path, 40)
    config = write_config(tmp_path, server.base_url, corpus, conversations={"count": 300}, cluster=joined)
    arguments = ("run", config, "--set", f"run_dir={small_disk / 'run'}")
    subprocess.run(["mount", "-o", "remount,size=300k", str(small_disk)], check=True)
    done = run_populace(*arguments, env=ENV)
    assert done.returncode == 1 and "No space left on device" in done.stderr and "Traceback" not in done.stderr
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    done = run_populace(*arguments, env=ENV)
    assert done.returncode == 0, done.stderr
    assert len(set(conversation_ids(small_disk / "run"))) == len(rows(small_disk / "run", "conversations")) == 300


@pytest.mark.slow
def test_a_journal_of_another_run_or_version_is_refused_before_anything_is_paid(
    tmp_path, model_server, shared_ray, run_populace
):
    server = model_server(keys=[KEY])
    corpus = write_corpus(tmp_path, 2)
    config = write_config(
        tmp_path, server.base_url, corpus, conversations={"count": 4}, cluster={"address": shared_ray.address}
    )
    journal = tmp_path / "run" / "journal"
    assert run_populace("personas", config, env=ENV).returncode == 0
    shutil.copytree(journal, tmp_path / "elsewhere" / "journal")
    mine = json.loads((journal / "journal.json").read_text())
    server.reset()
    other = run_populace("run", config, "--set", f"run_dir={tmp_path / 'elsewhere'}", env=ENV)
    line = refusal(other)
    assert f"elsewhere/journal is the journal of run {mine['run']}, and this is run " in line
    (journal / "journal.json").write_text(json.dumps(mine | {"format": 2}))
    assert "is a journal of format 2, this populace reads 1" in refusal(run_populace("run", config, env=ENV))
    assert server.log() == []
    (journal / "journal.json").write_text(json.dumps(mine))
    assert run_populace("run", config, env=ENV).returncode == 0
    assert len(rows(tmp_path / "run", "conversations")) == 4


def test_a_read_only_journal_stops_the_run_before_anything_is_paid(
    tmp_path, small_disk, model_server, shared_ray, run_populace
):
    server = model_server(keys=[KEY])
    config = write_config(
        tmp_path,
        server.base_url,
        write_corpus(tmp_path, 2),
        conversations={"count": 4},
        cluster={"address": shared_ray.address},
    )
    journal = tmp_path / "run" / "journal"
    journal.mkdir(parents=True)
    subprocess.run(["mount", "--bind", str(small_disk), str(journal)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(journal)], check=True)
        done = run_populace("run", config, env=ENV)
        assert done.returncode == 1 and "Traceback" not in done.stderr
        assert f"journal {journal}: Read-only file system; make it writable and run again" in done.stderr
        assert server.log() == []
        subprocess.run(["mount", "-o", "remount,bind,rw", str(journal)], check=True)
        assert run_populace("run", config, env=ENV).returncode == 0
    finally:
        subprocess.run(["umount", "-l", str(journal)], check=True)
