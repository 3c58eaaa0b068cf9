"""An S3 in a process of its own (moto's server), with faults: `python tests/object_store.py [PORT]` prints
its port.

`POST /-/faults {"count": 3, "methods": ["PUT"]}` has the next three requests of these methods answered by a 503; so has
`"every": 7` every seventh. `"status": 403, "code": "AccessDenied"` is another answer, `"at": "/manifest.json"` means
requests of such a path alone, and `"late": true` has what was asked for done all the same.
`GET /-/requests` tells how many requests of each method there were, faults included.
"""

import json
import sys
from collections import Counter
from threading import Lock

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

MESSAGE = '<?xml version="1.0"?><Error><Code>{}</Code><Message>As was asked for.</Message></Error>'


class Faulty:
    """moto's application, some of whose requests fail."""

    def __init__(self):
        self._application = DomainDispatcherApplication(create_backend_app)
        self._lock, self._faults, self._requests, self._met = Lock(), {}, Counter(), 0

    def __call__(self, environ, start_response):
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        if path == "/-/faults":
            self._faults = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
            self._met = 0
            return self._told(start_response, {})
        if path == "/-/requests":
            return self._told(start_response, self._requests)
        with self._lock:
            self._requests[method] += 1
            faults = dict(self._faults) if self._is_hit(path, method) else None
        if faults and faults.get("late"):
            b"".join(self._application(environ, lambda *_: None))
        elif faults:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        if faults:
            status = faults.get("status", 503)
            start_response(f"{status} As Asked", [("Content-Type", "application/xml")])
            return [MESSAGE.format(faults.get("code", "ServiceUnavailable")).encode()]
        return self._application(environ, start_response)

    def _is_hit(self, path, method):
        faults = self._faults
        if not faults or method not in faults.get("methods", [method]) or faults.get("at", "") not in path:
            return False
        self._met += 1
        if "count" in faults:
            return self._met <= faults["count"]
        return self._met % faults.get("every", 1) == 0

    @staticmethod
    def _told(start_response, content):
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(content).encode()]


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_):
        pass


if __name__ == "__main__":
    server = make_server(
        "127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0, Faulty(), threaded=True, request_handler=Quiet
    )
    print(server.port, flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        sys.exit()
