"""What a redrive or a fork makes the log forget. Each writes one line at the end of the log, and readers apply it first.

"from ID": everything from the first entry of that operation on. "fork ID": the same, for a copy. "failure CAUSES": the
operations whose failure ended the execution, and the consequences of that: see `consequences.py`. "nothing": the handler's own
code raised the error, so it runs again behind all that is recorded. A saga that was undone is forgotten as a whole
(`undone.py`); an interrupted step only if it is the one named (`interrupted.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

from . import failures, interrupted
from . import origins as causes
from .consequences import begun_anew, consequences
from .events import (
    ASKED_ID,
    BEGUN,
    END_ID,
    EVENT_ID,
    FAILED,
    FORK_ID,
    GENERATION_ID,
    NO_OPERATIONS,
    NO_PLACE,
    RAISED,
    REDRIVE_ID,
    RETRY,
    SUCCEEDED,
    Event,
    Segment,
    ancestors,
    blank,
    body,
    gap,
    is_fence,
    is_outcome,
    laid_aside,
    parse_body,
    picked_up,
)
from .interrupted import is_interrupted
from .kinds import ASKED, CALL, CALLBACK, POST, SEND, STEP, UNDONE, WAIT
from .origins import Cause
from .undone import named, sagas


def redrive_line(
    segments: list[Segment],
    from_step: str | None,
    now: int,
    error: str | None = None,
    *,
    cancelled: bool = False,
    fork: bool = False,
) -> str:
    """The line. `error`: as the header has it; `cancelled`: a cancellation or a timeout ended the execution; `fork`: it is for
    a copy, in which no body was interrupted. Raises ValueError for an operation that the log does not have."""
    events = _named_events(segments)
    if from_step is not None:
        ids = dict.fromkeys(event.id for event in events if _is_operation(event))
        if from_step not in ids:
            names = ", ".join(map(repr, ids))
            raise ValueError(f"no operation {from_step!r} is recorded; there are {names or 'none'}")
        return _line(f"{'fork' if fork else 'from'}\t{from_step}", now)
    found = [] if error is None else list(failures.decode(error).causes)
    if cancelled and not any(saga.failed for saga in sagas(events)):
        known = {cause.id for cause in found}
        raised = (e.id for e in events if e.status == RAISED and json.loads(e.value)[0] != "lost")
        found += [Cause(id) for id in raised if id not in known]
        found += [_of_end(event) for event in events if event.id == END_ID and END_ID not in known]
    there = {event.id for event in events}
    again = {event.id for event in events if is_interrupted(event)}
    known_causes = (one for one in dict.fromkeys(found) if one.id in there or _has_below(there, one.id))
    rows = [cause.row() for cause in known_causes if cause.id not in again]
    return _line(f"failure\t{json.dumps(rows, ensure_ascii=False)}" if rows else "nothing\t", now)


def cut_by(segments: list[Segment], line: str) -> str:
    """The id of the first operation that this line forgets; empty where it forgets nothing."""
    return after_redrives([*segments, Segment(len(segments), "", line)]).cuts[-1]


def asked_line(now: int, by: str | None, reason: str | None, **more: str) -> str | None:
    """The line behind that of a redrive or a fork; None where there is nothing to tell."""
    row = {key: text for key, text in {"by": by, "reason": reason, **more}.items() if text is not None}
    if not row:
        return None
    return Event(ASKED_ID, ASKED, 0, SUCCEEDED, 1, now, 0, json.dumps(row, ensure_ascii=False)).line()


def failed_operations(segments: list[Segment]) -> tuple[Cause, ...]:
    """The operations whose failure may have made the handler report its record as failed: its error does not name them."""
    events = _named_events(segments)
    return tuple(dict.fromkeys(Cause(e.id) for e in events if e.status == FAILED and e.id not in NO_OPERATIONS))


def _is_operation(event: Event) -> bool:
    """Whether the entry is an operation's, and not a line beside them. The line of a saga has an id of its own here."""
    return event.id not in NO_OPERATIONS and event.kind != UNDONE


