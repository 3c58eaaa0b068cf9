"""Clusters that cannot be used: exit code 2 in seconds, one clear line, and nothing is paid."""

from __future__ import annotations

import http.server
import json
import os
import secrets
import subprocess
import sys
import threading

import pytest
from jobs import KEY, write_config, write_corpus
from ray_process import RayProcess

ENV = {"POPULACE_TEST_KEY": KEY}
QUIET = {"RAY_USAGE_STATS_ENABLED": "0"}


@pytest.fixture
def server(model_server):
    server = model_server(keys=[KEY])
    yield server
    assert server.log() == [], "nothing is paid"


@pytest.fixture
def refused(tmp_path, server, run_populace):
    """The one line of a run that joins `address`."""
    config = write_config(tmp_path, server.base_url, write_corpus(tmp_path, 3))

    def refuse(address: str, *arguments: str, **env: str) -> str:
        done = run_populace("run", config, "--set", f"cluster.address={address}", *arguments, env=ENV | env)
        assert done.returncode == 2 and "Traceback" not in done.stderr, (done.stdout, done.stderr)
        assert done.seconds < 60
        [line] = done.stderr.splitlines()
        return line.removeprefix("populace: ")

    return refuse


def test_an_address_where_nobody_answers_is_named(refused):
    assert refused("127.0.0.1:9") == (
        "cluster.address: nobody answers at 127.0.0.1:9; start Ray there, or name HOST:PORT of its head"
    )


@pytest.mark.slow
@pytest.mark.parametrize("address", ["no-such-host.invalid:6379", "ray://127.0.0.1:9", "nonsense"])
def test_other_addresses_where_nobody_answers_are_named(refused, address):
    assert "nobody answers at " in refused(address)


@pytest.mark.slow
def test_what_answers_and_is_no_ray_is_told(refused):
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as page:
        threading.Thread(target=page.serve_forever, daemon=True).start()
        assert "is no Ray" in refused(f"127.0.0.1:{page.server_port}")
        page.shutdown()


@pytest.mark.slow
def test_a_token_that_is_missing_or_wrong_is_told(tmp_path, refused):
    (tmp_path / "other").write_text(secrets.token_hex(32))
    ray = RayProcess(QUIET, takes_jobs=True)
    try:
        for env in ({}, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(tmp_path / "other")}):
            line = refused(ray.address, **env)
            assert line.startswith(f"cluster.address: the Ray at {ray.address} refuses the token, or got none; set ")
    finally:
        ray.stop()


OTHER_VERSION = """
import json, sys
from ray._raylet import GcsClient
gcs = GcsClient(address=sys.argv[1])
told = json.loads(gcs.internal_kv_get(b"CLUSTER_METADATA", b"cluster"))
gcs.internal_kv_put(b"CLUSTER_METADATA", json.dumps(told | json.loads(sys.argv[2])).encode(), True, b"cluster")
"""


@pytest.fixture
def own_ray():
    """A Ray of the test's own, with four cores."""
    ray = RayProcess(QUIET, cpus=4)
    yield ray
    ray.stop()


@pytest.mark.slow
def test_a_cluster_of_another_version_is_refused(own_ray, refused):
    other = json.dumps({"ray_version": "2.9.3", "python_version": "3.9.1"})
    env = os.environ | {"RAY_AUTH_MODE": "disabled"}
    subprocess.run([sys.executable, "-c", OTHER_VERSION, own_ray.address, other], env=env, check=True)
    line = refused(own_ray.address)
    assert f"the Ray at {own_ray.address} is Ray 2.9.3 on Python 3.9.1, this is Ray " in line


@pytest.mark.slow
def test_a_cluster_without_room_is_told_who_lacks_what(own_ray, refused):
    line = refused(
        own_ray.address,
        *("--set", "cluster.placement.callers.resources={egress: 1}", "--set", "cluster.callers.min=3"),
        *("--set", "cluster.wait_s=1"),
    )
    assert line == (
        "cluster: no room for 3 × callers of CPU 0.25 and egress 1; the cluster has CPU 4, egress 0 on 1 node; add "
        "nodes, ask for less, or raise cluster.wait_s"
    )


@pytest.mark.slow
def test_a_node_that_does_not_see_the_run_is_named(tmp_path, own_ray, refused):
    if os.geteuid() or subprocess.run(["unshare", "-m", "true"], check=False).returncode:
        pytest.skip("a node that sees other files needs mount namespaces (run as root)")
    node = own_ray.join(hides=tmp_path)
    try:
        line = refused(own_ray.address)
        assert f"does not see run_dir {tmp_path / 'run'}; name a folder that all nodes mount" in line
    finally:
        node.stop()
