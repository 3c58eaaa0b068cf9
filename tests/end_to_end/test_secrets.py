"""Keys in everything that a noisy, failing run leaves: there is none, and no part of one."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from jobs import actor_processes, rows, wait_for, write_config, write_corpus
from ray_process import RayProcess

GOOD = ["sk-Zx81vTq0LmW4rK7p", "gsk_" + "9fB3hJ6nD2sQ" * 8, "eyJhbGc1Oi.eyJzdWIiOiJ4In0.b64-_tail/+=42"]
DYING = ["AIzaQ7w%20e&r=5t#y:u", "sk-or-v1-0a1b2c3d4e5f60718293"]
REFUSED = ['sk-"quoted"\\back{brace}', "two qjx zw key 4c7e", "clé-à-accents-8812", "0123-plain-and-short"]
PART = 8
NOISY = {"RAY_BACKEND_LOG_LEVEL": "debug", "RAY_USAGE_STATS_ENABLED": "0"}


@pytest.fixture
def noisy_ray(_starter):
    """A Ray of the test's own, that logs all it can."""
    ray = RayProcess(NOISY)
    yield ray
    _starter.end()
    ray.stop()


def parts_of(keys: list[str]) -> set[str]:
    return {key[start : start + PART] for key in keys for start in range(len(key) - PART + 1)}


@pytest.mark.slow
def test_no_part_of_a_key_is_in_anything_that_a_failing_run_leaves(tmp_path, model_server, noisy_ray, start_populace):
    dying = dict(zip(DYING, ("8:401", "12:insufficient_quota"), strict=True))
    share = {"400": 0.05, "500": 0.1, "429": 0.05, "error_200": 0.05}
    quote = ["whole", "head", "tail", "masked"]
    known = [*GOOD, *DYING]
    server = model_server(keys=known, dying=dying, share=share, quote=quote, latency=0.05, retry_after=0.2)
    (tmp_path / "keys.txt").write_text("\n".join([*REFUSED, *DYING, *GOOD]) + "\n", encoding="utf-8")
    config = write_config(tmp_path, server.base_url, write_corpus(tmp_path, 20), cluster={"address": noisy_ray.address})
    content = yaml.safe_load(config.read_text())
    content["llm"]["endpoints"][0] |= {"keys": [f"file:{tmp_path}/keys.txt"], "requests_per_minute": 6000}
    config.write_text(yaml.safe_dump(content))

    driver = start_populace("run", config, env=NOISY)
    wait_for(lambda: server.stats()["requests"] >= 60)
    actor_processes(noisy_ray.pid, "LLMCaller")[0].kill()
    assert driver.wait(240) in (0, 1), driver.said()
    (tmp_path / "keys.txt").unlink()

    statuses = server.stats()["keys"]
    assert all(statuses[key]["statuses"].get("401") for key in REFUSED[:2] + DYING[:1]), "the bad keys were tried"
    assert {row["kind"] for row in rows(tmp_path / "run", "failures")} >= {"refused"}
    assert list((noisy_ray.folder / "session_latest" / "logs").glob("*raylet*.out")), "there are logs to search"
    for path in (tmp_path / "run").rglob("*.parquet"):
        path.with_suffix(".text").write_text(str(pq.read_table(path).to_pydict()))
    assert found_in([tmp_path, noisy_ray.folder], parts_of([*GOOD, *DYING, *REFUSED])) == []


def found_in(folders: list[Path], parts: set[str]) -> list[str]:
    """File and part, of every part that stands in a file as it is, or as JSON or Python escape it."""
    patterns = (
        parts | {json.dumps(one)[1:-1] for one in parts} | {one.encode("unicode_escape").decode() for one in parts}
    )
    command = ["grep", "--recursive", "--text", "--fixed-strings", "--only-matching", "--file=-"]
    found = subprocess.run([*command, *map(str, folders)], input="\n".join(patterns).encode(), capture_output=True)
    assert found.returncode in (0, 1), found.stderr
    return found.stdout.decode(errors="replace").splitlines()
