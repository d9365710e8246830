"""The log as people see it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Final

from ..types import ErrorInfo, EventStatus, HistoryEvent
from ..values import documents
from ..values.plain import plain
from . import failures
from .draws import seed_of
from .durations import aware
from .events import (
    ASKED_ID,
    BEGUN,
    CANCELLED,
    FAILED,
    FORK_ID,
    GENERATION_ID,
    NO_OPERATIONS,
    RAISED,
    REDRIVE_ID,
    RETRY,
    RETURNED,
    STATUS_ID,
    SUCCEEDED,
    WALKED_ID,
    Event,
    Segment,
    operation_name,
    parse_body,
    picked_up,
)
from .header import Header
from .inbox import CANCEL, REDRIVE, Entry
from .kinds import BRANCH, KINDS, SLEEP
from .redrive import Redriven, after_redrives
from .senders import Senders
from .writers import actor_of, token_of, version_of

_STATUS: Final[dict[str, EventStatus]] = {
    BEGUN: "STARTED",
    RETRY: "FAILED",
    SUCCEEDED: "SUCCEEDED",
    FAILED: "FAILED",
    CANCELLED: "FAILED",
    RAISED: "FAILED",
    RETURNED: "FAILED",
}
_TURNS: Final = {REDRIVE_ID: "redrive", FORK_ID: "fork", GENERATION_ID: "generation"}
_LOST: Final = "the branch lost, or was cancelled"
_GIVEN_BACK: Final = "the branch lost, or was cancelled, and did nothing with this signal: the next wait gets it"


def history(
    segments: Iterable[Segment], finished: int | None = None, senders: Senders | None = None
) -> list[HistoryEvent]:
    """All entries in journal order, also those that a redrive made the execution forget. The log lacks the end of a sleep with
    which an execution ended; the history shows it nevertheless. `senders` has who sent what came from outside."""
    found: list[HistoryEvent] = []
    begun: dict[str, int] = {}
    segments = list(segments)
    log = after_redrives(segments)
    cuts = iter(log.cuts)
    for number, (segment, left) in enumerate(zip(segments, log.left, strict=True)):
        rows = parse_body(segment.body)
        asked = json.loads(rows[-1].value) if rows[-1].id == ASKED_ID else {}
        for row, event in enumerate(rows):
            if event.status == BEGUN:
                begun[event.id] = event.at
            if event.id in _TURNS:
                found.append(_turn(event, asked, next(cuts) if event.id == REDRIVE_ID else None))
            elif not _aside(event):
                shown_entry = _entry(event, left.get(row), begun.get(event.id))
                found.append(
                    dataclasses.replace(
                        shown_entry,
                        by=None if senders is None else senders.of(number, event),
                        code_version=version_of(segment.writer),
                        invocation=token_of(segment.writer),
                    )
                )
    if finished is not None:
        kept = [event for event in _lines(log) if not _aside(event)]
        found += [shown(event, begun.get(event.id)) for event in last_sleeps(kept, finished)]
    return found


def _entry(event: Event, kept: Event | None, begun: int | None) -> HistoryEvent:
    """The entry as it was written. `kept`: what a replay reads of it after redrives; None: nothing."""
    entry = "" if kept is None else documents.masked(kept.line())
    return dataclasses.replace(shown(picked_up(event) or event, begun), entry=entry, forgotten=kept is None)


def _turn(event: Event, asked: dict[str, str], cut: str | None) -> HistoryEvent:
    """A line from which the execution goes on: a redrive, a fork, another generation."""
    kind = _TURNS[event.id]
    told: dict[str, str] = {key: text for key, text in asked.items() if key not in ("by", "reason")}
    if cut is not None:
        how, _, step = event.value.partition("\t")
        told = {"cut": cut} | ({"from_step": step} if how == "from" else {})
    at = aware(event.at)
    name = event.name if cut is None else operation_name(cut)
    by, reason = asked.get("by"), asked.get("reason")
    return HistoryEvent(cut or "", kind, name or kind, at, "SUCCEEDED", 1, told or None, by=by, reason=reason)


def whole_history(header: Header, segments: Iterable[Segment], inbox: Mapping[str, Entry]) -> list[HistoryEvent]:
    """The history with the start and the end of the execution, and with requests from outside, in the order of their times."""
    segments = list(segments)
    senders = Senders(segments, inbox, header.gen)
    start = _of_execution(header, header.started, "STARTED", header.input or "null", None)
    found = [dataclasses.replace(start, origin=_origin(header, segments)), *history(segments, header.finished, senders)]
    if header.finished is not None:
        found.append(_end(header, segments))
    for event in _asked(inbox):
        place = next((n for n, other in enumerate(found) if n and other.at >= event.at), len(found))
        found.insert(place, event)
    return found


def _end(header: Header, segments: list[Segment]) -> HistoryEvent:
    assert header.finished is not None
    succeeded = header.status == "SUCCEEDED"
    error = None if succeeded or header.error is None else failures.info(failures.decode(header.error))
    status: EventStatus = "SUCCEEDED" if succeeded else "FAILED"
    end = _of_execution(header, header.finished, status, header.result if succeeded else None, error)
    if header.status != "TERMINATED":
        return dataclasses.replace(end, code_version=version_of(header.own), invocation=token_of(header.own))
    actor = actor_of(segments[-1].writer) if segments else None  # the tombstone is the last one
    reason = (error or {}).get("message", "").partition(": ")[2] or None
    return dataclasses.replace(end, by=None if actor is None else actor.by, reason=reason)


def _asked(inbox: Mapping[str, Entry]) -> list[HistoryEvent]:
    """Cancellations, and requests to try a held execution again: the log has no line for them."""
    found = []
    for key, entry in inbox.items():
        actor = actor_of(entry.writer)
        if actor is not None and key.startswith((CANCEL, REDRIVE)):
            cancel = key.startswith(CANCEL)
            reason = entry.body if cancel else json.loads(entry.body or "{}").get("reason")
            kind = "cancel" if cancel else "redrive"
            at = aware(actor.at)
            found.append(HistoryEvent("", kind, kind, at, "SUCCEEDED", 1, by=actor.by, reason=reason or None))
    return sorted(found, key=lambda event: event.at)


def _lines(log: Redriven) -> list[Event]:
    return [event for segment in log.segments for event in parse_body(segment.body)]


def _aside(event: Event) -> bool:
    """A line that is no operation's."""
    return not event.id or event.id in NO_OPERATIONS


