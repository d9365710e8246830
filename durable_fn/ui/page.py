"""The files of the page, as they stand in the package."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Final

from .messages import Answer

_FOLDER: Final = Path(__file__).parent / "static"
_KINDS: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def page(path: str, known: str) -> Answer | None:
    """The file behind a path; 304 where the browser has it (`known` is its If-None-Match). None where there is none."""
    found = _files().get("index.html" if path in ("", "/") else path.removeprefix("/"))
    if found is None:
        return None
    body, headers = found
    if headers["etag"] in known:
        return Answer(304, b"", headers)
    return Answer(200, body, headers)


@cache
def _files() -> dict[str, tuple[bytes, dict[str, str]]]:
    """Only what is there: a path is a name among these, never a place to look."""
    found = {}
    for path in sorted(_FOLDER.iterdir()):
        if path.suffix in _KINDS:
            body = path.read_bytes()
            etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
            found[path.name] = (body, {"content-type": _KINDS[path.suffix], "etag": etag, "cache-control": "no-cache"})
    return found
