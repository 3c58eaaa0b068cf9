"""A Hugging Face hub in a process of its own, as far as a push needs one: `python tests/hub_server.py TOKEN` prints its
port.

It takes requests with this token alone, and keeps datasets in memory: `GET /-/datasets` tells what is in them, by name
and path. `POST /-/fault {"status": 503}` has whatever would change a dataset answered so from then on.
"""

import base64
import json
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar


class Hub(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    token = ""
    fault = 0
    datasets: ClassVar[dict[str, dict]] = {}

    def do_GET(self):
        if self.path == "/-/datasets":
            return self._answer(200, self.datasets)
        if not self._may():
            return None
        name = self._name()
        if name not in self.datasets:
            return self._refuse(404, "RepoNotFound")
        files = [{"type": "file", "path": path, "size": 1, "oid": "0" * 40} for path in self.datasets[name]["files"]]
        return self._answer(200, files if "/tree/" in self.path else {"id": name, "sha": "0" * 40, "siblings": []})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/-/fault":
            type(self).fault = json.loads(body)["status"]
            return self._answer(200, {})
        if not self._may():
            return None
        if self.fault:
            return self._refuse(self.fault, None)
        if self.path == "/api/repos/create":
            return self._create(json.loads(body))
        if self.path == "/api/validate-yaml":
            return self._answer(200, {"errors": [], "warnings": []})
        if "/preupload/" in self.path:
            asked = json.loads(body)["files"]
            modes = [{"path": one["path"], "uploadMode": "regular", "shouldIgnore": False} for one in asked]
            return self._answer(200, {"files": modes})
        return self._commit([json.loads(line) for line in body.splitlines()])

    def _create(self, asked):
        name = f"{asked['organization']}/{asked['name']}"
        url = f"http://{self.headers['Host']}/datasets/{name}"
        if name in self.datasets:
            return self._answer(409, {"error": "there is one already", "url": url})
        self.datasets[name] = {"visibility": asked.get("visibility"), "files": {}}
        return self._answer(200, {"url": url, "id": name})

    def _commit(self, operations):
        files = self.datasets[self._name()]["files"]
        for one in operations:
            if one["key"] == "file":
                files[one["value"]["path"]] = base64.b64decode(one["value"]["content"]).decode("latin-1")
            if one["key"] == "deletedFile":
                del files[one["value"]["path"]]
        url = f"http://{self.headers['Host']}/datasets/{self._name()}/commit/{'0' * 40}"
        return self._answer(200, {"success": True, "commitUrl": url, "commitOid": "0" * 40})

    def _name(self):
        return re.match(r"/api/datasets/([^/]+/[^/?]+)", self.path)[1]

    def _may(self):
        if self.headers.get("Authorization") == f"Bearer {self.token}":
            return True
        self._refuse(401, None)
        return False

    def _refuse(self, status, code):
        self._answer(status, {"error": "no"}, {"X-Error-Code": code} if code else {})

    def _answer(self, status, content, headers=None):
        body = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": len(body), **(headers or {})}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    Hub.token = sys.argv[1]
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    print(server.server_port, flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        sys.exit()
