"""What a person does with the dashboard, in a browser, against `durable-fn dev`."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from durable_fn import DurableClient
from durable_fn.wiring import sqlite
from tests.browser.conftest import Pages
from tests.browser.shop import HOSTILE, NAME
from tests.local.servers import Server

Shot = Callable[[Any, str], None]


class Shop:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        shutil.copy(Path(__file__).with_name("shop.py"), directory / "shop.py")
        self.journal = directory / "j.db"
        words = ["dev", "shop.py", "--backend", f"sqlite:///{self.journal}", "--port", "0", "--no-open", "--no-reload"]
        self.server = Server(directory, *words)
        self.url = self.server.ready() + "/"
        self.client = DurableClient(sqlite(str(self.journal)))

    def at(self, id: str) -> str:
        from urllib.parse import quote

        return f"{self.url}#/x/{quote(id, safe='')}"

    def start(self, name: str, payload: Any, id: str, status: str) -> None:
        self.client.start(name, payload, id=id)
        self.client.wait(id, status=[status], timeout=60)  # type: ignore[list-item]

    def say(self, name: str, *, there: bool = True) -> None:
        path = self.directory / name
        path.touch() if there else path.unlink()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    found = Shop(tmp_path_factory.mktemp("shop"))
    yield found
    found.say("stop")
    found.server.kill()


def text(page: Any, words: str) -> Any:
    return page.get_by_text(words).first


def test_started_followed_live_and_a_callback_completed(shop: Shop, pages: Pages, shot: Shot) -> None:
    page = pages.open(shop.url)
    page.get_by_role("button", name="Start…").click()
    page.locator("dialog select").select_option("approvals")
    page.get_by_label("Event").fill('{"first": "go-on"}')
    page.get_by_label("Execution id").fill("live-1")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.locator(".idline .status")).to_have_text("Running")
    expect(text(page, "Turn 1 is running")).to_be_visible()
    shop.say("go-on")
    expect(page.locator("[data-op=first] .piece.good")).to_be_visible()
    expect(page.locator("[data-op=boss]")).to_be_visible()
    expect(text(page, "asked the boss")).to_be_visible()
    expect(page.locator(".mark.now")).to_be_visible()
    shot(page, "waits-light")
    page.locator(".waits").get_by_role("button", name="Complete…").click()
    page.get_by_label("Result").fill("not json")
    page.get_by_role("button", name="Complete", exact=True).click()
    expect(page.get_by_role("alert").filter(has_text="is not JSON")).to_be_visible()
    page.get_by_label("Result").fill('{"approved": true}')
    page.get_by_role("button", name="Complete", exact=True).click()
    expect(page.locator(".idline .status")).to_have_text("Succeeded")
    expect(page.locator(".value", has_text="Result")).to_contain_text('"approved": true')
    expect(page.locator(".mark.now")).to_have_count(0)
    assert shop.client.result("live-1") == {"approved": True}


def test_a_failed_one_is_understood_and_redriven(shop: Shop, pages: Pages, shot: Shot) -> None:
    shop.say("warehouse-down")
    shop.start("orders", {"n": 1}, "broken-1", "FAILED")
    page = pages.open(shop.url)
    page.get_by_role("navigation", name="What wants attention").get_by_role("link", name="failed").click()
    page.get_by_role("link", name="broken-1").click()
    expect(page.locator(".card.bad")).to_contain_text("the warehouse answers 503")
    page.locator("[data-op=ship]").click()
    expect(page.locator(".side")).to_contain_text("2 attempts")
    expect(page.locator(".side .trace").last).to_contain_text("in ship")
    shot(page, "failed-light")
    shop.say("warehouse-down", there=False)
    page.get_by_role("button", name="Redrive", exact=True).click()
    page.get_by_label("Reason").fill("the warehouse is up again")
    page.locator("dialog").get_by_role("button", name="Redrive").click()
    expect(page.locator(".idline .status")).to_have_text("Succeeded")
    expect(page.locator(".marks")).to_contain_text("the warehouse is up again")
    redrive = next(event for event in shop.client.history("broken-1") if event.kind == "redrive")
    assert redrive.reason == "the warehouse is up again"
    assert redrive.by


def test_many_are_counted_confirmed_and_cancelled(shop: Shop, pages: Pages, shot: Shot) -> None:
    for number in range(12):
        shop.client.start("approvals", {}, id=f"bulk-{number:02}")
    for number in range(12):
        shop.client.wait(f"bulk-{number:02}", status=["SUSPENDED"], timeout=60)
    page = pages.open(f"{shop.url}#/?id_prefix=bulk-")
    expect(page.locator(".row")).to_have_count(12)
    page.get_by_role("button", name="Many at once…").click()
    page.get_by_role("button", name="Count, change nothing").click()
    dialog = page.locator("dialog")
    expect(dialog).to_contain_text("12 would be cancelled")
    expect(dialog).to_contain_text("and 2 more")
    shot(page, "bulk-light")
    assert {info.status for info in shop.client.list(id_prefix="bulk-")} == {"SUSPENDED"}, "a dry run changes nothing"
    go = dialog.get_by_role("button", name="Cancel 12")
    expect(go).to_be_disabled()
    dialog.get_by_label("Type 12 to confirm").fill("11")
    expect(go).to_be_disabled()
    dialog.get_by_label("Type 12 to confirm").fill("12")
    dialog.get_by_label("Reason").fill("not needed")
    go.click()
    expect(dialog.locator(".outcome")).to_have_text("12 cancelled.")
    dialog.get_by_role("button", name="Close").click()
    expect(page.locator(".row", has_text="Cancelled")).to_have_count(12)
    assert [event.reason for event in shop.client.history("bulk-00") if event.kind == "cancel"] == ["not needed"]


def test_a_thousand_operations(shop: Shop, pages: Pages, shot: Shot) -> None:
    """Drawn where they are seen, found by name, gone through by keys."""
    shop.start("wide", 333, "wide-1", "SUSPENDED")
    page = pages.open(shop.at("wide-1"))
    expect(page.locator(".timeline .tools")).to_contain_text("1001 operations")
    expect(page.locator(".op")).to_have_count(2)  # a long fan that is done is closed
    page.keyboard.press("j")
    page.keyboard.press("ArrowRight")
    expect(page.locator("[data-op='resize/0']")).to_be_visible()
    assert page.locator(".op").count() < 80
    page.locator(".frame").evaluate("frame => frame.scrollTo(0, frame.scrollHeight)")
    expect(page.locator("[data-op='resize/332/square']")).to_be_visible()
    shot(page, "wide-light")
    page.keyboard.press("f")
    page.keyboard.type("resize/77/")
    expect(page.locator(".op")).to_have_count(2)
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    expect(page.locator(".side h1")).to_have_text("resize/77/charge")
    page.get_by_label("Find an operation").fill("")
    page.locator(".frame").evaluate("frame => frame.scrollTo(0, 0)")
    page.locator("[data-op=resize] .name").click()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("[data-op='resize/0']")).to_have_count(0)
    page.keyboard.press("ArrowRight")
    expect(page.locator("[data-op='resize/0']")).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_hostile_texts_are_texts(shop: Shop, pages: Pages, shot: Shot, theme: str) -> None:
    """`pages` fails for a script that runs, a request elsewhere, and whatever the policy refuses."""
    id = f"{theme}<img src=x onerror=alert(1)>/../?#%2f&\"'"
    shop.start(NAME, {HOSTILE: HOSTILE}, id, "SUSPENDED")
    shown = HOSTILE.replace("\u202e", "\\u{202e}").replace("\x1b", "\\u{1b}")
    page = pages.open(f"{shop.url}#/?status=SUSPENDED", theme=theme)
    row = page.locator(".row", has_text=f"{theme}<img")
    expect(row.locator(".fn")).to_have_text(NAME)
    shot(page, f"hostile-list-{theme}")
    row.get_by_role("link").click()
    expect(page.locator(".idline h1")).to_have_text(id)
    expect(page.locator(".standing")).to_contain_text(shown)
    page.locator(".op", has_text="breaks").click()
    expect(page.locator(".side .message")).to_have_text(shown)
    page.get_by_text("Raw history").click()
    expect(page.locator(".event").first).to_be_visible()
    expect(page.locator(".value", has_text="Input")).to_contain_text("onerror")
    shot(page, f"hostile-{theme}")
    page.get_by_role("button", name="Copy the id").click()
    expect(page.locator(".toast")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == id
    assert page.locator("main img, main script").count() == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1360])
def test_it_fits(shop: Shop, pages: Pages, shot: Shot, theme: str, width: int) -> None:
    """Nothing is wider than the window, and what matters is to be seen."""
    shop.say("warehouse-down")
    for name, payload, id, status in (("approvals", {}, "fits-1", "SUSPENDED"), ("orders", {}, "fits-2", "FAILED")):
        shop.start(name, payload, f"{id}-{theme}-{width}", status)
    shop.say("warehouse-down", there=False)
    page = pages.open(shop.url, width=width, theme=theme)
    expect(page.locator(".row").first).to_be_visible()

    def fits(name: str) -> None:
        shot(page, f"{name}-{theme}-{width}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width

    fits("list")
    for id in ("fits-1", "fits-2"):
        page.goto(shop.at(f"{id}-{theme}-{width}"))
        expect(page.locator(".op").first).to_be_visible()
        page.locator(".op").last.locator(".name").click()
        expect(page.locator(".side")).to_be_visible()
        fits(id)


def test_by_keys_alone(shop: Shop, pages: Pages) -> None:
    shop.start("orders", {}, "keys-1", "SUCCEEDED")
    page = pages.open(shop.url)
    expect(page.locator(".row").first).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("keys-")
    page.keyboard.press("Enter")
    expect(page.locator(".row")).to_have_count(1)
    page.keyboard.press("j")
    expect(page.locator(".row.chosen")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.locator(".idline h1")).to_have_text("keys-1")
    page.keyboard.press("j")
    expect(page.locator(".side h1")).to_have_text("charge")
    page.keyboard.press("Escape")
    expect(page.locator(".side h1")).to_have_count(0)
    page.keyboard.press("?")
    expect(page.locator("dialog")).to_contain_text("Light or dark")
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)
    for theme in ("light", "dark", None):
        page.keyboard.press("t")
        assert page.evaluate("document.documentElement.dataset.theme ?? null") == theme
    page.keyboard.press("Escape")
    expect(page).to_have_url(re.compile("#/$"))


def test_the_server_is_gone_and_comes_back(shop: Shop, pages: Pages) -> None:
    """It says so, and goes on by itself."""
    page = pages.open(shop.url)
    expect(page.locator(".live")).to_have_text("Live")
    page.context.set_offline(True)
    expect(page.locator(".banner")).to_contain_text("does not answer")
    expect(page.locator(".live")).to_have_text("Not live")
    page.context.set_offline(False)
    expect(page.locator(".banner")).to_be_hidden()
    expect(page.locator(".live")).to_have_text("Live")
    pages.wrong[:] = [line for line in pages.wrong if "ERR_INTERNET_DISCONNECTED" not in line]
