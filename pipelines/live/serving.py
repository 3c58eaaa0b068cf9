"""`populace serve`: the report of a run, and a page of it as it goes on, for browsers of this machine; for those of
others with a token. Reads the run's folder and changes nothing in it."""

from __future__ import annotations

import hmac
import json
import secrets
import socket
import threading
import time
from dataclasses import dataclass, field
from html import escape
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from socketserver import TCPServer
from urllib.parse import parse_qs, urlsplit

from cluster.errors import UserError
from pipelines.live.page import live_page, live_values
from pipelines.report import report_page
from pipelines.run_reading import find_run

_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_OLD_S = 60.0  # a report of a running job that is older is made anew
_COOKIE = "populace"


@dataclass(slots=True)
class Site:
    """What is served of the run in `run_dir`, and to whom: browsers of this machine, or whoever has the `token`."""

    run_dir: Path
    token: str | None = None
    _report: str = ""
    _made_at: float = float("-inf")
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def page(self, path: str) -> tuple[str, str] | None:
        """(media type, content) of a path; None where there is nothing. `UserError` where the run is gone."""
        match path:
            case "/":
                return "text/html", live_page(find_run(self.run_dir))
            case "/report":
                return "text/html", self._fresh_report()
            case "/state.json":
                return "application/json", json.dumps(live_values(find_run(self.run_dir)))
        return None

    def _fresh_report(self) -> str:
        with self._lock:
            run = find_run(self.run_dir)
            changed = (self.run_dir / "manifest.json").stat().st_mtime > self._made_at
            if not self._report or (changed and time.time() - self._made_at > (_OLD_S if run.is_running else 0)):
                self._made_at = time.time()
                self._report = report_page(run)
            return self._report

    def lets_in(self, host: str, given: str) -> bool:
        """Whether a request may be answered: by its token, or as one of this machine by the name that it asked for,
        so that no page of elsewhere gets at it by a name of its own."""
        if self.token is not None:
            return hmac.compare_digest(given.encode(), self.token.encode())
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or _is_loopback(name)


class _Handler(BaseHTTPRequestHandler):
    site: Site
    server_version, sys_version = "populace", ""

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        given = parse_qs(asked.query).get("token", [""])[0]
        if not self.site.lets_in(self.headers.get("Host", ""), given or self._cookie()):
            return self._answer(HTTPStatus.FORBIDDEN, "text/plain", "ask with the address that populace serve printed")
        if given:
            return self._enter(asked.path, given)
        try:
            found = self.site.page(asked.path)
        except UserError as error:
            return self._answer(HTTPStatus.NOT_FOUND, "text/html", f"<!doctype html><p>{escape(str(error))}")
        if found is None:
            return self._answer(HTTPStatus.NOT_FOUND, "text/plain", "there is / and /report")
        self._answer(HTTPStatus.OK, *found)

    do_HEAD = do_GET

    def _cookie(self) -> str:
        try:
            found = SimpleCookie(self.headers.get("Cookie", "")).get(_COOKIE)
        except CookieError:
            return ""
        return found.value if found else ""

    def _enter(self, path: str, token: str) -> None:
        """On to the page without the token in its address."""
        self.send_response(HTTPStatus.SEE_OTHER)
        self.send_header("Location", "/" + path.lstrip("/\\"))
        self.send_header("Set-Cookie", f"{_COOKIE}={token}; HttpOnly; SameSite=Strict; Path=/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _answer(self, status: HTTPStatus, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        for name, value in (_HEADERS | {"Content-Type": f"{kind}; charset=utf-8"}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: addresses may hold a token."""


class Server(ThreadingHTTPServer):
    """Serves until `shutdown`. Port 0 takes a free one. `UserError` where it cannot listen there."""

    daemon_threads = True

    def __init__(self, run_dir: Path, host: str, port: int) -> None:
        find_run(run_dir)
        token = None if _is_loopback(host) or host == "localhost" else secrets.token_urlsafe(24)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        handler = type("Handler", (_Handler,), {"site": Site(run_dir, token)})
        try:
            super().__init__((host, port), handler)
        except OSError as error:
            raise UserError(
                f"cannot serve on {host}:{port}: {error.strerror or error}; choose another --port"
            ) from None
        name = f"[{host}]" if ":" in host else host
        self.address = f"http://{name}:{self.server_address[1]}/" + (f"?token={token}" if token else "")

    def server_bind(self) -> None:
        """Without asking the network for this machine's name, which takes seconds where there is none."""
        TCPServer.server_bind(self)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
