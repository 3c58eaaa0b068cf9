"""How this process reaches endpoints: its session, the headers that carry a key, proxies, and what a broken line means.

Knows no API. Of a key no part is in what is raised or shown.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from multidict import CIMultiDict

from cluster.keys import Endpoint, Secret
from cluster.lanes import Lane
from cluster.refusal import one_line
from cluster.retry import Trouble

_KEEP_ALIVE_S = 30.0
_DNS_CACHE_S = 60


def open_session() -> aiohttp.ClientSession:
    """Its connections are bounded by whoever uses it, and so are its times."""
    connector = aiohttp.TCPConnector(
        limit=0, ttl_dns_cache=_DNS_CACHE_S, keepalive_timeout=_KEEP_ALIVE_S, ssl=_tls_context()
    )
    return aiohttp.ClientSession(
        connector=connector, timeout=aiohttp.ClientTimeout(total=None), cookie_jar=aiohttp.DummyCookieJar()
    )


def headers_of(lane: Lane) -> CIMultiDict[str] | Trouble:
    """What every request of a lane carries."""
    if not _fits_a_header(lane.secret):
        return Trouble(401, f"the key {lane.key_name} has characters that no header takes", "invalid_api_key")
    return CIMultiDict(
        {
            "Authorization": f"Bearer {lane.secret.reveal()}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "populace",
        }
    )


def broken(error: aiohttp.ClientError | ConnectionError, url: str) -> Trouble:
    """Nobody there, or a line that broke in the middle, which is not that."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return Trouble(None, f"{url}: {one_line(error.os_error)}", connected=False)
    return Trouble(None, f"{url}: {one_line(error) or type(error).__name__}")


def _fits_a_header(secret: Secret) -> bool:
    key = secret.reveal()
    return key.isascii() and (key.isprintable() or not key)


def proxy_of(endpoint: Endpoint) -> str | None:
    """The HTTP proxy that the environment names for an endpoint; ask once, for asking costs as much as a call."""
    parts = urlsplit(endpoint.base_url)
    if proxy_bypass(parts.netloc):
        return None
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all") or ""
    return proxy if proxy.startswith(("http://", "https://")) else None


def _tls_context() -> ssl.SSLContext:
    """The system's certificates, and certifi's beside them: a bare container has none of its own."""
    context = ssl.create_default_context()
    with suppress(ImportError):
        import certifi

        context.load_verify_locations(certifi.where())
    return context