def _origin(header: Header, segments: list[Segment]) -> str:
    """The seed of its draws, which does not reveal the secret of its tokens; and the lines that no entry shows (new owners
    after a death, generations, forks), each with the number of entries before it."""
    shown_before, asides = 0, []
    for event in _lines(after_redrives(segments)):
        if not _aside(event):
            shown_before += 1
        elif event.id not in (STATUS_ID, REDRIVE_ID, WALKED_ID, ASKED_ID):
            asides.append([shown_before, documents.masked(event.line())])
    return json.dumps({"seed": seed_of(header), "asides": asides}, ensure_ascii=False, separators=(",", ":"))


def _of_execution(
    header: Header, at: int, status: EventStatus, value: str | None, error: ErrorInfo | None
) -> HistoryEvent:
    result = None if value is None else plain(value)
    return HistoryEvent(
        header.id, "execution", header.fn, aware(at), status, 1, result, error, entry=documents.masked(value or "")
    )


def last_sleeps(events: list[Event], finished: int) -> list[Event]:
    """The ends of sleeps that the log lacks, by time."""
    ended = {event.id for event in events if event.status != BEGUN}
    return [
        Event(event.id, event.kind, event.position, SUCCEEDED, event.attempt, event.due, 0, "null")
        for event in sorted(events, key=lambda event: event.due)
        if event.kind == SLEEP and event.status == BEGUN and event.id not in ended and event.due <= finished
    ]


def _result(event: Event) -> str:
    """The value as JSON. A signal's follows the key of its inbox entry; an entry that only says it is over has none; an id is
    bare."""
    form = KINDS[event.kind].result
    if form == "keyed":
        return event.value.partition("\t")[2]
    if form == "id":
        return json.dumps(event.value)
    return event.value or "null"


def _raised(event: Event) -> failures.Failure:
    if event.status == RETURNED:
        return failures.Failure("durable_fn.errors.ExecutionCancelled", _GIVEN_BACK, "", None, None)
    if event.status == CANCELLED:
        own = "cancelled by the handler's own code"
        if event.kind == BRANCH:
            return failures.Failure("durable_fn.errors.ExecutionCancelled", _LOST, "", None, None)
        if not event.value:
            return failures.Failure("asyncio.CancelledError", own, "", None, None)
    kind, reason = json.loads(event.value)
    name = "ExecutionTimedOut" if kind == "timed out" else "ExecutionCancelled"
    return failures.Failure(f"durable_fn.errors.{name}", reason or kind, "", None, None)


def shown(event: Event, begun: int | None = None) -> HistoryEvent:
    """One entry. `begun`: when its operation began, if that is recorded."""
    error = None
    if event.status in (RETRY, FAILED):
        error = failures.info(failures.decode(event.value))
    elif event.status in (RAISED, CANCELLED, RETURNED):
        error = failures.info(_raised(event))
    return HistoryEvent(
        id=event.id,
        kind=event.kind,
        name=event.name,
        at=aware(event.at),
        status=_STATUS[event.status],
        attempt=event.attempt,
        result=plain(_result(event)) if event.status == SUCCEEDED else None,
        error=error,
        due=aware(event.due) if event.due else None,
        entry=documents.masked(event.line()),
        began=None if begun is None else aware(begun),
    )
