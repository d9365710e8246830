"""Who wrote something into a journal: a token that nobody else has, by which it knows its own write again, and behind an @ what
the history tells of it. An invocation tells the version of its code; who acts from outside, when that was and who they are.

    3f5a0c9b1d2e@7c1e90ab        3f5a0c9b1d2e@1767225600000 ada
"""

from __future__ import annotations

from typing import NamedTuple

_LONGEST = 100


class Actor(NamedTuple):
    """Who acted from outside. `at`: epoch milliseconds."""

    at: int
    by: str | None


def with_version(token: str, version: str) -> str:
    """An invocation's."""
    told = _one_line(version).replace(" ", "-")
    return f"{token}@{told}" if told else token


def with_actor(token: str, at: int, by: str | None) -> str:
    """Of somebody outside."""
    return f"{token}@{at} {_one_line(by or '')}".rstrip()


def token_of(writer: str) -> str:
    return writer.partition("@")[0]


def version_of(writer: str) -> str | None:
    """The code version that an invocation told; None where it told none, and of somebody outside."""
    told = writer.partition("@")[2]
    return told if told and actor_of(writer) is None else None


def actor_of(writer: str) -> Actor | None:
    """None for an invocation, and for what an older version wrote."""
    at, _, by = writer.partition("@")[2].partition(" ")
    return Actor(int(at), by or None) if len(at) == 13 and at.isascii() and at.isdecimal() else None


def _one_line(text: str) -> str:
    """As it can stand in a row that people read."""
    return "".join(c if c.isprintable() else "?" for c in text.strip())[:_LONGEST]
