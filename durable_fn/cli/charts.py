"""The timeline of an execution, drawn in the terminal: a line for each operation, with its attempts and waits on one axis."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from rich.text import Text

from ..types import HistoryEvent
from .screens import plain, shorten
from .times import span

_WORK: Final = "━"
_WAIT: Final = "┄"
_TRIED: Final = "✘"
_ENDS: Final = {"SUCCEEDED": "●", "FAILED": "✘"}
_ASIDE: Final = frozenset({"execution", "redrive", "fork", "generation", "cancel"})
_WAITING: Final = frozenset({"sleep", "callback", "wait", "signal", "call", "poll", "timer"})
_STYLES: Final = {_WORK: "cyan", _WAIT: "yellow", _TRIED: "red", "●": "green", "▲": "dim"}


@dataclass
class Operation:
    """What the entries of one operation say. `began` is that of the entry before it, where the log has none of its own: code ran
    from there."""

    id: str
    kind: str
    began: datetime
    ended: datetime | None = None
    status: str = "STARTED"
    tries: list[tuple[datetime, datetime | None]] = field(default_factory=list)
    last: HistoryEvent | None = None
    forgotten: bool = False

    @property
    def attempts(self) -> int:
        return self.last.attempt if self.last is not None else 1


def operations(events: Iterable[HistoryEvent]) -> list[Operation]:
    """In the order in which they began, those of a branch below what holds them. What a redrive made the execution forget
    stands by itself."""
    found: dict[tuple[str, int], Operation] = {}
    forgets: dict[str, int] = {}
    before: HistoryEvent | None = None
    for event in events:
        if event.kind not in _ASIDE:
            key = (event.id, forgets.get(event.id, 0))
            if key in found and found[key].forgotten and not event.forgotten:
                forgets[event.id] = key[1] + 1
                key = (event.id, key[1] + 1)
            if key not in found:
                found[key] = Operation(event.id, event.kind, event.began or _since(before, event))
            _add(found[key], event)
        before = event
    return _nested(found)


def _nested(found: dict[tuple[str, int], Operation]) -> list[Operation]:
    """A branch's beginning is not recorded: it begins no later than the first operation in it."""
    first: dict[tuple[str, int], int] = {}
    places: dict[tuple[str, int], list[int]] = {}
    for place, (key, operation) in enumerate(found.items()):
        id, turn = key
        above = [(id[:end], turn) for end, sign in enumerate(id) if sign == "/"]
        places[key] = [first.setdefault(outer, place) for outer in (*above, key)]
        for outer in above:
            if outer in found:
                found[outer].began = min(found[outer].began, operation.began)
    return [found[key] for key in sorted(found, key=places.__getitem__)]


def _since(before: HistoryEvent | None, event: HistoryEvent) -> datetime:
    if event.status == "STARTED" or before is None:
        return event.at
    return min(before.at, event.at)


def _add(operation: Operation, event: HistoryEvent) -> None:
    operation.last, operation.forgotten = event, event.forgotten
    if event.status == "FAILED" and event.due is not None:
        operation.tries.append((event.at, event.due))
    elif event.status != "STARTED":
        operation.status, operation.ended = event.status, event.at


def chart(events: list[HistoryEvent], now: datetime, *, ended: bool, width: int) -> list[Text]:
    """Lines. `width`: of the axis, in characters."""
    rows = operations(events)
    if not rows:
        return []
    first = events[0].at
    last = max([events[-1].at, *(row.ended or row.began for row in rows), *([] if ended else [now])])
    axis = _Axis(first, last, max(10, width))
    longest = min(48, max(len(row.id) for row in rows))
    lines = [_row(row, axis, longest, now if not ended else last) for row in rows]
    return [_invocations(events, axis, longest), *lines, _legend(axis, longest)]


@dataclass(frozen=True)
class _Axis:
    first: datetime
    last: datetime
    width: int

    def place(self, at: datetime) -> int:
        whole = (self.last - self.first).total_seconds()
        part = (at - self.first).total_seconds() / whole if whole > 0 else 0
        return min(self.width - 1, max(0, int(part * self.width)))

    def fill(self, cells: list[str], begin: datetime, end: datetime, glyph: str) -> None:
        for place in range(self.place(begin), self.place(end) + 1):
            cells[place] = glyph


def _row(row: Operation, axis: _Axis, longest: int, now: datetime) -> Text:
    cells = [" "] * axis.width
    end = row.ended or now
    axis.fill(cells, row.began, end, _WAIT if row.kind in _WAITING else _WORK)
    for at, due in row.tries:
        axis.fill(cells, at, min(due, end) if due else at, _WAIT)
        cells[axis.place(at)] = _TRIED
    if row.ended is not None:
        cells[axis.place(row.ended)] = _ENDS.get(row.status, "●")
    line = plain(row.id.ljust(longest), "dim strike" if row.forgotten else "")
    line.append("  ")
    line.append_text(_bar(cells))
    line.append(f"  {span((end - row.began).total_seconds()):>9}")
    line.append("  ")
    line.append_text(_outcome(row))
    return line


def _bar(cells: list[str]) -> Text:
    bar = Text()
    for glyph in cells:
        bar.append(glyph, _STYLES.get(glyph, ""))
    return bar


def _outcome(row: Operation) -> Text:
    attempts = f"attempt {row.attempts}" if row.attempts > 1 else ""
    forgotten = "forgotten by a redrive" if row.forgotten else ""
    last = row.last
    assert last is not None
    if last.error is not None:
        told = f"{last.error['error_type'].rpartition('.')[2]}: {shorten(last.error['message'])}"
        style = "red"
    elif row.ended is None:
        told, style = "goes on", "yellow"
    else:
        told, style = "" if last.result is None else shorten(last.result), "green"
    return plain(", ".join(part for part in (row.kind, attempts, forgotten, told) if part), style)


def _invocations(events: list[HistoryEvent], axis: _Axis, longest: int) -> Text:
    """Where the code was run from its beginning again, and found done what had been done."""
    cells, before, count = [" "] * axis.width, "", 0
    for event in events:
        if event.invocation and event.invocation != before:
            cells[axis.place(event.began or event.at)] = "▲"
            before, count = event.invocation, count + 1
    line = Text("invocations".ljust(longest) + "  ")
    line.append_text(_bar(cells))
    again = f", the code was run from its beginning {count} times" if count > 1 else ""
    line.append(f"  {count} wrote something{again}", "dim")
    return line


def _legend(axis: _Axis, longest: int) -> Text:
    whole = span((axis.last - axis.first).total_seconds())
    text = f"{_WORK} ran  {_WAIT} waited  ● done  ✘ failed  ▲ invocation; the axis is {whole} long"
    return Text(" " * (longest + 2) + text, "dim")
