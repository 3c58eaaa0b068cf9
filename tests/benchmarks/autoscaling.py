"""A run on a cluster whose nodes come with its work and go after it: Ray's autoscaler, with nodes that are processes of
this machine (each a raylet of its own), and callers that may only be on these.

    python tests/benchmarks/autoscaling.py [--nodes 3] [--documents 400]

Prints a Markdown table: how many nodes and callers there were, and when. Exits with 1 where not all nodes came, where
one was left after the run, or where the run's rows are not all there.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "end_to_end"))

from jobs import KEY, rows, write_config, write_corpus
from model_server_process import ModelServerProcess
from ray_process import free_port

ROOT = Path(__file__).resolve().parents[2]
HEAD = "f" * 51 + "00000"  # the node id that the provider takes for the head's
PROVIDER = "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider"
STORE_BYTES = 80 << 20
IDLE_S = 10.0
PATIENCE_S = 240.0
STARTS = 5


def autoscaler(address: str, nodes: int) -> dict[str, Any]:
    """Up to `nodes` nodes with room for one caller each."""
    nothing = ("initialization_commands", "setup_commands", "head_setup_commands", "worker_setup_commands")
    nothing += ("head_start_ray_commands", "worker_start_ray_commands", "cluster_synced_files", "rsync_exclude")
    node = {"CPU": 1, "egress": 1, "object_store_memory": STORE_BYTES}
    return {
        "cluster_name": "on-this-machine",
        "max_workers": nodes,
        "upscaling_speed": 100.0,
        "idle_timeout_minutes": IDLE_S / 60,
        "provider": {
            "type": "external",
            "module": PROVIDER,
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
            "launch_multiple": True,
            "head_node_id": HEAD,
            "gcs_address": address,
        },
        "auth": {"ssh_user": "root"},
        "available_node_types": {
            "ray.head.default": {"resources": {"CPU": 4}, "node_config": {}, "max_workers": 0},
            "callers": {"resources": node, "node_config": {}, "min_workers": 0, "max_workers": nodes},
        },
        "head_node_type": "ray.head.default",
        "docker": {},
        "file_mounts": {},
        "file_mounts_sync_continuously": False,
        "rsync_filter": [],
        **{name: [] for name in nothing},
    }


@contextmanager
def cluster(nodes: int) -> Iterator[tuple[str, dict[str, str]]]:
    """Address and environment of a head that has nodes come and go; ended by pid, with all nodes."""
    folder = Path(tempfile.mkdtemp(prefix="ras", dir="/tmp"))
    (folder / "token").touch(0o600)
    (folder / "token").write_text(secrets.token_hex(32))
    ip, port = own_address(), free_port()
    address, config = f"{ip}:{port}", folder / "autoscaler.yaml"
    config.write_text(json.dumps(autoscaler(address, nodes)))
    env = os.environ | {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",
        "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        "RAY_FAKE_CLUSTER": "1",
        "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD,
        "RAY_CLOUD_INSTANCE_ID": HEAD,
        "RAY_NODE_TYPE_NAME": "ray.head.default",
        "RAY_enable_autoscaler_v2": "1",
    }
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--include-dashboard=false"]
    command += [f"--node-ip-address={ip}", f"--port={port}", "--num-cpus=4", f"--temp-dir={folder}"]
    command += [f"--object-store-memory={STORE_BYTES}", f"--autoscaling-config={config}"]
    try:
        for _ in range(STARTS):  # Ray gives up on itself after half a minute, on a machine that is very busy
            if comes_up(command, env, folder):
                break
            end(folder)
        else:
            raise RuntimeError((folder / "out").read_text()[-2000:])
        yield address, env
    finally:
        end(folder)
        shutil.rmtree(folder, ignore_errors=True)


def comes_up(command: list[str], env: dict[str, str], folder: Path) -> bool:
    with (folder / "out").open("wb") as out:
        head = subprocess.Popen(command, env=env, stdout=out, stderr=out, start_new_session=True)
    while "Ray runtime started" not in (folder / "out").read_text():
        if head.poll() is not None:
            return False
        time.sleep(0.1)
    return True


def end(folder: Path) -> None:
    """All processes of a Ray, which are known by its folder."""
    found = [
        one
        for one in psutil.process_iter(["cmdline"])
        if any(str(folder) in word for word in one.info["cmdline"] or [])
    ]
    found += [child for one in found for child in one.children(recursive=True)]
    for process in found:
        if process.is_running():
            process.terminate()
    for process in psutil.wait_procs(found, timeout=10)[1]:
        process.kill()


def own_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.connect(("192.0.2.1", 9))  # sends nothing
        return str(one.getsockname()[0])


def alive() -> int:
    import ray

    return sum(one["Alive"] for one in ray.nodes()) - 1


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--documents", type=int, default=400)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="autoscaling-") as name, cluster(options.nodes) as (address, env):
        folder = Path(name)
        server = ModelServerProcess(folder / "stderr", keys=[KEY], latency=2.0)
        try:
            sys.exit(not watch(options, folder, server, address, env))
        finally:
            server.stop()


def watch(
    options: argparse.Namespace, folder: Path, server: ModelServerProcess, address: str, env: dict[str, str]
) -> bool:
    """Run, and print whenever the number of nodes or callers changes; whether all came and went."""
    os.environ.update(env)  # Ray reads it when it is imported
    import ray

    endpoint = {"base_url": server.base_url, "model": "m", "keys": ["env:POPULACE_TEST_KEY"]}
    callers = {"min": 1, "max": options.nodes, "in_flight": 8, "idle_s": 5}
    config = write_config(
        folder,
        server.base_url,
        write_corpus(folder, options.documents),
        llm={"endpoints": [endpoint | {"max_concurrency": 8 * options.nodes}]},
        conversations={"count": options.documents, "max_turns": 1},
        cluster={"address": address, "wait_s": 300, "callers": callers},
    )
    placement = "cluster.placement.callers.resources={egress: 1}"
    ray.init(address, log_to_driver=False, logging_level="ERROR")
    print("| s | nodes | callers | calls so far |\n|---:|---:|---:|---:|", flush=True)
    begun, seen, most = time.monotonic(), (-1, -1), 0
    command = [sys.executable, "-m", "pipelines", "run", str(config), "--set", placement]
    with (folder / "log").open("wb") as log:
        run = subprocess.Popen(command, cwd=ROOT, env=env | {"POPULACE_TEST_KEY": KEY}, stdout=log, stderr=log)
    ended = 0.0
    while not ended or (alive() and time.monotonic() - ended < PATIENCE_S):
        now = alive(), callers_of(env["RAY_AUTH_TOKEN_PATH"].removesuffix("/token"))
        if now != seen:
            seen, most = now, max(most, now[0])
            print(
                f"| {time.monotonic() - begun:.0f} | {now[0]} | {now[1]} | {server.stats()['requests']:,} |", flush=True
            )
        if not ended and run.poll() is not None:
            ended = time.monotonic()
            print(f"| {ended - begun:.0f} | {now[0]} | the run has ended with {run.returncode} | |", flush=True)
        time.sleep(0.5)
    print(f"| {time.monotonic() - begun:.0f} | {alive()} | 0 | {server.stats()['requests']:,} |", flush=True)
    left = alive()
    ray.shutdown()
    made = len(rows(folder / "run", "conversations"))
    if run.returncode or made != options.documents:
        print((folder / "log").read_text()[-3000:])
    return run.returncode == 0 and made == options.documents and most == options.nodes and left == 0


def callers_of(folder: str) -> int:
    """Caller processes of a Ray: on its nodes, which know it by its folder."""
    found = 0
    for process in psutil.process_iter(["cmdline"]):
        with suppress(psutil.Error):
            title = " ".join(process.info["cmdline"] or [])
            found += "ray::LLMCaller" in title and any(folder in word for word in process.parent().cmdline())
    return found


if __name__ == "__main__":
    main()
