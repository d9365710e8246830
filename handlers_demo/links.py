"""Links in mails that answer a callback, and what a browser does with one.

`durable_fn.callback_api` is behind them: on AWS as a function with a URL (DURABLE_FN_CALLBACK_URL names it), here called in the
process. Following a link is a GET and changes nothing, because mail scanners follow links; the button on its page is a POST.
"""

from __future__ import annotations

import os
import re
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from durable_fn import callback_api

from .systems import ExternalSystem

URL_VARIABLE: Final = "DURABLE_FN_CALLBACK_URL"


def link(token: str, **answer: str) -> str:
    """A link that answers the callback with these fields, once its page is confirmed."""
    base = os.environ.get(URL_VARIABLE, "https://callbacks.example.com").rstrip("/")
    return f"{base}/callbacks/{token}?{urlencode(answer)}"


def newest_link(mail: ExternalSystem, what: str, wanted: str) -> str:
    """The last link with this answer in the newest mail of its kind. LookupError if nobody wrote one."""
    for letter in reversed(mail.details(what)):
        found = [word for word in letter.split() if "/callbacks/" in word and wanted in word]
        if found:
            return found[-1]
    raise LookupError(f"no {what} with a link that says {wanted!r}")


def follow(address: str) -> str:
    """What a mail scanner does, or somebody who only looks: the page."""
    return _request("GET", address)


def confirm(address: str) -> str:
    """Follows the link and presses the button. Returns the page that thanks. RuntimeError if the answer was not taken."""
    follow(address)
    return _request("POST", address)


def _request(method: str, address: str) -> str:
    parts = urlsplit(address)
    event: dict[str, Any] = {
        "version": "2.0",
        "rawPath": parts.path,
        "rawQueryString": parts.query,
        "queryStringParameters": dict(parse_qsl(parts.query)),
        "headers": {"accept": "text/html", "content-type": "application/x-www-form-urlencoded"},
        "requestContext": {"http": {"method": method, "path": parts.path}},
        "isBase64Encoded": False,
    }
    if method == "POST":
        event["body"] = parts.query
    answer = callback_api.handler(event, None)
    if answer["statusCode"] != 200:
        raise RuntimeError(f"the callback API answers {answer['statusCode']}: {words(answer['body'])}")
    return words(answer["body"])


def words(page: str) -> str:
    """What is to be read on a page."""
    return " ".join(re.sub(r"<[^>]*>", " ", page.partition("<main>")[2]).split())
