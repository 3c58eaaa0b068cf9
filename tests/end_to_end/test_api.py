"""The Python API as scripts have it: processes of their own that join the Ray of the tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from jobs import KEY, QUIET, ROOT, conversation_ids, metrics, rows, wait_for

SCRIPTS = Path(__file__).parent / "scripts"
EXAMPLES = ["support_bot", "evaluation_set", "tool_calls", "census"]


class Script(subprocess.Popen):
    """A script in `folder`, which asks `server` and joins `ray`; ends with the test."""

    def __init__(self, folder: Path, command: list[str], server, ray, **env: str) -> None:
        folder.mkdir(exist_ok=True)
        surroundings = os.environ | QUIET | {"PYTHONPATH": str(ROOT), "RAY_ADDRESS": ray.address}
        surroundings |= {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.base_url, "KEY": KEY, "URL": server.base_url}
        self.out, self.err = folder / "out", folder / "err"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            command = [sys.executable, *command]
            super().__init__(
                command, cwd=folder, env=surroundings | env, stdout=out, stderr=err, stdin=subprocess.DEVNULL
            )

    def said(self, timeout: float = 240) -> str:
        """What it printed, when it has come to its end."""
        try:
            code = self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            code = "no end"
        assert code == 0, f"{code}: {self.out.read_text()[-2000:]}\n{self.err.read_text()[-4000:]}"
        return self.out.read_text()


@pytest.fixture
def script(tmp_path, shared_server, shared_ray):
    started = []

    def start(*command, server=None, **env):
        started.append(Script(tmp_path / "script", [*command], server or shared_server(), shared_ray, **env))
        return started[-1]

    yield start
    for one in started:
        one.kill()
        one.wait(10)


def test_code_of_a_scripts_own_works_in_two_callers(script, tmp_path):
    said = json.loads(script(str(SCRIPTS / "own_code.py")).said().splitlines()[-1])
    openings = [messages[1]["content"] for _, messages in said["rows"]]
    assert all(one.startswith("Guess [") for one in openings)
    assert len({one.split("[")[1].split("]")[0] for one in openings}) == 2, "both callers made it, each for itself"
    systems = [messages[0]["content"] for _, messages in said["rows"]]
    assert all(one.startswith("You answer riddles. Rhyme. ") and one.endswith("True)") for one in systems)
    assert all(any(text in one for text in ("see no red", "follow the moon", "cast in clay")) for one in systems)
    ids = [name for name, _ in said["rows"]]
    assert 6 <= len(ids) < 30 and said["stopped"] == "SixAreThere says stop"
    assert sorted(said["stored"]) == sorted(ids) == conversation_ids(tmp_path / "script" / "own")
    assert said["states"][0] == [0, 0, 0, 0] and said["states"][-1][0] == len(ids)
    assert len(said["personas"]) == 15
    failed = rows(tmp_path / "script" / "own", "failures")
    assert failed and {row["kind"] for row in failed} == {"callback"}
    assert all("ValueError: no riddle for" in row["message"] and "in generate" in row["message"] for row in failed)
    kept = json.loads((tmp_path / "script" / "own" / "manifest.json").read_text())["settings"]
    assert kept["conversations.instruction_generator_callback"].startswith("instruction_generator_callback Riddles ")
    everything = b"".join(path.read_bytes() for path in (tmp_path / "script").rglob("*") if path.is_file())
    assert KEY.encode() not in everything


@pytest.mark.slow
def test_personas_land_in_their_documents_and_speak_in_the_same_script(script, tmp_path):
    said = script(str(SCRIPTS / "support_personas.py"), HF_HUB_OFFLINE="1").said()
    found = json.loads(said.split("RESULT ")[1])
    assert found["one"] and found["other"] and found["one"] != found["other"]
    assert all(depths.count(0) == 5 and depths.count(1) > 15 for depths in found["personas"])
    assert len(set(found["texts"])) == len(found["texts"])
    assert len(found["rows"]) == 5 and all(depth == 0 for _, depth, _ in found["rows"])
    assert {persona for persona, _, _ in found["rows"]} <= set(found["texts"])
    assert len({document for _, _, document in found["rows"]}) == 2
    assert len(set(found["ids"])) == 7 and found["same_folder"]
    assert found["dataset"] == found["ray"] == 5
    assert "persona_generation_depth" in found["columns"]
    [folder] = (tmp_path / "script" / "runs").glob("conversations-*")
    assert len(conversation_ids(folder)) == 7


def test_an_interrupted_script_goes_on_where_it_was(script, shared_server, tmp_path):
    server = shared_server(latency=1.0)
    run = tmp_path / "script" / "run"
    first = script(str(SCRIPTS / "slow_stream.py"), server=server, ROWS="150")
    wait_for(lambda: "row" in first.out.read_text() or first.poll() is not None, 120)
    first.send_signal(signal.SIGINT)
    assert first.wait(60) not in (0, None), first.err.read_text()
    assert "KeyboardInterrupt" in first.err.read_text().splitlines()[-1]
    made = conversation_ids(run)
    assert 0 < len(made) < 150
    server.set(latency=0.0)
    paid = server.stats()["calls"] if "calls" in server.stats() else len(server.log())
    said = script(str(SCRIPTS / "slow_stream.py"), server=server, ROWS="150").said()
    told = [line.split()[1] for line in said.splitlines()]
    assert len(told) == len(set(told)) == 150 and set(made) <= set(told)
    assert sorted(told) == conversation_ids(run)
    again = len(server.log()) - paid
    assert again <= 2 * (150 - len(made)) + 2, "what was there is not paid again"
    assert metrics(run)["conversations"] == 150


@pytest.mark.slow
def test_people_of_simulations_have_models_for_each_step(script):
    found = json.loads(script(str(SCRIPTS / "people.py")).said().split("RESULT ")[1])
    assert len(found["bios"]) == found["arrow"] == 4
    assert {row["model"] for row in found["bios"]} == {
        "meta-llama/llama-3.1-8b-instruct",
        "qwen/qwen-2.5-7b-instruct",
    }
    assert all(row["bio"] and row["traits"] for row in found["bios"])
    [story] = found["stories"]
    assert 150 <= len(story["backstory"].split()) <= 250


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs(script, tmp_path, name):
    said = script("-m", f"pipelines.examples.{name}").said()
    assert said.strip()
    [folder] = (tmp_path / "script" / "runs").glob("bios-*" if name == "census" else "conversations-*")
    kind = "bios" if name == "census" else "conversations"
    assert sum(pq.read_metadata(path).num_rows for path in (folder / kind).glob("part-*.parquet")) >= 4
