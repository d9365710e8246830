"""A night, with the dashboard alone: among 5,000 executions ten failed, three are held by a bad deploy, one waits for a
callback that was lost, one is overdue because nobody runs its function. Found, understood, mended, redriven."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from playwright.sync_api import expect

from durable_fn import DurableClient
from durable_fn.wiring import sqlite
from tests.browser.conftest import Pages
from tests.browser.journals import filled
from tests.browser.test_ui import Ui
from tests.local.servers import Server

ORDERS = """
from pathlib import Path

from durable_fn import DurableContext, RetryPolicy, durable, step

HERE = Path(__file__).parent


def charge(order: dict) -> str:
    return f"charged {order['n']}"


@step(retry=RetryPolicy(max_attempts=1))
def ship(order: dict) -> str:
    if (HERE / "warehouse-down").exists():
        raise ConnectionError("the warehouse answers 503")
    return "shipped"


@durable(name="orders")
def orders(order: dict, ctx: DurableContext) -> str:
    ctx.step(charge, order)
    return ctx.step(ship, order)


@durable(name="parcels")
def parcels(parcel: dict, ctx: DurableContext) -> str:
    ctx.step(charge, parcel, )
    ctx.wait_for_signal("picked-up", timeout=86_400)
    return ctx.step(ship, parcel)


@durable(name="refunds")
def refunds(refund: dict, ctx: DurableContext) -> str:
    answer = ctx.callback("manager", timeout=86_400)
    return answer.result()
"""
REPORTS = """

@durable(name="reports")
def reports(event: dict, ctx: DurableContext) -> str:
    return ctx.step(charge, event)
"""
BAD = ORDERS.replace("    ctx.step(charge, parcel, )\n", "    ctx.step(ship, parcel)\n")
HOUR = 3_600_000


class Night:
    def __init__(self, directory: Path, servers: list[Server]) -> None:
        self.directory = directory
        self.servers = servers
        filled(directory / "j.db", 5_000, int(time.time() * 1000))
        self.client = DurableClient(sqlite(str(directory / "j.db")))
        self.worker: Server | None = None

    def deploy(self, code: str) -> None:
        """As on a server: the old worker ends, a new one begins."""
        if self.worker is not None:
            assert self.worker.end() == 0
        (self.directory / "shop.py").write_text(code)
        self.worker = Server(self.directory, "worker", "shop.py", "--backend", "sqlite:///j.db", "--workers", "2")
        self.servers.append(self.worker)
        self.worker.until("loaded")

    def goes_wrong(self) -> None:
        self.deploy(ORDERS)
        (self.directory / "warehouse-down").touch()
        for number in range(10):
            self.client.start("orders", {"n": number}, id=f"night-{number}")
        for number in range(3):
            self.client.start("parcels", {"n": number}, id=f"parcel-{number}")
        self.client.start("refunds", {"n": 1}, id="refund-1")
        for id in [*(f"parcel-{number}" for number in range(3)), "refund-1"]:
            self.client.wait(id, status=["SUSPENDED"], timeout=60)
        for number in range(10):
            self.client.wait(f"night-{number}", status=["FAILED"], timeout=60)
        self.deploy(BAD)
        for number in range(3):
            self.client.signal(f"parcel-{number}", "picked-up")
        while sum(1 for _ in self.client.list(held=True)) < 3:
            assert self.worker is not None
            self.worker.until("left")
        self._has_a_report_that_nobody_makes()

    def _has_a_report_that_nobody_makes(self) -> None:
        backend: Any = sqlite(str(self.directory / "j.db"))
        backend.store.register("reports", "", "")
        self.client.start("reports", {"n": 1}, id="report-1")
        with backend.store.store.database.transaction() as db:  # it was started an hour ago
            db.execute("UPDATE executions SET started = started - ?, due = due - ? WHERE id = 'report-1'", (HOUR, HOUR))


def attention(page: Any, word: str) -> Any:
    return page.get_by_role("navigation", name="What wants attention").get_by_role("link", name=word)


def test_a_night(tmp_path: Path, pages: Pages, servers: list[Server], shot: Any) -> None:
    night = Night(tmp_path, servers)
    night.goes_wrong()
    servers.append(ui := Ui(tmp_path, "--backend", "sqlite:///j.db", "--allow-changes", DURABLE_FN_ACTOR="ada"))
    page = pages.open(ui.url)
    expect(attention(page, "held")).to_contain_text("3")
    expect(attention(page, "failed")).to_contain_text("10")
    expect(attention(page, "overdue")).to_contain_text("1")
    shot(page, "night")

    # Ten failed: the reason stands in the list; the warehouse is up again; all are redriven at once.
    attention(page, "failed").click()
    expect(page.locator(".row .why").first).to_contain_text("the warehouse answers 503")
    expect(page.locator(".row")).to_have_count(10)
    (tmp_path / "warehouse-down").unlink()
    page.get_by_role("button", name="Many at once…").click()
    page.locator("dialog select").select_option("redrive")
    page.get_by_role("button", name="Count, change nothing").click()
    page.get_by_label("Type 10 to confirm").fill("10")
    page.get_by_label("Reason").fill("the warehouse is up")
    page.get_by_role("button", name="Redrive 10").click()
    expect(page.locator(".outcome")).to_have_text("10 redriven.")
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_text("Nothing matches")).to_be_visible()

    # Three are held: the message names what was recorded and what the code asks for. The deploy is taken back.
    attention(page, "held").click()
    expect(page.locator(".row")).to_have_count(3)
    page.get_by_role("link", name="parcel-0").click()
    expect(page.locator(".card.bad")).to_contain_text("Held: it cannot go on")
    expect(page.locator(".card.bad")).to_contain_text("charge")
    shot(page, "night-held")
    night.deploy(ORDERS + REPORTS)
    for number in range(3):
        page.goto(f"{ui.url}#/x/parcel-{number}")
        page.get_by_role("button", name="Try now").click()
        page.locator("dialog").get_by_role("button", name="Try now").click()
        expect(page.locator(".idline .status")).to_have_text("Succeeded")

    # The overdue one: nobody ran its function; the deploy brought it.
    page.goto(f"{ui.url}#/x/report-1")
    expect(page.locator(".idline .status")).to_have_text("Succeeded")

    # The refund: its mail was lost. It says on whom it waits, and is answered from here.
    page.goto(f"{ui.url}#/?name=refunds")
    page.get_by_role("link", name="refund-1").click()
    expect(page.locator(".waits")).to_contain_text("'manager'")
    page.locator(".waits").get_by_role("button", name="Complete…").click()
    page.get_by_label("Result").fill('"granted"')
    page.get_by_role("button", name="Complete", exact=True).click()
    expect(page.locator(".idline .status")).to_have_text("Succeeded")

    page.goto(ui.url)
    expect(page.get_by_text("Nothing wants attention")).to_be_visible()
    client = night.client
    assert {info.status for info in client.list()} == {"SUCCEEDED"}
    assert [event.reason for event in client.history("night-3") if event.kind == "redrive"] == ["the warehouse is up"]
    charges = [event for event in client.history("night-3") if event.name == "charge"]
    assert len(charges) == 1, "what had succeeded did not run again"
