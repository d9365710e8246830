"""What a demo run says: rows as they happen, and the report at its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..log.events import operation_name
from ..types import HistoryEvent

if TYPE_CHECKING:
    from handlers_demo.systems import Count

_MOST_ITEMS: Final = 20


@dataclass(frozen=True)
class Row:
    """A line of the timeline. `at`: real seconds since the beginning; `clock`: seconds of the demo's own clock."""

    at: float
    what: str
    clock: float = 0
    worker: str | None = None
    pid: int | None = None
    who: str | None = None
    step: str | None = None
    attempt: int | None = None
    result: Any = None
    error: str | None = None
    again_in: float | None = None
    until: float | None = None
    replayed: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if value not in (None, [])}


@dataclass
class Report:
    """How it went. `expected`: what had to happen in the systems, by kind; None where nobody can know."""

    demo: str
    scene: str
    id: str
    status: str
    wanted_status: str
    result: Any
    result_name: str
    directory: Path
    workers: list[dict[str, Any]]
    timeline: list[Row]
    effects: dict[str, list[Count]]
    expected: dict[str, int] | None
    notes: dict[str, str]

    @property
    def ok(self) -> bool:
        """It ended as it should, and every side effect happened as often as it should."""
        happened = {count.what: count.effects for counts in self.effects.values() for count in counts}
        return self.status == self.wanted_status and self.expected in (None, happened)

    def right(self, count: Count) -> bool:
        return self.expected is None or self.expected.get(count.what, 0) == count.effects

    def to_json(self) -> dict[str, Any]:
        same = ("demo", "scene", "id", "status", "result", "ok", "workers", "expected", "notes")
        return {
            **{name: getattr(self, name) for name in same},
            "timeline": [row.to_json() for row in self.timeline],
            "effects": {name: [vars(count) for count in counts] for name, counts in self.effects.items()},
            "directory": str(self.directory),
        }


def details_of(event: HistoryEvent, speed: float) -> dict[str, Any] | None:
    """What a row says about an entry of the journal; None for one that is not worth a line."""
    error = f"{event.error['error_type'].rpartition('.')[2]}: {event.error['message']}" if event.error else None
    wait = (event.due - event.at).total_seconds() if event.due is not None else None
    row: dict[str, Any] = {"step": shown_name(event)}
    if error is not None and "Cancelled" in error:
        return _cancelled(event, row)
    if event.kind == "step" and event.status != "STARTED":
        again = wait / speed if wait is not None and error else None
        what = "failed" if error else "done"
        return row | {
            "what": what,
            "attempt": event.attempt,
            "result": _brief(event.result),
            "error": error,
            "again_in": again,
        }
    if event.status == "STARTED" and event.kind in ("callback", "sleep"):
        # to a tenth: the line may be written some milliseconds after the time was reckoned
        until = None if wait is None else round(wait, 1)
        return row | {"what": "asks" if event.kind == "callback" else "sleeps", "until": until}
    if event.kind in ("callback", "signal") and event.status != "STARTED":
        return row | {"what": "unanswered" if error else "answered", "result": _brief(event.result), "error": error}
    return None


def shown_name(event: HistoryEvent) -> str:
    """A submitter is called "submit": what it is for stands before it."""
    above = event.id.rpartition("/")[0]
    return f"{operation_name(above)}/submit" if event.name == "submit" and above else event.name


def _cancelled(event: HistoryEvent, row: dict[str, Any]) -> dict[str, Any] | None:
    """The execution's own cancellation; not that of a branch which lost a race, or of what was inside."""
    message = event.error["message"] if event.error else ""
    native = event.error is not None and event.error["error_type"].startswith("asyncio.")
    return None if native or message.startswith("the fan is over") else row | {"what": "cancelled", "error": message}


def _brief(result: Any) -> Any:
    return f"{len(result):,} items" if isinstance(result, list) and len(result) > _MOST_ITEMS else result
