"""A chat endpoint that is faster than its clients: nginx and Lua where they are installed, else the tests' own server.

    python tests/benchmarks/fast_server.py [--seconds 3 --connections 64]

prints how many calls it answers per second and per second of its own CPU time, asked by a client of raw sockets. Debian
has it as `apt-get install nginx libnginx-mod-http-lua lua-cjson`; it runs as a child, in a folder of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from asking import messages

MODULES = [Path("/usr/lib/nginx/modules", name) for name in ("ndk_http_module.so", "ngx_http_lua_module.so")]
MODEL_SERVER = Path(__file__).parents[1] / "model_server.py"
CONFIG = """
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/error.log warn;
{modules}
worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_body_buffer_size 64k;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_timeout 600s;
  keepalive_requests 1000000000;
  init_by_lua_block {{ cjson, answered = require "cjson.safe", {{ paid = 0 }} }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /v1/chat/completions {{
      content_by_lua_block {{
        ngx.req.read_body()
        local asked = cjson.decode(ngx.req.get_body_data() or "")
        if not asked then return ngx.exit(400) end
        if {latency} > 0 then ngx.sleep({latency}) end
        local said = asked.messages[#asked.messages].content
        ngx.header.content_type = "application/json"
        local body = cjson.encode({{
          id = "chatcmpl-1", object = "chat.completion", created = 1700000000, model = asked.model,
          choices = {{ {{ index = 0, finish_reason = "stop", message = {{
            role = "assistant", content = "As for this: " .. said:sub(-400) }} }} }},
          usage = {{ prompt_tokens = 200, completion_tokens = 100, total_tokens = 300 }}
        }})
        ngx.header.content_length = #body
        ngx.print(body)
        answered.paid = answered.paid + 1
      }}
    }}
    location = /control/stats {{ content_by_lua_block {{ ngx.say(cjson.encode(answered)) }} }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class FastServer:
    """A running server: who answers at `base_url`, from the process `pid`."""

    name: str
    base_url: str
    pid: int

    def cpu_s(self) -> float:
        """CPU seconds that it has used."""
        return cpu_s(self.pid)

    def answered(self) -> int:
        """Answers that it has given to calls."""
        with urllib.request.urlopen(f"{self.base_url.removesuffix('/v1')}/control/stats", timeout=10) as told:
            return int(json.load(told)["paid"])


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used."""
    used = psutil.Process(pid).cpu_times()
    return used.user + used.system


@contextmanager
def fast_server(latency_s: float) -> Iterator[FastServer]:
    """A server that takes `latency_s` for an answer; nginx where it is installed with its Lua module."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx and all(module.exists() for module in MODULES):
        with _nginx(nginx, latency_s) as server:
            yield server
    else:
        with model_server(latency_s) as server:
            yield server


@contextmanager
def _nginx(nginx: str, latency_s: float) -> Iterator[FastServer]:
    folder = Path(tempfile.mkdtemp(prefix="fast-server-"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    modules = "\n".join(f"load_module {module};" for module in MODULES)
    config = folder / "nginx.conf"
    config.write_text(CONFIG.format(folder=folder, modules=modules, port=port, latency=latency_s))
    process = subprocess.Popen([nginx, "-p", str(folder), "-c", str(config)], stderr=subprocess.DEVNULL)
    try:
        _wait_for(port, process, folder / "error.log")
        yield FastServer("nginx and Lua", f"http://127.0.0.1:{port}/v1", process.pid)
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder)


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 10
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"nginx did not start: {log.read_text()}")


@contextmanager
def model_server(latency_s: float) -> Iterator[FastServer]:
    """The tests' own, whose answers are what was asked for: also those of judges and with tools."""
    command = [sys.executable, str(MODEL_SERVER), "--latency", str(latency_s)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield FastServer("the tests' server", json.loads(process.stdout.readline())["base_url"], process.pid)
    finally:
        process.terminate()
        process.wait()


async def ceiling(server: FastServer, connections: int, seconds: float) -> tuple[float, float]:
    """(calls per CPU-second of the server, calls per second), asked over so many sockets, one call at a time each."""
    host, port = server.base_url.removeprefix("http://").removesuffix("/v1").split(":")
    body = json.dumps({"model": "m", "messages": messages(0), "max_tokens": 200}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    count, until = 0, time.perf_counter() + seconds

    async def ask() -> None:
        nonlocal count
        reader, writer = await asyncio.open_connection(host, int(port))
        while time.perf_counter() < until:
            writer.write(head + body)
            told = (await reader.readuntil(b"\r\n\r\n")).lower()
            assert told.startswith(b"http/1.1 200"), told
            await reader.readexactly(int(told.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
            count += 1
        writer.close()

    used = server.cpu_s()
    await asyncio.gather(*(ask() for _ in range(connections)))
    return count / (server.cpu_s() - used), count / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--connections", type=int, default=64)
    options = parser.parse_args()
    with fast_server(0) as server:
        per_cpu, per_second = asyncio.run(ceiling(server, options.connections, options.seconds))
    print("|server|calls per CPU-second|calls per second|\n|---|---|---|")
    print(f"|{server.name}|{per_cpu:,.0f}|{per_second:,.0f}|")
    print(f"\n{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
