"""The embedded journal: one SQLite file, or memory for tests."""

from .blobs import SQLiteBlobs
from .store import SQLiteStore
from .wakeups import PollingWakeups

__all__ = ["PollingWakeups", "SQLiteBlobs", "SQLiteStore"]
