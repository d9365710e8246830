"""The sweeper: hints may be lost, so once a minute every execution that is due gets another one.

`handler` is the Lambda to put on a one-minute schedule. The index is read from its beginning each time: it lags, so a
watermark would pass over rows for ever. An execution that is not taken is woken again after a minute, two, four, and so on up to
an hour, until it makes progress: a function that is dead costs a few messages and starves nobody.
"""

from __future__ import annotations

import logging
import random
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from .backends.ports import Backend, Due
from .log.header import LIVE, Header
from .log.pauses import SWEEP_MS, pause_ms
from .log.wake import Wake
from .runtime.lambda_time import remaining_ms
from .runtime.metrics import LATE_MS, overdue, wanted

_log = logging.getLogger("durable_fn")

_PAGE: Final = 500
_RESERVE_MS: Final = 5_000
"""Left of the handler's time when it begins no further page: to send what it claimed, and to report."""


@dataclass
class SweepReport:
    """`due`: index rows seen; `sent`: hints sent again; `held`: running, looked at again when the lease ends; `stale`: the
    index was behind; `failed`: could not be looked at or not be woken, see the log; `unseen`: shards that there was no time for,
    to be seen by one of the next sweeps."""

    due: int = 0
    sent: int = 0
    held: int = 0
    stale: int = 0
    failed: int = 0
    unseen: int = 0


def handler(event: object, context: Any) -> dict[str, int]:
    """Lambda entry point. Raises RuntimeError after a whole pass if some executions could not be looked at or not be woken, so
    that an alarm on its errors tells."""
    from .wiring import backend as configured

    backend = configured()
    left = remaining_ms(context)
    until = backend.clock.now() + left - min(_RESERVE_MS, left // 4)
    report = asdict(sweep(backend, until=until))
    _log.info("swept", extra=report)
    if report["failed"]:
        raise RuntimeError(
            f"{report['failed']} of {report['due']} due executions could not be swept or woken; the log says which, and why"
        )
    return report


def sweep(backend: Backend, *, until: int | None = None) -> SweepReport:
    """One pass over all shards, in random order: where there is no time for all of them (`until`, epoch milliseconds), none is
    always the last one."""
    sweeping = _Sweep(backend, until)
    shards = list(range(backend.store.shards))
    random.shuffle(shards)
    for place, shard in enumerate(shards):
        if sweeping.late():
            unseen = sweeping.report.unseen = len(shards) - place
            _log.warning("no time was left for %d of %d shards; the next sweeps see them", unseen, len(shards))
            break
        sweeping.shard(shard)
    sweeping.tell()
    return sweeping.report


@dataclass
class _Sweep:
    backend: Backend
    until: int | None
    report: SweepReport = field(default_factory=SweepReport)
    unsent: dict[str, list[tuple[Wake, Exception]]] = field(default_factory=dict)
    overdue: dict[str, int] = field(default_factory=dict)

    def late(self) -> bool:
        return self.until is not None and self.backend.clock.now() >= self.until

    def shard(self, shard: int) -> None:
        """All of its pages: behind many that cannot be woken there may be one that can."""
        last: Due | None = None
        while not self.late():
            rows = self.backend.store.due(shard, self.backend.clock.now(), _PAGE, after=last)
            self._wake([hint for row in rows if (hint := self._claimed(row)) is not None])
            if len(rows) < _PAGE:
                return
            last = rows[-1]

    def _claimed(self, row: Due) -> Wake | None:
        self.report.due += 1
        try:
            return self._claim(row)
        except Exception:  # one damaged item must not keep all others from being woken
            self.report.failed += 1
            _log.exception("execution %r could not be swept", row.id)
            return None

    def _claim(self, row: Due) -> Wake | None:
        """Moves the time of the next look, so that the next sweep comes only after the message had its time."""
        store, now = self.backend.store, self.backend.clock.now()
        there = store.head(row.id)
        if there is None or there.due != row.due:
            self.report.stale += 1
            return None
        if there.status not in LIVE:
            raise RuntimeError(
                f"it is due, and has the status {there.status!r}, which this version of durable_fn does not know"
            )
        reply = store.postpone(row.id, row.due, now, now + pause_ms(SWEEP_MS, there.tries))
        if isinstance(reply, Header):
            if there.tries or now - row.due > LATE_MS:
                self.overdue[there.fn] = self.overdue.get(there.fn, 0) + 1
            return Wake(reply.id, reply.run, reply.fn, now)
        if reply.reason == "held":
            self.report.held += 1
        else:
            self.report.stale += 1
        return None

    def _wake(self, hints: list[Wake]) -> None:
        failed = self.backend.wakeups.send_all(hints)
        self.report.sent += len(hints) - len(failed)
        self.report.failed += len(failed)
        for hint, error in failed:
            self.unsent.setdefault(hint.fn, []).append((hint, error))

    def tell(self) -> None:
        """One line in the log for a function that cannot be woken: there may be thousands of its executions."""
        if wanted():
            overdue(self.overdue, self.backend.clock.now())
        for fn, failed in self.unsent.items():
            ids, why = ", ".join(repr(hint.id) for hint, _ in failed[:5]), failed[0][1]
            _log.error("%d executions of %r could not be woken (%s, ...): %s", len(failed), fn, ids, why, exc_info=why)
