"""Debian's chromium, headless, with a page that keeps what its console says."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
_ARGUMENTS += ["--disable-component-update", "--disable-sync"]


@contextmanager
def chromium() -> Iterator[Callable[..., AbstractContextManager[tuple[Any, list[str]]]]]:
    """`opened(address, color_scheme="dark")` of one browser; skips the test where there is none."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not path:
        pytest.skip("no browser here: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        yield partial(_opened, browser)
        browser.close()


@contextmanager
def _opened(browser: Any, address: str | Path, **options: Any) -> Iterator[tuple[Any, list[str]]]:
    """A page that has loaded, and the list of all that goes wrong on it."""
    wrong = list[str]()
    page = browser.new_page(**{"viewport": {"width": 1200, "height": 900}} | options)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    page.on("requestfailed", lambda request: wrong.append(f"failed: {request.url}"))
    page.goto(address.as_uri() if isinstance(address, Path) else address)
    yield page, wrong
    page.close()


def until(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the page did not come to it in time"
        time.sleep(0.05)
