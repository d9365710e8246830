"""Values that no row takes, in a table of their own."""

from __future__ import annotations

from .store import SQLiteStore


class SQLiteBlobs:
    """A BlobStore in the journal's own file."""

    def __init__(self, store: SQLiteStore) -> None:
        self._database = store.database

    def put(self, key: str, data: bytes) -> None:
        with self._database.transaction() as db:
            db.execute("INSERT INTO blobs VALUES (?, ?) ON CONFLICT DO NOTHING", (key, data))

    def get(self, key: str) -> bytes:
        rows = self._database.read("SELECT data FROM blobs WHERE key = ?", (key,))
        if not rows:
            raise LookupError(f"the journal has no blob {key!r}")
        return bytes(rows[0][0])

    def remove(self, prefix: str) -> None:
        with self._database.transaction() as db:
            db.execute("DELETE FROM blobs WHERE key GLOB ?", (f"{prefix}*",))
