"""`durable-fn ui` in a browser: a token, read-only, and a large journal."""

from __future__ import annotations

import time
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.conftest import Pages
from tests.browser.journals import filled
from tests.local.servers import Server

FIRST_PAGE_MS = 200


class Ui(Server):
    """`durable-fn ui`, whose one line says where it is."""

    def __init__(self, directory: Path, *words: str, **environment: str) -> None:
        super().__init__(directory, "ui", "--port", "0", "--no-open", *words, **environment)
        self.url = self.until("dashboard")["url"] + "/"


def test_the_first_page_of_a_hundred_thousand(tmp_path: Path, pages: Pages, servers: list[Server]) -> None:
    filled(tmp_path / "j.db", 100_000, int(time.time() * 1000))
    servers.append(ui := Ui(tmp_path, "--backend", "sqlite:///j.db"))
    page = pages.open(ui.url)
    expect(page.locator(".row")).to_have_count(50)
    for at, address in enumerate(
        ("", "#/?id_prefix=order-0999", "#/?status=FAILED%2CTIMED_OUT", "#/?held=1", "#/?name=orders")
    ):
        page.goto(ui.url + address)
        page.wait_for_function(
            "at => performance.getEntriesByType('resource').filter(one => one.name.includes('api/executions')).length > at",
            arg=at,
        )
    own = "performance.getEntriesByType('resource').filter(one => /api.(executions|attention|meta)/.test(one.name))"
    took = page.evaluate(f"{own}.map(one => one.duration)")
    print(
        f"first pages of 100,000 executions: {max(took):.0f} ms at most, {sorted(took)[len(took) // 2]:.0f} ms usually"
    )
    assert max(took) < FIRST_PAGE_MS
    page.goto(ui.url)
    expect(page.locator(".row")).to_have_count(50)
    page.get_by_role("button", name="Show more").click()
    expect(page.locator(".row")).to_have_count(100)


def test_without_the_token_there_is_nothing(tmp_path: Path, pages: Pages, servers: list[Server]) -> None:
    filled(tmp_path / "j.db", 3, int(time.time() * 1000))
    servers.append(ui := Ui(tmp_path, "--backend", "sqlite:///j.db", DURABLE_FN_UI_TOKEN="open-sesame"))
    page = pages.open(ui.url)
    expect(page.get_by_text("A token is needed")).to_be_visible()
    page.get_by_label("Token").fill("wrong")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("A token is needed")).to_be_visible()
    page.get_by_label("Token").fill("open-sesame")
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".row")).to_have_count(3)
    other = pages.open(f"{ui.url}#token=open-sesame")
    expect(other.locator(".row")).to_have_count(3)
    assert "sesame" not in other.url, "it does not stay in the address"
    pages.wrong[:] = [line for line in pages.wrong if "401" not in line]


def test_read_only_offers_nothing(tmp_path: Path, pages: Pages, servers: list[Server]) -> None:
    filled(tmp_path / "j.db", 3, int(time.time() * 1000))
    before = (tmp_path / "j.db").stat()
    servers.append(ui := Ui(tmp_path, "--backend", "sqlite:///j.db", "--read-only"))
    page = pages.open(ui.url)
    expect(page.locator(".row")).to_have_count(3)
    expect(page.locator("#bar .chip")).to_have_text("Read-only")
    assert (
        page.get_by_role("button", name="Many at once…").count()
        == page.get_by_role("button", name="Start…").count()
        == 0
    )
    page.locator(".row a").first.click()
    expect(page.locator(".actions")).to_have_text("Read-only")
    assert (tmp_path / "j.db").stat().st_mtime_ns == before.st_mtime_ns
