"""Lists of executions: what is wanted, a page of it, and where the next one begins."""

from __future__ import annotations

import base64
import binascii
import json
import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, get_args

from ..log.durations import moment
from ..log.header import Header
from ..log.selection import Position, Selection
from ..types import ExecutionFilter, ExecutionInfo, ExecutionPage, ExecutionStatus
from .executions import Executions
from .views import damaged, info

_log = logging.getLogger("durable_fn")

STATUSES: Final[tuple[str, ...]] = get_args(ExecutionStatus)
_PAGE: Final = 100


def selection(wanted: ExecutionFilter, now: int) -> Selection:
    """Raises ValueError for a status that there is not, and for a time without a zone."""
    return Selection(
        fn=wanted.name,
        fn_prefix=wanted.name_prefix,
        id_prefix=wanted.id_prefix,
        statuses=_statuses(wanted.status),
        parent=wanted.parent,
        started_after=_time(wanted.started_after, "started_after"),
        started_before=_time(wanted.started_before, "started_before"),
        updated_after=_time(wanted.updated_after, "updated_after"),
        held=wanted.held,
        overdue=wanted.overdue,
        has_error=wanted.has_error,
        now=now,
    )


def _statuses(status: Any) -> frozenset[str]:
    given = [status] if isinstance(status, str) else [] if status is None else list(status)
    for one in given:
        if one not in STATUSES:
            raise ValueError(f"no status {one!r}; there are {', '.join(STATUSES)}")
    return frozenset(given)


def _time(at: datetime | None, what: str) -> int | None:
    return None if at is None else moment(at, what)


def page(
    executions: Executions, wanted: ExecutionFilter, cursor: str | None, limit: int, *, scan: bool
) -> ExecutionPage:
    if not 1 <= limit <= 1000:
        raise ValueError(f"a page has 1 to 1,000 executions, got limit={limit}")
    chosen, after = selection(wanted, executions.clock.now()), None if cursor is None else _position(cursor)
    found = executions.store.find(chosen, after, limit, scan=scan)
    rows = list(_shown(found.headers, chosen.now))
    return ExecutionPage(rows, None if found.after is None else _cursor(found.after), found.units, found.scanned)


def listed(executions: Executions, wanted: ExecutionFilter, limit: int | None) -> Iterator[ExecutionInfo]:
    """Page by page; where the table has to be scanned, all at once behind the first page."""
    if limit is not None and limit < 0:
        raise ValueError(f"limit must be 0 or more, got {limit}")
    return _listed(executions, selection(wanted, executions.clock.now()), limit)


def _listed(executions: Executions, chosen: Selection, limit: int | None) -> Iterator[ExecutionInfo]:
    left, after, size = limit, None, None if limit is None else min(limit, _PAGE)
    size = _PAGE if size is None else size
    while left is None or left > 0:
        found = executions.store.find(chosen, after, size)
        yield from _shown(found.headers, chosen.now)
        left = None if left is None else left - len(found.headers)
        after = found.after
        if after is None:
            return
        size = left if found.scanned else _PAGE if left is None else min(left, _PAGE)


def _shown(headers: list[Header], now: int) -> Iterator[ExecutionInfo]:
    for header in headers:
        try:
            shown = info(header, now)
        except Exception as error:  # one damaged item must not hide the others
            if not header.ended:
                yield damaged(header, now, error)
                continue
            _log.warning("execution %r is left out of the list: %s: %s", header.id, type(error).__name__, error)
        else:
            yield shown


def _cursor(at: Position) -> str:
    text = json.dumps([at.started, at.id], ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _position(cursor: str) -> Position:
    """Raises ValueError: it comes from outside."""
    try:
        started, id = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (ValueError, TypeError, binascii.Error):
        started, id = None, None
    if type(started) is not int or not isinstance(id, str) or not 0 <= started < 10**15:
        raise ValueError(f"{cursor[:80]!r} is no cursor of a list: give the one of the page before, as it was")
    return Position(started, id)
