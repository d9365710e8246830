"""`durable-fn ui` in a browser: a token, read-only, and a large journal."""

from __future__ import annotations

import time
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.conftest import Pages
from tests.browser.journals import filled
from tests.local.servers import Server

FIRST_PAGE_MS = 200
FIRST = ("meta", "attention", "executions", "executions?id_prefix=order-0999", "executions?status=FAILED,TIMED_OUT",
         "executions?held=1", "executions?overdue=1", "executions?name=orders", "executions?has_error=1")  # fmt: skip
QUICKEST = """async (address) => {
  const took = [];
  for (let n = 0; n < 7; n++) {
    const began = performance.now();
    await (await fetch(address, { cache: "no-store" })).json();
    took.push(performance.now() - began);
  }
  return Math.min(...took);
}"""
"""What else the machine does meanwhile only adds to it."""


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
    took = {name: page.evaluate(QUICKEST, f"api/{name}") for name in FIRST}
    print("first pages of 100,000 executions:", ", ".join(f"{name} {ms:.0f} ms" for name, ms in took.items()))
    assert max(took.values()) < FIRST_PAGE_MS
    page.get_by_role("button", name="Show more").click()
    expect(page.locator(".row")).to_have_count(100)


def test_without_the_token_there_is_nothing(tmp_path: Path, pages: Pages, servers: list[Server]) -> None:
    filled(tmp_path / "j.db", 3, int(time.time() * 1000))
    servers.append(ui := Ui(tmp_path, "--backend", "sqlite:///j.db", DURABLE_FN_UI_TOKEN="open-sesame"))
    page = pages.open(ui.url)
    expect(page.get_by_text("A token is needed")).to_be_visible()
    page.get_by_label("Token").fill("wrong")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("That is not the token")).to_be_visible()
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
