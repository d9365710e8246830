"""The documentation as a reader has it who opened a file, without any network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

SITE = os.environ.get("DURABLE_FN_SITE")
pytestmark = pytest.mark.skipif(SITE is None, reason="make docs builds the site")
TOP = Path(__file__).resolve().parents[2] / (SITE or "")
WIDE = """() => [...document.querySelectorAll("pre code")]
    .filter(code => code.scrollWidth > code.clientWidth + 1).map(code => code.innerText.slice(0, 60))"""
PROGRAMS = ["index", "guide/concepts", "guide/steps-retries-errors", "guide/recipes", "guide/migrating"]


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, offline=True)
    yield context.new_page()
    context.close()


def test_search_finds_without_a_server(page: Any) -> None:
    page.goto((TOP / "index.html").as_uri())
    page.keyboard.press("f")
    page.locator(".md-search__input").press_sequentially("idempotency key")
    expect(page.locator(".md-search-result__link").first).to_be_visible()
    page.locator(".md-search-result__link").first.click()
    expect(page.locator(".md-content mark").first).to_have_text("key", ignore_case=True)


def test_no_page_is_wider_than_a_telephone(page: Any) -> None:
    page.set_viewport_size({"width": 400, "height": 900})
    files = sorted(TOP.rglob("*.html"))
    assert len(files) > 40
    for file in files:
        page.goto(file.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") == 400, file


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_fit_on_a_screen(page: Any, name: str) -> None:
    page.goto((TOP / f"{name}.html").as_uri())
    assert page.evaluate(WIDE) == []