def _of_end(event: Event) -> Cause:
    """From the line with which an async execution was ended: it names the native tasks that had been started, which ran beside
    it."""
    tasks = json.loads(event.value)[2]
    return Cause(END_ID, tuple(tasks.items()))


def _has_below(ids: Iterable[str], id: str) -> bool:
    return any(one.startswith(f"{id}/") for one in ids)


def _line(value: str, now: int) -> str:
    return Event(REDRIVE_ID, "rewind", 0, SUCCEEDED, 1, now, 0, value).line()


def is_redrive(text: str) -> bool:
    return text.startswith(f"{REDRIVE_ID}\t")


Lines: TypeAlias = "list[tuple[Segment, list[tuple[int, Event]]]]"
"""Segments, each with the entries that are left of it and their numbers in it."""


class Redriven(NamedTuple):
    """The log without the forgotten entries. The sequence numbers stay: a segment of which nothing is left becomes a gap.

    `epochs`: by operation the statuses of its forgotten outcomes, a letter each; `reopened`: by callback whose token stays, how
    often only its outcome was forgotten; `ends`: by called execution, how often its end was forgotten; `again`: by step, how
    often its success was; `cuts`: by redrive, the first operation that it forgot; `left`: by segment, the entries that are
    left, by their numbers.
    """

    segments: list[Segment]
    epochs: dict[str, str]
    reopened: dict[str, int]
    ends: dict[str, int]
    again: dict[str, int]
    cuts: list[str]
    left: list[dict[int, Event]]


def after_redrives(segments: list[Segment]) -> Redriven:
    log = Redriven([], {}, {}, {}, {}, [], [])
    lines: Lines = []
    for segment in segments:
        if is_redrive(segment.body):
            line = parse_body(segment.body)[0]
            lines = _without(lines, line, log)
            lines.append((segment._replace(body=blank(line.at)), []))
        else:
            lines.append((segment, list(enumerate(_events(segment)))))
    log.segments.extend(segment for segment, _ in lines)
    log.left.extend(dict(row) for _, row in lines)
    return log


def _events(segment: Segment) -> list[Event]:
    return [] if is_fence(segment.body) else parse_body(segment.body)


def _named_events(segments: list[Segment]) -> list[Event]:
    return [named(event) for segment in after_redrives(segments).segments for event in _events(segment)]


def _without(lines: Lines, line: Event, log: Redriven) -> Lines:
    """Applies one line: returns what is left of the entries before it, and counts in `log` what it forgets."""
    events = [named(event) for _, row in lines for _, event in row]
    gone, aside, targets, stay = _taken(events, line)
    known = {event.id for event in stay.values()}  # of these some entries go, and the operation stays
    first = min((q for q in gone if _is_operation(events[q]) and events[q].id not in known), default=None)
    log.cuts.append("" if first is None else events[first].id)
    stay |= begun_anew(events, gone, targets, line.at)
    _count(events, gone, targets, log)
    kept: Lines = []
    place = 0
    for segment, row in lines:
        left = []
        for q, (number, event) in enumerate(row, place):
            if q not in gone:
                left.append((number, laid_aside(event) if q in aside else stay.get(q, event)))
        place += len(row)
        text = body([event for _, event in left]) if left else gap(line.at)
        kept.append((segment._replace(body=text) if row else segment, left))
    return kept


def _taken(events: list[Event], line: Event) -> tuple[set[int], set[int], set[str], dict[int, Event]]:
    """Places of the entries that this line forgets, and of those that stay by their ids alone; the operations that are tried
    again; entries that stay in another form."""
    how, _, value = line.value.partition("\t")
    gone: set[int] = set()
    aside: set[int] = set()
    targets: set[str] = set()
    if how in ("from", "fork"):
        gone, targets = _from(events, value)
    elif how == "failure":
        gone, aside, targets = consequences(events, causes.read(json.loads(value)))
    gone -= {place for place, event in enumerate(events) if event.id in (EVENT_ID, FORK_ID, GENERATION_ID, ASKED_ID)}
    stay = {} if how == "fork" else interrupted.kept(events, gone, value if how == "from" else None)
    return gone, aside, targets, stay


