"""The history of an execution as one JSON document: the same from the client, the command and the dashboard.

docs/guide/history.md describes it. Whoever adds a field leaves the number; whoever changes or removes one raises it.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from typing import Any, Final

from ..log.damage import reading
from ..log.header import Header
from ..log.history import whole_history
from ..log.journal import Journal
from ..log.waiting import waits
from ..types import HistoryEvent
from .executions import Executions
from .views import info

FORMAT: Final = "durable_fn.history"
VERSION: Final = 1


def document(executions: Executions, id: str) -> dict[str, Any]:
    """Raises ExecutionNotFound, FormatError and JournalDamaged."""
    header = executions.header(id)
    loaded = executions.loaded(id)
    if loaded.header.key == header.key and loaded.header.status != header.status:
        header = executions.header(id)  # it went on between the two
    with reading(id):
        journal = Journal(loaded.segments)
        events = whole_history(header, loaded.segments, loaded.inbox)
        open_ = waits(header, journal, loaded.inbox)
    custom = journal.custom if journal.custom is not None and not header.ended else header.custom
    shown = info(replace(header, custom=custom), executions.clock.now())
    shown = replace(shown, waiting_for=tuple(wait.id for wait in open_) if header.status == "SUSPENDED" else ())
    return {
        "format": FORMAT,
        "version": VERSION,
        "execution": shown.to_json(),
        "waits": [wait.to_json() for wait in open_],
        "invocations": _invocations(header, events),
        "events": [event.to_json() for event in events],
    }


def _invocations(header: Header, events: list[HistoryEvent]) -> list[dict[str, Any]]:
    """Those that wrote anything, in order. `header.turns` counts the others, too."""
    rows = []
    written = [event for event in events if event.invocation]
    for invocation, group in groupby(written, key=lambda event: event.invocation):
        own = list(group)
        rows.append(
            {
                "invocation": invocation,
                "code_version": own[0].code_version,
                "first_entry_at": own[0].at.isoformat(),
                "last_entry_at": own[-1].at.isoformat(),
                "entries": len(own),
            }
        )
    return rows
