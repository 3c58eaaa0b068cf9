"""`ray job submit` for real, on a Ray that asks for its token: submitted, stopped in the middle, submitted again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import yaml
from jobs import KEY, conversation_ids, metrics, persona_ids, rows, wait_for, write_config, write_corpus
from ray_process import RayProcess
from test_secrets import found_in, parts_of

ROOT = Path(__file__).resolve().parents[2]
ENV = {"POPULACE_TEST_KEY": KEY}
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
DOCUMENTS, CALLS = 30, 30 + 90 * 4
API = (
    "/api/jobs/",
    "/api/v0/actors?detail=1&limit=1000",
    "/api/v0/tasks?detail=1&limit=1000",
    "/api/v0/workers?detail=1&limit=1000",
    "/api/v0/objects?detail=1&limit=1000",
    "/api/v0/runtime_envs?detail=1&limit=1000",
    "/api/v0/nodes?detail=1",
    "/api/v0/jobs?detail=1",
    "/logical/actors",
    "/api/cluster_status",
    "/events",
)


class Cluster:
    """A Ray with a dashboard and a token, and what is said to it by `ray job`."""

    def __init__(self) -> None:
        self.ray = RayProcess(QUIET, cpus=8, takes_jobs=True)

    def job(self, verb: str, *arguments: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).with_name("ray")), "job", verb, "--address", self.ray.dashboard, *arguments]
        env = os.environ | QUIET | self.ray.token | {"NO_COLOR": "1"}
        return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=timeout, check=False)

    def submit(self, name: str, config: Path, *options: str) -> subprocess.CompletedProcess[str]:
        environment = ("--runtime-env", "ray_configs/runtime_env.yaml", "--working-dir", ".")
        command = ("--", sys.executable, "-m", "pipelines", "run", str(config))
        return self.job("submit", "--submission-id", name, *environment, *options, *command)

    def get(self, path: str) -> str:
        token = Path(self.ray.token["RAY_AUTH_TOKEN_PATH"]).read_text()
        asked = urllib.request.Request(self.ray.dashboard + path, headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return answer.read().decode()

    def ended(self, name: str) -> tuple[str, int | None]:
        """Its status, and the exit code of its driver where it ended by itself."""
        told = json.loads(self.get(f"/api/jobs/{name}"))
        return told["status"], told["driver_exit_code"]


@pytest.fixture
def cluster(_starter):
    one = Cluster()
    yield one
    one.ray.stop()


@pytest.fixture
def prepared(tmp_path, model_server):
    """A server, and a config whose key is in a file."""
    server = model_server(keys=[KEY], latency=0.15)
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "keys.txt").write_text(f"{KEY}\n")
    endpoint = {"base_url": server.base_url, "model": "m", "keys": [f"file:{tmp_path}/secret/keys.txt"]}
    config = write_config(
        tmp_path,
        server.base_url,
        write_corpus(tmp_path, DOCUMENTS),
        llm={"endpoints": [endpoint | {"max_concurrency": 8}]},
        conversations={"count": 90},
    )
    return server, config


@pytest.mark.slow
def test_a_job_that_is_stopped_and_submitted_again_makes_what_an_undisturbed_run_makes(
    tmp_path, cluster, prepared, run_populace
):
    server, config = prepared
    assert cluster.submit("first", config, "--no-wait").returncode == 0
    wait_for(lambda: server.stats()["requests"] >= 150)
    stopping = time.monotonic()
    assert cluster.job("stop", "first").returncode == 0
    print(f"stopped in {time.monotonic() - stopping:.1f} s")
    assert cluster.ended("first")[0] == "STOPPED"
    logs = cluster.get("/api/jobs/first/logs")
    assert "interrupted. What is done is kept" in logs and "Traceback" not in logs
    assert metrics(tmp_path / "run")["ending"] == "interrupted"
    wait_for(lambda: not server.stats()["in_flight"])

    done = cluster.submit("second", config)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert cluster.ended("second") == ("SUCCEEDED", 0)
    assert metrics(tmp_path / "run")["journal_hits"] > 0
    assert server.stats()["requests"] <= CALLS + 8, "paid again: more than what was in flight at the stop"

    undisturbed = run_populace("run", config, "--set", f"run_dir={tmp_path / 'undisturbed'}")
    assert undisturbed.returncode == 0, undisturbed.stderr
    for ids in (persona_ids, conversation_ids):
        assert ids(tmp_path / "run") == ids(tmp_path / "undisturbed")
    assert len(rows(tmp_path / "run", "conversations")) == 90

    answers = tmp_path / "answers"
    answers.mkdir()
    for number, path in enumerate(API):
        (answers / f"{number}.json").write_text(cluster.get(path))
    assert len((answers / "1.json").read_text()) > 1000, "there are actors to search"
    assert found_in([answers, tmp_path / "run", cluster.ray.folder], parts_of([KEY])) == []


@pytest.mark.slow
def test_a_job_that_gives_its_keys_away_or_would_lose_its_run_is_refused(tmp_path, cluster, prepared):
    server, config = prepared
    content = yaml.safe_load(config.read_text())
    content["llm"]["endpoints"][0]["keys"] = ["env:POPULACE_TEST_KEY"]
    config.write_text(yaml.safe_dump(content))
    handed = json.dumps({"env_vars": ENV})
    command = ("--", sys.executable, "-m", "pipelines", "run", str(config))
    done = cluster.job("submit", "--working-dir", ".", "--runtime-env-json", handed, *command)
    assert done.returncode != 0
    assert "the key env:POPULACE_TEST_KEY stands in the job's runtime environment" in done.stdout
    given = ("--set", f"llm.endpoints.0.keys=[file:{tmp_path}/secret/keys.txt]")
    done = cluster.job("submit", "--working-dir", ".", *command, *given, "--set", "run_dir=runs/lost")
    assert "run_dir runs/lost lies in the job's working directory, which Ray removes" in done.stdout

    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "keys.txt").write_text(KEY)
    packed = ("--set", "llm.endpoints.0.keys=[file:keys.txt]")
    here = ("--working-dir", str(folder), "--runtime-env-json", json.dumps({"env_vars": {"PYTHONPATH": str(ROOT)}}))
    done = cluster.job("submit", *here, *command, *packed)
    assert "file:keys.txt went through the cluster with the job's working directory" in done.stdout
    assert server.log() == []
