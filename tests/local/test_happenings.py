"""What a server prints: every kind of happening, and hostile texts as texts."""

from __future__ import annotations

from typing import Any

import pytest

from durable_fn.cli.happenings import _SHOWN, lines

BAD = "\x1b[2J[red]\u202e\x07"
PERSON: dict[str, dict[str, Any]] = {
    "loaded": {"functions": {BAD: BAD}, "number": 1},
    "serving": {"url": BAD, "open": BAD, "dashboard": True},
    "dashboard": {"of": BAD, "open": BAD, "url": BAD, "read_only": None},
    "turn": {"fn": BAD, "id": BAD, "number": 3},
    "left": {"fn": BAD, "id": BAD, "status": "SUSPENDED", "due": 1_767_225_600_000, "error": BAD, "held": True},
    "died": {"why": BAD, "ids": [BAD]},
    "broken": {"error": BAD},
    "changed": {"files": [BAD]},
    "stopping": {"running": 2},
    "adopted": {"count": 2},
    "waiting": {},
}


@pytest.mark.parametrize("event", _SHOWN)
def test_it_is_shown_as_text(event: str) -> None:
    text = "\n".join(line.plain for line in lines({"event": event, **PERSON[event]}))
    assert text
    assert all(character.isprintable() or character == "\n" for character in text)
    assert "[red]" in text or not any(BAD in str(value) for value in PERSON[event].values())


def test_what_it_does_not_know_it_passes_over() -> None:
    assert lines({"event": "of a newer version"}) == []
    assert lines({"event": "stopping", "running": 0}) == []