def _from(events: list[Event], id: str) -> tuple[set[int], set[str]]:
    """Everything from its first entry on, or from the beginning of a saga if part of that was undone. For a wait the callback
    is opened again: its outcome is forgotten too, though it was recorded before."""
    own = [place for place, event in enumerate(events) if event.id == id]
    first = next((place for place in own if picked_up(events[place]) is None), _behind(events, own, id))
    targets = {id}
    if first < len(events) and events[first].kind == WAIT and events[first].status == SUCCEEDED:
        callback = events[first].value
        targets.add(callback)
        asked = (
            place for place, event in enumerate(events)
            if (event.id == callback and is_outcome(event)) or (event.kind == WAIT and event.value == callback)
        )  # fmt: skip
        first = min(first, *asked)
    undone = [saga.places for saga in sagas(events)]
    gone = {*own, *range(first, len(events))}
    while any(not places <= gone for places in undone if not places.isdisjoint(gone)):
        first = min(min(places) for places in undone if not places.isdisjoint(gone))
        gone |= set(range(first, len(events)))
    return gone, targets


def _behind(events: list[Event], own: list[int], id: str) -> int:
    """For an operation that is found by its id alone, whose place in the log therefore means nothing: the first entry that must
    have come after it. That is one behind it in its scope, the end of a scope around it, or one behind such a scope."""
    around = [id, *ancestors(id)]
    positions = {event.id: event.position for event in events if event.id in around}
    scopes = {one.rpartition("/")[0]: (one, positions.get(one, NO_PLACE)) for one in around}
    for place, event in enumerate(events):
        one, position = scopes.get(event.id.rpartition("/")[0], ("", NO_PLACE))
        over = event.id in around and event.id != id and event.status not in (BEGUN, RETRY)
        if own and place > own[0] and (over or (one and position != NO_PLACE and event.position > position)):
            return place
    return len(events)


def _count(events: list[Event], gone: set[int], targets: set[str], log: Redriven) -> None:
    """Counts the forgotten outcomes from outside: the operations wait for new ones, under other keys."""
    begun = {event.id: event for event in events if event.status == BEGUN and event.kind == CALL}
    open_ = {event.id for place, event in enumerate(events) if event.status == BEGUN and place not in gone}
    for place, event in enumerate(events):
        if place in gone and event.kind in (STEP, SEND) and (picked_up(event) or event).status == SUCCEEDED:
            log.again[event.id] = log.again.get(event.id, 0) + 1
        if place not in gone or event.status not in (SUCCEEDED, FAILED, RAISED):
            continue
        if event.kind == CALLBACK and event.status != RAISED:
            if event.id not in open_:
                log.epochs[event.id] = log.epochs.get(event.id, "") + event.status
            elif event.id in targets:
                log.reopened[event.id] = log.reopened.get(event.id, 0) + 1
        elif event.kind == POST and event.status == SUCCEEDED:  # a signal that is sent again has another id
            log.epochs[event.id] = log.epochs.get(event.id, "") + event.status
        elif event.kind == CALL and event.id not in open_ and not _goes_on(event):
            log.epochs[event.id] = log.epochs.get(event.id, "") + event.status
            if event.id in begun:
                child = begun[event.id].value
                log.ends[child] = log.ends.get(child, 0) + 1


def _goes_on(event: Event) -> bool:
    """A call without an end: the other execution went on, or was never started."""
    if event.status != FAILED:
        return False
    failure = failures.decode(event.value)
    data = failure.data if isinstance(failure.data, dict) else {}
    return bool(data.get("status", "RUNNING") == "RUNNING")
