"""The Prefer header (RFC 7240): how long a client wants to wait for an answer."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_ELEMENT: Final = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')
"""What stands between commas that are in no quoted string."""
_LONGEST: Final = 2000
_MOST_DIGITS: Final = 9


class Preferences(NamedTuple):
    """`wait`: seconds that the client waits; None where it does not say. `respond_async`: it would rather not wait."""

    wait: int | None = None
    respond_async: bool = False


def preferences(header: str) -> Preferences:
    """What is unknown or malformed is passed over, and of two that contradict each other the first counts, as the RFC says."""
    found: dict[str, str] = {}
    for element in _ELEMENT.findall(header[:_LONGEST]):
        name, _, value = element.partition(";")[0].partition("=")
        found.setdefault(name.strip().lower(), value.strip().strip('"'))
    wait = found.get("wait", "")
    seconds = int(wait) if wait.isascii() and wait.isdigit() and len(wait) <= _MOST_DIGITS else None
    return Preferences(seconds, "respond-async" in found)
