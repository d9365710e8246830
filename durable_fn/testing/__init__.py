"""Tests without AWS and without sleeping. Importing needs no pytest; installing durable_fn registers the fixture
`durable_runner` as a pytest plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from .crashes import CrashReport as CrashReport
from .crashes import crash_everywhere as crash_everywhere
from .faulty import FaultyBackend as FaultyBackend
from .replays import replay as replay
from .runner import Execution as Execution
from .runner import LocalRunner as LocalRunner

if TYPE_CHECKING:
    from ..core.function import DurableFunction

E = TypeVar("E")
R = TypeVar("R")

__all__ = ["CrashReport", "DurableRunner", "Execution", "FaultyBackend", "LocalRunner", "crash_everywhere", "replay"]


class DurableRunner(Protocol):
    """Type of the pytest fixture `durable_runner`: a factory; what it makes is closed after the test."""

    def __call__(self, handler: DurableFunction[E, R], /, *others: DurableFunction[Any, Any]) -> LocalRunner[E, R]: ...
