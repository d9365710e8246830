"""Journals to look at: large ones, hostile ones, and a shop whose night goes wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from durable_fn import DurableClient, DurableContext, durable
from durable_fn.backends.sqlite.database import COLUMNS
from durable_fn.wiring import sqlite

HOUR = 3_600_000


def filled(path: Path, count: int, now: int) -> None:
    """So many that ended well, copies of one that did, over the last hours."""

    @durable(name="orders")
    def done(event: Any, ctx: DurableContext) -> str:
        return ctx.step(str, event)

    backend = sqlite(str(path), synchronous="off")
    client = DurableClient(backend)
    client.start(done, 1, id="order-template")
    from durable_fn.runtime.invocation import Invocation
    from durable_fn.testing.lambda_context import FakeLambdaContext
    from durable_fn.wiring import using

    with using(backend):
        Invocation(done, backend, FakeLambdaContext(backend.clock, timeout=60)).resume("order-template")
    store: Any = backend.store
    made = {
        "id": "printf('order-%06d', i)",
        "started": f"{now - 4 * HOUR} + i * {3 * HOUR // count}",
        "updated": f"{now - 4 * HOUR} + i * {3 * HOUR // count} + 800",
        "finished": f"{now - 4 * HOUR} + i * {3 * HOUR // count} + 800",
    }
    columns = ", ".join(made.get(name, name) for name in COLUMNS)
    numbers = f"WITH RECURSIVE numbers(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM numbers WHERE i < {count - 1})"
    with store.store.database.transaction() as db:
        db.execute(f"{numbers} INSERT INTO executions ({', '.join(COLUMNS)}) SELECT {columns} FROM executions, numbers")
        db.execute("DELETE FROM executions WHERE id = 'order-template'")
    store.close()
