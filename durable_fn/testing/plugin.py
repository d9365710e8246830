"""The pytest plugin: registers `durable_runner`. Imports nothing heavy, because every pytest run loads it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ..core.function import DurableFunction
    from . import DurableRunner, LocalRunner


@pytest.fixture
def durable_runner() -> Iterator[DurableRunner]:
    """A factory of LocalRunner; what it makes is closed after the test."""
    from .runner import LocalRunner as Runner

    with ExitStack() as stack:

        def make(handler: DurableFunction[Any, Any], /, *others: DurableFunction[Any, Any]) -> LocalRunner[Any, Any]:
            return stack.enter_context(Runner(handler, *others))

        yield make
