"""The sweeper: hints may be lost, so once a minute every execution that is due gets another one.

`handler` is the Lambda to put on a one-minute schedule. The index is read from its beginning each time: it lags, so a
watermark would pass over rows for ever.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import Any, Final

from .core.header import Header
from .hints import send_hint
from .ports import Backend

_log = logging.getLogger("durable_fn")

_PAGE: Final = 500
_BACKOFF_MS: Final = 2_000


@dataclass
class SweepReport:
    """`due`: index rows seen; `sent`: hints sent again; `held`: running, looked at again when the lease ends; `stale`: the
    index was behind; `failed`: could not be looked at, see the log."""

    due: int = 0
    sent: int = 0
    held: int = 0
    stale: int = 0
    failed: int = 0


def handler(event: object, context: Any) -> dict[str, int]:
    """Lambda entry point. Raises RuntimeError after a whole pass if some executions could not be looked at, so that an
    alarm on its errors tells."""
    from .wiring import backend

    report = asdict(sweep(backend()))
    _log.info("swept", extra=report)
    if report["failed"]:
        raise RuntimeError(
            f"{report['failed']} of {report['due']} due executions could not be swept; the log has their ids"
        )
    return report


def sweep(backend: Backend) -> SweepReport:
    """One pass over all shards."""
    report = SweepReport()
    for shard in range(backend.store.shards):
        for row in backend.store.due(shard, backend.clock.now(), _PAGE):
            report.due += 1
            try:
                _revive(backend, row.id, row.due, report)
            except Exception:  # one damaged item must not keep all others from being woken
                report.failed += 1
                _log.exception("execution %r could not be swept", row.id)
    return report


def _revive(backend: Backend, id: str, due: int, report: SweepReport) -> None:
    """Claims the execution by moving `due` to the time of the new hint, so that the next sweep comes only after it."""
    now = backend.clock.now()
    reply = backend.store.postpone(id, due, now, now + _BACKOFF_MS)
    if isinstance(reply, Header):
        report.sent += 1
        send_hint(backend, reply, now)
    elif reply.reason == "held":
        report.held += 1
    else:
        report.stale += 1
