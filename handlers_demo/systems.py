"""Companies around a workflow, each a database file of its own, as a payment provider has its own.

Each takes an idempotency key with a call: the same key again gives the same answer and changes nothing. Every call is
written down, so that a test can count what really happened and how often it was asked for.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

DIRECTORY_VARIABLE = "DURABLE_FN_DEMO_DIR"
LATENCY_VARIABLE = "DURABLE_FN_DEMO_LATENCY"

# A killed process leaves what it wrote in the machine's cache; only a power cut would need more.
_SCHEMA = """
PRAGMA synchronous = OFF;
CREATE TABLE IF NOT EXISTS effects (key TEXT PRIMARY KEY, what TEXT, details TEXT, reference TEXT, pid INTEGER);
CREATE TABLE IF NOT EXISTS calls (key TEXT, what TEXT, pid INTEGER);
CREATE TABLE IF NOT EXISTS refusals (times INTEGER);
"""


class SystemDown(ConnectionError):
    """The other side does not take the call. Nothing has happened there."""


@dataclass(frozen=True)
class Count:
    """`calls`: how often it was asked for; `effects`: how often it happened."""

    what: str
    calls: int
    effects: int


def directory() -> Path:
    """Where the systems keep their files: DURABLE_FN_DEMO_DIR, on Lambda the only place that can be written."""
    on_lambda = "AWS_LAMBDA_FUNCTION_NAME" in os.environ
    default = str(Path(tempfile.gettempdir()) / "durable-fn-demo") if on_lambda else ".demo"
    return Path(os.environ.get(DIRECTORY_VARIABLE, default))


def take_a_moment() -> None:
    """As long as a call over the network takes here: DURABLE_FN_DEMO_LATENCY seconds."""
    time.sleep(float(os.environ.get(LATENCY_VARIABLE, "0")))


class ExternalSystem:
    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def path(self) -> Path:
        return directory() / f"{self.name}.sqlite"

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(self.path, timeout=30, isolation_level=None)
        try:
            db.executescript(_SCHEMA)
            db.execute("BEGIN IMMEDIATE")
            yield db
            db.execute("COMMIT")
        finally:
            db.close()

    def perform(self, what: str, key: str, details: str) -> str:
        """Does it once per key. Returns the reference of what was done, now or before. Raises SystemDown."""
        take_a_moment()
        with self._open() as db:
            refused = db.execute("UPDATE refusals SET times = times - 1 WHERE times > 0").rowcount
            if not refused:
                db.execute("INSERT INTO calls VALUES (?, ?, ?)", (key, what, os.getpid()))
                new = (key, what, details, f"{what}-{secrets.token_hex(4)}", os.getpid())
                db.execute("INSERT INTO effects VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", new)
            row = db.execute("SELECT reference FROM effects WHERE key = ?", (key,)).fetchone()
        if refused:
            raise SystemDown(f"the {self.name} answers 503")
        return str(row[0])

    def refuse(self, times: int) -> None:
        """The next calls fail."""
        with self._open() as db:
            db.execute("DELETE FROM refusals")
            db.execute("INSERT INTO refusals VALUES (?)", (times,))

    def counts(self) -> list[Count]:
        with self._open() as db:
            rows = db.execute(
                "SELECT what, count(*), (SELECT count(*) FROM effects e WHERE e.what = c.what) FROM calls c "
                "GROUP BY what ORDER BY min(rowid)"
            )
            return [Count(*row) for row in rows.fetchall()]

    def details(self, what: str) -> list[str]:
        """Of everything of this kind that happened, in its order: the letters of a mail system, say."""
        with self._open() as db:
            rows = db.execute("SELECT details FROM effects WHERE what = ? ORDER BY rowid", (what,))
            return [str(details) for (details,) in rows.fetchall()]


def effects(systems: tuple[ExternalSystem, ...]) -> dict[str, int]:
    """What happened, and how often."""
    return {count.what: count.effects for system in systems for count in system.counts()}
