"""The death of the head: the run ends with it, the next one goes on; with Redis behind it, its workers stay."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time

import psutil
import pytest
from jobs import KEY, conversation_ids, persona_ids, wait_for, write_config, write_corpus
from ray_process import RayProcess, free_port

ENV = {"POPULACE_TEST_KEY": KEY}
NODES = "import ray, sys; ray.init(sys.argv[1], log_to_driver=False); print(sum(one['Alive'] for one in ray.nodes()))"


@pytest.fixture
def redis(tmp_path):
    """The address of a Redis of the test's own."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server comes with Debian's redis-server")
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(tmp_path), "--save", ""]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    yield f"127.0.0.1:{port}"
    process.terminate()
    process.wait(10)


def alive(ray: RayProcess) -> int:
    done = subprocess.run([sys.executable, "-c", NODES, ray.address], capture_output=True, text=True, timeout=120)
    return int(done.stdout or 0)


@pytest.mark.slow
def test_a_run_whose_head_died_goes_on_at_the_next_head_which_its_workers_have_joined(
    tmp_path, model_server, redis, start_populace, run_populace
):
    server = model_server(keys=[KEY], latency=0.2)
    endpoint = {"base_url": server.base_url, "model": "m", "keys": ["env:POPULACE_TEST_KEY"], "max_concurrency": 16}
    config = write_config(
        tmp_path,
        server.base_url,
        write_corpus(tmp_path, 30),
        llm={"endpoints": [endpoint]},
        conversations={"count": 90},
    )
    surroundings = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0", "RAY_REDIS_ADDRESS": redis}
    port = free_port()
    head = RayProcess(surroundings, cpus=4, port=port)
    worker = head.join(cpus=4)
    again = None
    try:
        joined = ("--set", f"cluster.address={head.address}")
        run = start_populace("run", config, *joined, env=ENV)
        wait_for(lambda: server.stats()["requests"] >= 150)
        for process in [psutil.Process(head.pid), *psutil.Process(head.pid).children(recursive=True)]:
            process.kill()
        run.kill()  # it is on the head's machine
        again = RayProcess(surroundings, cpus=4, port=port)
        deadline = time.monotonic() + 60
        while (nodes := alive(again)) < 2 and time.monotonic() < deadline:
            time.sleep(1)
        assert nodes == 2, "the worker has joined the new head"
        wait_for(lambda: not server.stats()["in_flight"])
        done = run_populace("run", config, "--set", f"cluster.address={again.address}", env=ENV)
        assert done.returncode == 0, done.stderr
    finally:
        for one in (worker, head, again):
            if one:
                one.stop()
    assert server.stats()["repaid"] <= 16
    calm = run_populace("run", config, "--set", f"run_dir={tmp_path / 'calm'}", env=ENV)
    assert calm.returncode == 0, calm.stderr
    assert persona_ids(tmp_path / "run") == persona_ids(tmp_path / "calm")
    assert conversation_ids(tmp_path / "run") == conversation_ids(tmp_path / "calm")
