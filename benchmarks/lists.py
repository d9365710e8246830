"""`python -m benchmarks.lists [COUNT]`: pages of 50 among 100,000 executions in a SQLite file, and read units of a page in
a table."""

from __future__ import annotations

import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from durable_fn import DurableClient
from durable_fn.backends.sqlite.database import COLUMNS
from durable_fn.log.header import Header
from durable_fn.testing.cloud import LocalCloud
from durable_fn.types import ExecutionFilter
from durable_fn.wiring import sqlite

_DAY_MS: Final = 86_400_000
_STATUSES: Final = ("SUCCEEDED",) * 95 + ("SUSPENDED", "RUNNING", "PENDING", "CANCELLED", "SUCCEEDED")


def header(n: int, now: int) -> Header:
    """One of a thousand failed, one of 9,000 is held, one of 5,000 is of a rare function."""
    status: Any = "FAILED" if n % 1000 == 4 else _STATUSES[n % 100]
    ended = status in ("SUCCEEDED", "FAILED", "CANCELLED")
    made = Header(
        f"id-{n:06}", f"fn{n % 7}" if n % 5000 else "rare", f"r{n}", "s", status, now - n * 1000, now // 1000 + 9, "h"
    )
    made.input, made.updated = f'{{"n":{n},"text":"{"x" * 300}"}}', made.started + 10
    made.due, made.finished = None if ended else now + _DAY_MS, now if ended else None
    made.error = '{"type":"E","message":"m"}' if status == "FAILED" else None
    made.strikes = int(n % 9000 == 95)
    return made


def filters(now: datetime) -> dict[str, ExecutionFilter]:
    return {
        "all": ExecutionFilter(),
        "failed": ExecutionFilter(status="FAILED"),
        "a rare function": ExecutionFilter(name="rare"),
        "a rare prefix of names": ExecutionFilter(name_prefix="ra"),
        "a prefix of ids": ExecutionFilter(id_prefix="id-0999"),
        "held": ExecutionFilter(held=True),
        "overdue": ExecutionFilter(overdue=True),
        "has an error": ExecutionFilter(has_error=True),
        "failed, of one function": ExecutionFilter(status="FAILED", name="fn4"),
        "updated lately": ExecutionFilter(updated_after=now - timedelta(minutes=1)),
        "none was updated": ExecutionFilter(updated_after=now + timedelta(days=1)),
    }


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    now = time.time_ns() // 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        backend = sqlite(str(Path(folder) / "journal.db"), synchronous="off")
        with backend.store.store.database.transaction() as db:  # type: ignore[attr-defined]
            insert = f"INSERT INTO executions ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
            db.executemany(insert, ([getattr(header(n, now), name) for name in COLUMNS] for n in range(count)))
        client = DurableClient(backend)
        print(f"SQLite, a page of 50 among {count:,} executions:")
        for name, wanted in filters(datetime.now(UTC)).items():
            began = time.perf_counter()
            found = len(client.page(wanted).executions)
            print(f"  {name:<24} {(time.perf_counter() - began) * 1000:6.1f} ms, {found} found")
    with LocalCloud() as cloud:
        for n in range(2000):
            cloud.store.create(header(n, now))
        print("DynamoDB, a page of 50 among 2,000 executions:")
        for name, wanted in filters(datetime.now(UTC)).items():
            cloud.requests.clear()
            found = len(cloud.client.page(wanted).executions)
            units = sum(request.units for request in cloud.requests)
            print(f"  {name:<24} {units:5.1f} read units in {len(cloud.requests)} requests, {found} found")


if __name__ == "__main__":
    main()
