"""Who may ask: names, sites, tokens, and what each answer forbids the browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from durable_fn import DurableContext, durable
from durable_fn.testing import LocalRunner
from durable_fn.ui.guard import Guard
from tests.ui.desk import Desk


@durable(name="waits")
def waits(event: None, ctx: DurableContext) -> None:
    ctx.wait_for_signal("go")


@pytest.fixture
def runner() -> Iterator[LocalRunner]:
    with LocalRunner(waits) as runner:
        runner.start(None, "w")
        runner.advance(0)
        yield runner


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8700", 200),
        ("localhost:1", 200),
        ("[::1]:8700", 200),
        ("desk.example", 200),
        ("DESK.example:443", 200),
        ("rebound.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example:8700", 421),
        ("", 421),
        ("[", 421),
        ("evil.example#@127.0.0.1", 421),
    ],
)
def test_only_under_its_own_names(runner: LocalRunner, host: str, status: int) -> None:
    """DNS rebinding: a name of somebody else's that leads here. Page and API alike."""
    desk = Desk(runner, Guard({"desk.example"}))
    for address in ("/", "/api/meta", "/app.js"):
        assert desk.send("GET", address, host=host).status == status


@pytest.mark.parametrize(
    ("headers", "page", "api"),
    [
        ({}, 200, 200),
        ({"sec_fetch_site": "none"}, 200, 200),
        ({"origin": "http://127.0.0.1:8700"}, 200, 200),
        ({"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}, 200, 403),
        ({"sec_fetch_site": "same-site", "sec_fetch_mode": "cors"}, 403, 403),
        ({"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors"}, 403, 403),
        ({"origin": "http://evil.example"}, 403, 403),
        ({"origin": "http://127.0.0.1:3000"}, 403, 403),
        ({"origin": "null"}, 403, 403),
        ({"origin": "http://["}, 403, 403),
    ],
)
def test_another_sites_page_is_refused(runner: LocalRunner, headers: dict[str, str], page: int, api: int) -> None:
    """A link may lead to the page, and to nothing else."""
    desk = Desk(runner)
    assert desk.send("GET", "/", **headers).status == page
    assert desk.send("GET", "/api/executions", **headers).status == api
    if api == 403:
        assert desk.send("POST", "/api/terminate", {"id": "w"}, **headers).status == 403
        assert runner.client.describe("w").status == "SUSPENDED"


def test_a_change_needs_what_no_form_can_send(runner: LocalRunner) -> None:
    desk = Desk(runner)
    assert desk.send("POST", "/api/terminate", {"id": "w"}, x_durable_fn="").status == 403
    assert desk.send("DELETE", "/api/terminate", {"id": "w"}, x_durable_fn="").status == 403
    assert desk.send("POST", "/api/terminate", {"id": "w"}, content_type="text/plain").status == 415
    assert desk.send("GET", "/api/terminate?id=w").status == 404
    assert desk.send("PUT", "/api/terminate", {"id": "w"}).status == 405
    assert desk.send("POST", "/", {}).status == 405
    assert runner.client.describe("w").status == "SUSPENDED"
    desk.post("terminate", {"id": "w"})
    assert runner.client.describe("w").status == "TERMINATED"


def test_a_token_is_asked_for_data_and_not_for_the_page(runner: LocalRunner) -> None:
    desk = Desk(runner, Guard(token="s3cret"))
    assert desk.send("GET", "/").status == 200
    for wrong in ({}, {"x_durable_fn_token": "s3cre"}, {"authorization": "Basic s3cret"}, {"x_durable_fn_token": "é"}):
        assert "token" in desk.get("/api/executions", 401, **wrong)["error"]
        desk.post("terminate", {"id": "w"}, 401, **wrong)
    for right in ({"x_durable_fn_token": "s3cret"}, {"authorization": "Bearer s3cret"}):
        assert desk.get("/api/executions", **right)["executions"]


def test_read_only_changes_nothing(runner: LocalRunner) -> None:
    from durable_fn.ui.actions import ACTIONS

    desk = Desk(runner, read_only=True)
    assert desk.get("/api/meta")["read_only"] is True
    for action in ACTIONS:
        assert (
            "read-only"
            in desk.post(action, {"id": "w", "name": "go", "action": "cancel", "filter": {}, "ids": ["w"]}, 403)[
                "error"
            ]
        )
    info = runner.client.describe("w")
    assert (info.status, info.invocations) == ("SUSPENDED", 1)


@pytest.mark.parametrize("address", ["/", "/app.js", "/api/meta", "/api/nothing", "/../dashboard.py"])
def test_what_every_answer_forbids_the_browser(runner: LocalRunner, address: str) -> None:
    answer = Desk(runner).send("GET", address)
    policy = {
        name: rest.split()
        for name, *rest in (part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
        for rest in [" ".join(rest)]
    }
    assert policy["default-src"] == ["'none'"]
    assert {name: policy[name] for name in ("script-src", "style-src")} == {
        "script-src": ["'self'"],
        "style-src": ["'self'"],
    }
    assert policy["frame-ancestors"] == policy["form-action"] == policy["base-uri"] == ["'none'"]
    assert policy["require-trusted-types-for"] == ["'script'"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"


def test_a_path_is_a_name_and_no_place(runner: LocalRunner) -> None:
    desk = Desk(runner)
    for path in ("/../dashboard.py", "/%2e%2e/dashboard.py", "/static/app.js", "/index.html/", "//etc/passwd", "/."):
        assert desk.send("GET", path).status == 404


def test_the_page_is_read_again_only_where_it_changed(runner: LocalRunner) -> None:
    desk = Desk(runner)
    first = desk.send("GET", "/app.js")
    again = desk.send("GET", "/app.js", if_none_match=first.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    assert desk.send("HEAD", "/app.js").body == b""


def test_no_text_can_become_markup() -> None:
    """The page's code has no way from a text to markup, and the page no code or style of its own in it."""
    import re

    from durable_fn.ui.page import _FOLDER

    markup = "innerHTML|outerHTML|insertAdjacentHTML|document\\.write|DOMParser|createContextualFragment|srcdoc"
    sinks = re.compile(markup + r"|\beval\b|new Function|setAttribute\(.(on|style)")
    for path in _FOLDER.glob("*.js"):
        assert not sinks.search(path.read_text()), path
    page = (_FOLDER / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|https?://", page)
    css = "".join(path.read_text() for path in _FOLDER.glob("*.css"))
    assert not re.search(r"@import|url\(", css)
