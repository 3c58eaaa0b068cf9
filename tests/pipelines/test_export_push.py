"""Exports that go to a hub, which is a process of its own here."""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import yaml
from dialogues import row, talk, write_run

ROOT = Path(__file__).resolve().parent.parent.parent
TOKEN = "hf_a-secret-of-the-tests"


@pytest.fixture(scope="module")
def hub():
    process = subprocess.Popen([sys.executable, ROOT / "tests" / "hub_server.py", TOKEN], stdout=subprocess.PIPE)
    yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    process.terminate()
    process.wait(5)
    process.stdout.close()


@pytest.fixture
def run(tmp_path):
    folder = write_run(tmp_path / "run", [[row(str(number), talk("s", "q", "a")) for number in range(30)]])
    (folder / "README.md").write_text(
        "---\nlicense: cc0-1.0\nconfigs: []\n---\n\n# Mine\n\n## Use\n\n```python\nx\n```\n\nMore.\n"
    )
    return folder


def pushed(run, endpoint: str, *more: str, token: str | None = TOKEN) -> subprocess.CompletedProcess[str]:
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    surroundings |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(run.parent / "hf"), "HF_HUB_DISABLE_TELEMETRY": "1"}
    surroundings |= {"HF_TOKEN": token} if token else {}
    command = [sys.executable, "-m", "pipelines", "export", run, "--format", "messages", "--push", "me/talks", *more]
    done = subprocess.run(command, cwd=ROOT, env=surroundings, capture_output=True, text=True, timeout=120)
    assert TOKEN not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done


def asked(hub: str, path: str, body: dict | None = None):
    request = urllib.request.Request(hub + path, body and json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


@pytest.mark.slow  # three processes
def test_a_push_makes_a_private_dataset_with_a_card_that_names_its_splits(hub, run):
    done = pushed(run, hub, "--split", "0.6,0.2,0.2")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"{hub}/datasets/me/talks"
    found = asked(hub, "/-/datasets")["me/talks"]
    assert found["visibility"] == "private"
    assert found["files"].keys() == {"README.md", "train.jsonl", "validation.jsonl", "test.jsonl"}
    assert found["files"]["train.jsonl"] == (run / "exports" / "messages" / "train.jsonl").read_text()
    _, header, body = found["files"]["README.md"].split("---\n", 2)
    header = yaml.safe_load(header)
    files = [{"split": split, "path": f"{split}.jsonl"} for split in ("train", "validation", "test")]
    assert header["configs"] == [{"config_name": "messages", "data_files": files, "default": True}]
    assert header["license"] == "cc0-1.0"
    assert 'load_dataset("me/talks")' in body and body.startswith("\n# Mine\n") and body.endswith("\nMore.\n")
    again = pushed(run, hub, "--as", "parquet")
    assert again.returncode == 0, again.stderr
    assert asked(hub, "/-/datasets")["me/talks"]["files"].keys() == {"README.md", "train.parquet"}


def test_without_a_token_nothing_is_written(run):
    done = pushed(run, "http://127.0.0.1:9", token=None)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "populace: --push needs a token of the Hugging Face hub: set HF_TOKEN, or log in by `hf auth login`\n"
    )
    assert not (run / "exports").exists()


@pytest.mark.slow  # a process each
def test_a_token_that_is_refused_is_said_in_one_line(hub, run):
    done = pushed(run, hub, token="hf_another")
    assert done.returncode == 2
    assert done.stderr == f"populace: {hub} does not take the token (401); set HF_TOKEN to one that may write\n"
    assert (run / "exports" / "messages" / "train.jsonl").exists()


@pytest.mark.slow
def test_a_hub_that_fails_or_is_not_there_is_said_in_one_line_and_the_export_stays(hub, run):
    asked(hub, "/-/fault", {"status": 500})
    done = pushed(run, hub)
    asked(hub, "/-/fault", {"status": 0})
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        1,
        f"populace: stopped: {hub} answered 500 when me/talks was pushed; the export itself is written",
    )
    done = pushed(run, "http://127.0.0.1:9")
    assert done.returncode == 1
    assert done.stderr.startswith("populace: stopped: http://127.0.0.1:9 cannot be reached (ConnectError);")
    assert (run / "exports" / "messages" / "train.jsonl").exists()
