"""Debian's Prometheus scrapes a running job through Ray's own exporter."""

import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import urllib.parse
import urllib.request

import pytest
from jobs import KEY, wait_for, write_config, write_corpus
from test_vocabulary import queries

ENV = {"POPULACE_TEST_KEY": KEY}


def _metrics_port(address: str) -> int:
    """Where the head node tells its metrics."""
    code = f"import ray; ray.init('{address}', log_to_driver=False); print(ray.nodes()[0]['MetricsExportPort'])"
    environment = os.environ | {"RAY_AUTH_MODE": "disabled"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1])


@pytest.fixture
def prometheus(tmp_path, shared_ray):
    """`ask(query)` of a Prometheus that scrapes this Ray every second."""
    path = shutil.which("prometheus")
    if not path:
        pytest.skip("no Prometheus here: apt-get install prometheus")
    if importlib.util.find_spec("opencensus") is None:
        pytest.skip("this Ray has no exporter: pip install 'ray[default]'")
    target = {"targets": [f"127.0.0.1:{_metrics_port(shared_ray.address)}"]}
    config = {"global": {"scrape_interval": "1s"}, "scrape_configs": [{"job_name": "ray", "static_configs": [target]}]}
    (tmp_path / "prometheus.yml").write_text(json.dumps(config))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [path, f"--config.file={tmp_path / 'prometheus.yml'}", f"--storage.tsdb.path={tmp_path / 'tsdb'}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
    with (tmp_path / "prometheus.out").open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)

    def ask(query: str) -> list:
        asked = urllib.parse.urlencode({"query": query})
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?{asked}", timeout=10) as answer:
                return json.load(answer)["data"]["result"]
        except OSError:
            return []

    yield ask
    process.terminate()
    process.wait(10)


@pytest.mark.slow
def test_every_query_of_the_dashboard_finds_series_of_a_running_job(
    tmp_path, model_server, shared_ray, prometheus, start_populace
):
    share = {"429": 0.05, "500": 0.05, "400": 0.03, "prose": 0.02}
    server = model_server(keys=[KEY], latency=0.3, share=share, retry_after=0.2)
    endpoint = {"base_url": server.base_url, "model": "m", "keys": ["env:POPULACE_TEST_KEY"]}
    config = write_config(
        tmp_path,
        server.base_url,
        write_corpus(tmp_path, 20),
        llm={"endpoints": [endpoint | {"price": {"input": 1, "output": 2}, "max_concurrency": 4}], "budget_usd": 90},
        personas={"dedup": {"scope": "none"}, "depth": 1},
        conversations={"count": 2000, "max_turns": 2, "judge": True},
        cluster={"address": shared_ray.address},
    )
    job = start_populace("run", config, env=ENV)
    wait_for(lambda: prometheus('ray_populace_conversations_total{outcome="accepted"} > 5'), 200)
    left = {one for one in queries() if not re.search("populace_(bios|journal_hits)", one)}

    def found_all() -> bool:
        assert job.poll() is None, job.said()
        for one in list(left):
            filled = one.replace("$__rate_interval", "30s").replace("$__range", "10m").replace("$run", ".+")
            if prometheus(filled):
                left.discard(one)
        return not left

    wait_for(found_all, 120)
    [series] = prometheus("ray_populace_calls_total")
    assert re.fullmatch("[0-9a-f]{12}", series["metric"]["run"])
    assert KEY not in json.dumps(prometheus('{__name__=~"ray_populace_.+"}'))
