"""What a redrive or a fork makes the log forget: one line at its end, read before everything else.

"from ID": everything from the first entry of that operation on. "failure CAUSES": the operations that made the execution end,
and what was a consequence of that: see `cuts.py`. "nothing": the error was the handler's own, so its code runs again after all
that is recorded.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple

from . import failures
from . import origins as causes
from .consequences import begun_anew, consequences
from .events import (
    BEGUN,
    END_ID,
    EVENT_ID,
    FAILED,
    FORK_ID,
    GENERATION_ID,
    NO_OPERATIONS,
    RAISED,
    REDRIVE_ID,
    SUCCEEDED,
    Event,
    Segment,
    blank,
    body,
    fence,
    is_fence,
    is_outcome,
    laid_aside,
    parse_body,
)
from .kinds import CALL, CALLBACK, POST, WAIT
from .origins import Cause


def redrive_line(
    segments: list[Segment], from_step: str | None, now: int, error: str | None = None, *, cancelled: bool = False
) -> str:
    """The line. `error`: as the header has it; `cancelled`: a cancellation or a timeout ended the execution. Raises ValueError
    for an operation that the log does not have."""
    events = [event for segment in after_redrives(segments).segments for event in _events(segment)]
    if from_step is not None:
        ids = dict.fromkeys(event.id for event in events if event.id not in NO_OPERATIONS)
        if from_step not in ids:
            names = ", ".join(map(repr, ids))
            raise ValueError(f"no operation {from_step!r} is recorded; there are {names or 'none'}")
        return _line(f"from\t{from_step}", now)
    found = [] if error is None else list(failures.decode(error).causes)
    if cancelled:
        known = {cause.id for cause in found}
        raised = (e.id for e in events if e.status == RAISED and json.loads(e.value)[0] != "lost")
        found += [Cause(id) for id in raised if id not in known]
        found += [_of_end(event) for event in events if event.id == END_ID and END_ID not in known]
    there = {event.id for event in events}
    rows = [cause.row() for cause in dict.fromkeys(found) if cause.id in there or _has_below(there, cause.id)]
    return _line(f"failure\t{json.dumps(rows, ensure_ascii=False)}" if rows else "nothing\t", now)


def failed_operations(segments: list[Segment]) -> tuple[Cause, ...]:
    """Those that a reported record may have failed by: its handler's code has not said."""
    events = [event for segment in after_redrives(segments).segments for event in _events(segment)]
    return tuple(dict.fromkeys(Cause(e.id) for e in events if e.status == FAILED and e.id not in NO_OPERATIONS))


def _of_end(event: Event) -> Cause:
    """The line by which an async execution ended knows which native tasks had been started: they went on beside."""
    tasks = json.loads(event.value)[2]
    return Cause(END_ID, tuple(tasks.items()))


def _has_below(ids: Iterable[str], id: str) -> bool:
    return any(one.startswith(f"{id}/") for one in ids)


def _line(value: str, now: int) -> str:
    return Event(REDRIVE_ID, "rewind", 0, SUCCEEDED, 1, now, 0, value).line()


def is_redrive(text: str) -> bool:
    return text.startswith(f"{REDRIVE_ID}\t")


class Redriven(NamedTuple):
    """The log without what is forgotten. The sequence numbers stay: what is left of a segment may be a fence's worth.

    `epochs`: by operation, how the outcomes ended that were forgotten with it, a letter each; `reopened`: of callbacks whose
    token stays, how often only the outcome was; `ends`: by execution, how often the end of a called one was.
    """

    segments: list[Segment]
    epochs: dict[str, str]
    reopened: dict[str, int]
    ends: dict[str, int]


def after_redrives(segments: list[Segment]) -> Redriven:
    log = Redriven(segments, {}, {}, {})
    place = 0
    while place < len(log.segments):
        if is_redrive(log.segments[place].body):
            line = parse_body(log.segments[place].body)[0]
            before, after = log.segments[:place], log.segments[place + 1 :]
            kept = _without(before, line, log)
            log = log._replace(segments=[*kept, segments[place]._replace(body=blank(line.at)), *after])
        place += 1
    return log


def _events(segment: Segment) -> list[Event]:
    return [] if is_fence(segment.body) else parse_body(segment.body)


def _without(segments: list[Segment], line: Event, log: Redriven) -> list[Segment]:
    """What stays before this line. Counts what was forgotten."""
    how, _, value = line.value.partition("\t")
    rows = [_events(segment) for segment in segments]
    events = [event for row in rows for event in row]
    if how == "from":
        gone, targets = _from(events, value)
        aside: set[int] = set()
    elif how == "failure":
        gone, aside, targets = consequences(events, causes.read(json.loads(value)))
    else:
        gone, aside, targets = set(), set(), set()
    gone -= {place for place, event in enumerate(events) if event.id in (EVENT_ID, FORK_ID, GENERATION_ID)}
    anew = begun_anew(events, gone, targets, line.at)
    _count(events, gone, targets, log)
    kept, place = [], 0
    for segment, row in zip(segments, rows, strict=True):
        left = [laid_aside(e) if q in aside else anew.get(q, e) for q, e in enumerate(row, place) if q not in gone]
        place += len(row)
        kept.append(segment._replace(body=body(left) if left else fence(line.at)) if row else segment)
    return kept


def _from(events: list[Event], id: str) -> tuple[set[int], set[str]]:
    """From its first entry on. For a wait the callback is asked anew: its outcome goes too, though it was recorded before."""
    first = next((place for place, event in enumerate(events) if event.id == id), len(events))
    targets = {id}
    if first < len(events) and events[first].kind == WAIT and events[first].status == SUCCEEDED:
        callback = events[first].value
        targets.add(callback)
        asked = (
            place for place, event in enumerate(events)
            if (event.id == callback and is_outcome(event)) or (event.kind == WAIT and event.value == callback)
        )  # fmt: skip
        first = min(first, *asked)
    return set(range(first, len(events))), targets


def _count(events: list[Event], gone: set[int], targets: set[str], log: Redriven) -> None:
    """Outcomes that came from outside and were forgotten: they are asked for anew, under another key."""
    begun = {event.id: event for event in events if event.status == BEGUN and event.kind == CALL}
    open_ = {event.id for place, event in enumerate(events) if event.status == BEGUN and place not in gone}
    for place, event in enumerate(events):
        if place not in gone or event.status not in (SUCCEEDED, FAILED, RAISED):
            continue
        if event.kind == CALLBACK and event.status != RAISED:
            if event.id not in open_:
                log.epochs[event.id] = log.epochs.get(event.id, "") + event.status
            elif event.id in targets:
                log.reopened[event.id] = log.reopened.get(event.id, 0) + 1
        elif event.kind == POST and event.status == SUCCEEDED:  # what is sent anew has another id
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
