"""A running `tests/model_server.py` and its controls."""

from __future__ import annotations

import http.client
import json
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

MODEL_SERVER = Path(__file__).resolve().parents[1] / "model_server.py"


class ModelServerProcess:
    """The process; see `tests/model_server.py` for the options and what `stats` counts."""

    def __init__(self, stderr: Path, port: int = 0, **options: Any) -> None:
        command = [sys.executable, str(MODEL_SERVER), "--port", str(port)]
        with stderr.open("wb") as errors:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors)
        try:
            said = self._first_line(stderr, timeout_s=30)
            self.port, self.base_url, self.pid = said["port"], said["base_url"], said["pid"]
            if options:
                self.set(**options)
        except BaseException:
            self.stop()
            raise

    def _first_line(self, stderr: Path, timeout_s: float) -> dict[str, Any]:
        out = self._process.stdout
        ready, _, _ = select.select([out], [], [], timeout_s)
        line = out.readline() if ready else b""
        if not line:
            raise RuntimeError(f"the model server did not start: {stderr.read_text()[-2000:]}")
        return json.loads(line)

    def set(self, **options: Any) -> dict[str, Any]:
        """Change options from now on; returns all of them. Raises ValueError for what the server refuses."""
        return json.loads(self._ask("POST", "/control", json.dumps(options)))

    def options(self) -> dict[str, Any]:
        return json.loads(self._ask("GET", "/control"))

    def stats(self) -> dict[str, Any]:
        return json.loads(self._ask("GET", "/control/stats"))

    def log(self) -> list[dict[str, Any]]:
        """Every chat request that was answered, in the order of the answers."""
        rows: list[dict[str, Any]] = []
        while page := self._ask("GET", f"/control/log?offset={len(rows)}&limit=50000").splitlines():
            rows += [json.loads(line) for line in page]
        return rows

    def reset(self) -> None:
        """Forget what was counted and logged; the options stay."""
        self._ask("POST", "/control/reset")

    def stop(self) -> None:
        """End the process; its port refuses connections afterwards. May be called again."""
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)
        self._process.stdout.close()

    def _ask(self, method: str, path: str, body: str | None = None) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if answer.status != 200:
            raise ValueError(json.loads(text)["error"]["message"])
        return text
