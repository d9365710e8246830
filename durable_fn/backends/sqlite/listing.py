"""The executions of a journal, for people."""

from __future__ import annotations

from typing import Any, Final

from ...log.header import LIVE, PURGED, Header
from ...log.selection import LATE_MS, Position, Selection, position
from ..ports import Found
from . import rows
from .database import HELD, PARENT_ID, Database

_PAGE: Final = 500
_ORDER: Final = "ORDER BY started DESC, id DESC"
_NARROW: Final = 20_000
_BETWEEN: Final = "id >= ? AND id < ?"


def find(database: Database, wanted: Selection, after: Position | None, limit: int | None) -> Found:
    """What SQL leaves is what matches: `Selection.matches` has the last word, so that both journals list the same."""
    narrow = bool(wanted.id_prefix) and _is_narrow(database, wanted.id_prefix)
    where, values = _conditions(wanted, narrow=narrow)
    by = "+started" if narrow else "started"
    headers: list[Header] = []
    last = after or Position(1 << 62, "")
    while limit is None or len(headers) < limit:
        most = _PAGE if limit is None else limit - len(headers)
        ids = f"SELECT id FROM executions WHERE {' AND '.join(where)} ORDER BY {by} DESC, id DESC LIMIT {most}"
        page = f"{rows.SELECT} WHERE id IN ({ids}) {_ORDER}"  # what does not match is passed over in an index alone
        seen = [rows.to_header(row) for row in database.read(page, (*values, *last))]
        headers += [header for header in seen if wanted.matches(header)]
        if len(seen) < most:
            return Found(headers, None)
        last = position(seen[-1])
    return Found(headers, last if limit else None)


def _is_narrow(database: Database, prefix: str) -> bool:
    """Whether so few ids begin with it that these are read and sorted, instead of all by their time until enough are found."""
    some = f"SELECT count(*) FROM (SELECT 1 FROM executions WHERE {_BETWEEN} LIMIT {_NARROW})"
    return bool(database.read(some, _range(prefix))[0][0] < _NARROW)


def _range(prefix: str) -> tuple[str, str]:
    return prefix, prefix + chr(0x10FFFF)


def _conditions(wanted: Selection, *, narrow: bool = False) -> tuple[list[str], list[Any]]:
    """The last one is for the position behind which the page begins."""
    simple = (
        ("fn = ?", wanted.fn),
        ("started >= ?", wanted.started_after),
        ("started < ?", wanted.started_before),
        ("max(started, updated) >= ?", wanted.updated_after),
        (f"parent IS NOT NULL AND {PARENT_ID} = ?", wanted.parent),
    )
    where = ["status <> ?", *(text for text, value in simple if value is not None)]
    values: list[Any] = [PURGED, *(value for _, value in simple if value is not None)]
    if narrow:
        where.append(_BETWEEN)
        values += _range(wanted.id_prefix)
    for column, prefix in (("fn", wanted.fn_prefix), ("id", "" if narrow else wanted.id_prefix)):
        if prefix:
            where.append(f"substr({column}, 1, ?) = ?")
            values += [len(prefix), prefix]
    if wanted.statuses:
        where.append(f"status IN ({', '.join('?' * len(wanted.statuses))})")
        values += sorted(wanted.statuses)
    for text, value in ((_IS_HELD, wanted.held), ("error IS NOT NULL", wanted.has_error)):
        if value is not None:
            where.append(text if value else f"NOT ({text})")
    if wanted.overdue is not None:
        where.append(_OVERDUE if wanted.overdue else f"NOT ({_OVERDUE})")
        values += [wanted.now, wanted.now - LATE_MS]
    return [*where, "(started, id) < (?, ?)"], values


_LIVE: Final = f"status IN ({', '.join(repr(status) for status in sorted(LIVE))})"
_IS_HELD: Final = f"{_LIVE} AND {HELD}"
_OVERDUE: Final = f"{_LIVE} AND NOT {HELD} AND lease < ? AND (tries > 0 OR coalesce(due, 1 << 62) < ?)"
