"""The Prefer header (RFC 7240): how long a client wants to wait for an answer."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_PREFERENCE: Final = re.compile(
    r"""[\s,;]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)   # a token
        (?:\s*=\s*("(?:[^"\\]|\\.)*"|[^\s,;"]*))?   # its value, a word or a quoted string
        ((?:\s*;[^,"]*(?:"(?:[^"\\]|\\.)*"[^,"]*)*)?)   # parameters: none that we know""",
    re.VERBOSE,
)
_LONGEST: Final = 2000
_MOST_DIGITS: Final = 9


class Preferences(NamedTuple):
    """`wait`: seconds that the client waits; None where it does not say. `respond_async`: it would rather not wait."""

    wait: int | None = None
    respond_async: bool = False


def preferences(header: str) -> Preferences:
    """What is unknown or malformed is passed over, and of two that contradict each other the first counts, as the RFC says."""
    found: dict[str, str] = {}
    at, header = 0, header[:_LONGEST]
    while (match := _PREFERENCE.match(header, at)) is not None:
        found.setdefault(match[1].lower(), (match[2] or "").strip('"'))
        at = header.find(",", match.end())
        if at < 0:
            break
    wait = found.get("wait", "")
    seconds = int(wait) if wait.isascii() and wait.isdigit() and len(wait) <= _MOST_DIGITS else None
    return Preferences(seconds, "respond-async" in found)
