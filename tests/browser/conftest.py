"""Debian's chromium, driven by Playwright. `make test-browser` installs both and runs these; `make test` does not see them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

if "DURABLE_FN_BROWSER_TESTS" not in os.environ:
    collect_ignore_glob = ["test_*.py"]

SHOTS = os.environ.get("DURABLE_FN_SCREENSHOTS")
"""A folder for pictures to look at."""


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=20_000)
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert path, "no chromium: make test-browser installs it"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        yield browser
        browser.close()


class Pages:
    """Opens pages, and notes all that goes wrong in them: errors, what the policy refused, requests elsewhere."""

    def __init__(self, browser: Any) -> None:
        self._browser = browser
        self._contexts: list[Any] = []
        self.wrong: list[str] = []

    def open(self, url: str, *, width: int = 1280, height: int = 900, theme: str = "light", **more: Any) -> Any:
        context = self._browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=theme,
            permissions=["clipboard-read", "clipboard-write"],
            **more,
        )
        context.set_default_timeout(20_000)
        self._contexts.append(context)
        page = context.new_page()
        page.on("console", lambda line: self.wrong.append(line.text) if line.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("dialog", lambda dialog: (self.wrong.append(f"a dialog says {dialog.message}"), dialog.dismiss()))
        own = url.partition("#")[0].rstrip("/")
        page.on(
            "request",
            lambda request: (
                None if request.url.startswith((own, "blob:")) else self.wrong.append(f"asks {request.url}")
            ),
        )
        page.goto(url)
        return page

    def close(self) -> None:
        for context in self._contexts:
            context.close()


@pytest.fixture
def pages(chromium: Any, servers: list[Any]) -> Iterator[Pages]:
    """Closed before their server ends: it may be in the middle of an answer."""
    found = Pages(chromium)
    yield found
    found.close()
    assert found.wrong == []


@pytest.fixture
def shot() -> Callable[[Any, str], None]:
    def take(page: Any, name: str) -> None:
        if SHOTS:
            Path(SHOTS).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=f"{SHOTS}/{name}.png")

    return take
