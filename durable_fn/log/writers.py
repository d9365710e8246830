"""Who wrote something into a journal: a unique token, by which a writer recognises its own write, and behind an @ something for
the history: for an invocation the version of its code, for somebody outside the time and their name.

    3f5a0c9b1d2e@7c1e90ab        3f5a0c9b1d2e@1767225600000 ada
"""

from __future__ import annotations

from typing import NamedTuple

_LONGEST = 100


class Actor(NamedTuple):
    """Somebody who acted from outside. `at`: epoch milliseconds."""

    at: int
    by: str | None


def with_version(token: str, version: str) -> str:
    """The writer of an invocation."""
    told = _one_line(version).replace(" ", "-")
    return f"{token}@{told}" if told else token


def with_actor(token: str, at: int, by: str | None) -> str:
    """The writer of somebody outside."""
    return f"{token}@{at} {_one_line(by or '')}".rstrip()


def token_of(writer: str) -> str:
    return writer.partition("@")[0]


def version_of(writer: str) -> str | None:
    """The code version of an invocation; None if it has none, and for somebody outside."""
    told = writer.partition("@")[2]
    return told if told and actor_of(writer) is None else None


def actor_of(writer: str) -> Actor | None:
    """None for an invocation, and for what an older version wrote."""
    at, _, by = writer.partition("@")[2].partition(" ")
    return Actor(int(at), by or None) if len(at) == 13 and at.isascii() and at.isdecimal() else None


def _one_line(text: str) -> str:
    """The text on one line, for tables that users read."""
    return "".join(c if c.isprintable() else "?" for c in text.strip())[:_LONGEST]
