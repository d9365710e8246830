"""How many segments small async programs write. Beside the core before: one more only where a native timeout fired and a body
follows; fewer for signals, races and chains."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.programs import PROGRAMS, written
from durable_fn import DurableFunction

SEGMENTS = {
    "five steps": (5, 1),
    "gather of five steps": (1, 1),
    "three chains of three steps": (3, 1),
    "a sleep between two steps": (3, 2),
    "a native timeout that fires, and a step": (3, 2),
    "a native timeout that does not fire": (3, 2),
    "a signal between two steps": (3, 2),
    "a race of a signal and a sleep": (3, 2),
    "parallel of three steps and a child": (3, 1),
    "a saga that is rolled back": (4, 1),  # that it is undone is durable before the first compensation (decision 23)
}


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_segments_and_invocations(program: DurableFunction[Any, Any]) -> None:
    name, segments, invocations = written(program)
    assert (segments, invocations) == SEGMENTS[name]
