"""The site as `make docs` builds it: nothing in it is loaded from elsewhere, every link leads somewhere, pictures speak."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin

import pytest

SITE = os.environ.get("DURABLE_FN_SITE")
pytestmark = pytest.mark.skipif(SITE is None, reason="make docs builds the site and asks this of it")
ROOT = Path(__file__).resolve().parents[2]
LOADING = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "link": "href"}
NAMED_ONLY = {"canonical", "next", "prev"}


@dataclass
class Page(HTMLParser):
    """What one page loads, links to, and can be linked to by."""

    path: Path
    loads: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    pictures: list[dict[str, str | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if (target := given.get(LOADING.get(tag, ""))) and given.get("rel") not in NAMED_ONLY:
            self.loads.append(target)
        if tag == "a" and (href := given.get("href")):
            self.links.append(href)
        if identity := given.get("id"):
            self.anchors.add(identity)
        if tag == "svg" and "picture" in (given.get("class") or ""):
            self.pictures.append(given)


@cache
def site() -> dict[str, Page]:
    assert SITE is not None
    top = ROOT / SITE
    return {path.relative_to(top).as_posix(): Page(path) for path in sorted(top.rglob("*.html"))}


def foreign(target: str) -> bool:
    return target.startswith(("http:", "https:", "//"))


def test_nothing_is_loaded_from_elsewhere() -> None:
    assert [(name, load) for name, page in site().items() for load in page.loads if foreign(load)] == []


def test_style_sheets_load_nothing_from_elsewhere() -> None:
    assert SITE is not None
    sheets = list((ROOT / SITE).rglob("*.css"))
    assert sheets
    for sheet in sheets:
        text = sheet.read_text(encoding="utf-8")
        assert "url(http" not in text, sheet
        assert "@import" not in text, sheet


def broken(name: str, target: str) -> bool:
    path, anchor = urldefrag(urljoin(name, target))
    page = site().get(unquote(path))
    if page is not None:
        return bool(anchor) and unquote(anchor) not in page.anchors
    assert SITE is not None
    return not (ROOT / SITE / unquote(path)).is_file()


def test_every_link_leads_somewhere() -> None:
    links = [
        (name, link)
        for name, page in site().items()
        if name != "404.html"  # its links begin at the site's root, wherever that is
        for link in page.links
        if not foreign(link) and not link.startswith("mailto:")
    ]
    assert len(links) > 100
    assert [(name, link) for name, link in links if broken(name, link)] == []


def test_pictures_say_what_they_show() -> None:
    for name, page in site().items():
        for picture in page.pictures:
            labels = (picture.get("aria-labelledby") or "").split()
            assert picture.get("role") == "img", name
            assert len(labels) == 2, name
            assert set(labels) <= page.anchors, (name, labels)


def test_search_can_be_opened_as_a_file() -> None:
    """The index as a script, and workers where a page is no server's."""
    assert SITE is not None
    top = ROOT / SITE
    assert (top / "search" / "search_index.js").read_text(encoding="utf-8").startswith("var __index = ")
    assert all(any(load.endswith("assets/iframe-worker.js") for load in page.loads) for page in site().values())
