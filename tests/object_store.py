"""An S3 in a process of its own (moto's server), with faults: `python tests/object_store.py` prints its port.

`POST /-/faults {"count": 3, "methods": ["PUT"]}` has the next three requests of these methods answered by a 503;
`GET /-/requests` tells how many requests of each method there were, faults included.
"""

import json
import sys
from collections import Counter
from threading import Lock

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

SLOW_DOWN = (
    b'<?xml version="1.0"?><Error><Code>ServiceUnavailable</Code><Message>Please reduce your rate.</Message></Error>'
)


class Faulty:
    """moto's application, some of whose requests fail."""

    def __init__(self):
        self._application = DomainDispatcherApplication(create_backend_app)
        self._lock, self._left, self._methods, self._requests = Lock(), 0, [], Counter()

    def __call__(self, environ, start_response):
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        if path == "/-/faults":
            said = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
            self._left, self._methods = said["count"], said["methods"]
            return self._told(start_response, {})
        if path == "/-/requests":
            return self._told(start_response, self._requests)
        with self._lock:
            self._requests[method] += 1
            fails = self._left > 0 and method in self._methods
            self._left -= fails
        if fails:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start_response("503 Service Unavailable", [("Content-Type", "application/xml")])
            return [SLOW_DOWN]
        return self._application(environ, start_response)

    @staticmethod
    def _told(start_response, content):
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(content).encode()]


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_):
        pass


if __name__ == "__main__":
    server = make_server("127.0.0.1", 0, Faulty(), threaded=True, request_handler=Quiet)
    print(server.port, flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        sys.exit()
