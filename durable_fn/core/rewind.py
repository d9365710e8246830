"""What a redrive or a fork makes the log forget: one line at its end, read before everything else.

"from ID": everything from the first entry of that operation on. "failure ID": the operation that failed, with what is inside
it, and everything after its end, so that it is tried again and what other branches did before stays.
"""

from __future__ import annotations

from collections.abc import Iterable

from .events import (
    BEGUN,
    FAILED,
    NO_OPERATIONS,
    RAISED,
    RETRY,
    REWIND_ID,
    SUCCEEDED,
    Event,
    blank,
    fence,
    is_fence,
    parse_body,
)
from .journal import Segment


def rewinding(segments: Iterable[Segment], from_step: str | None, now: int) -> str:
    """The line. Raises ValueError for an operation that the log does not have."""
    events = [event for segment in segments if not is_fence(segment.body) for event in parse_body(segment.body)]
    if from_step is not None:
        if all(event.id != from_step for event in events):
            known = ", ".join(dict.fromkeys(repr(e.id) for e in events if e.id not in NO_OPERATIONS))
            raise ValueError(f"no operation {from_step!r} is recorded; there are {known or 'none'}")
        return _line(f"from\t{from_step}", now)
    ended = [event for event in events if event.status in (FAILED, RAISED) and event.kind != "branch"]
    return _line(f"failure\t{ended[-1].id}", now) if ended else blank(now)


def _line(value: str, now: int) -> str:
    return Event(REWIND_ID, "rewind", 0, SUCCEEDED, 1, now, 0, value).line()


def is_rewind(text: str) -> bool:
    return text.startswith(f"{REWIND_ID}\t")


def rewound(segments: list[Segment]) -> list[Segment]:
    """The log without what is forgotten. The sequence numbers stay: what is left of a segment may be a fence's worth."""
    while True:
        place = next((i for i, segment in enumerate(segments) if is_rewind(segment.body)), None)
        if place is None:
            return segments
        line = parse_body(segments[place].body)[0]
        how, _, id = line.value.partition("\t")
        before = (
            _cut_from(segments[:place], id, line.at) if how == "from" else _cut_failure(segments[:place], id, line.at)
        )
        segments = [*before, segments[place]._replace(body=blank(line.at)), *segments[place + 1 :]]


def _cut_from(segments: list[Segment], id: str, at: int) -> list[Segment]:
    return _kept(segments, _place(segments, lambda event: event.id == id), lambda event: False, at)


def _cut_failure(segments: list[Segment], id: str, at: int) -> list[Segment]:
    """The last word on it ends what is kept; what it and its insides said before goes too."""
    last = _place(segments, lambda event: event.id == id and event.status in (FAILED, RAISED), last=True)
    above = _ancestors(id)

    def goes(event: Event) -> bool:
        return (
            event.id == id
            or event.id.startswith(f"{id}/")
            or (event.id in above and event.status not in (BEGUN, RETRY))
        )

    return _kept(segments, last, goes, at)


def _ancestors(id: str) -> set[str]:
    found, head = set(), id.rpartition("/")[0]
    while head:
        found.add(head)
        head = head.rpartition("/")[0]
    return found


def _place(segments: list[Segment], wanted, *, last: bool = False) -> tuple[int, int]:  # type: ignore[no-untyped-def]
    found = (len(segments), 0)
    for i, segment in enumerate(segments):
        for j, event in enumerate([] if is_fence(segment.body) else parse_body(segment.body)):
            if wanted(event):
                found = (i, j)
                if not last:
                    return found
    return found


def _kept(segments: list[Segment], place: tuple[int, int], goes, at: int) -> list[Segment]:  # type: ignore[no-untyped-def]
    rows = []
    for i, segment in enumerate(segments):
        if is_fence(segment.body):
            rows.append(segment)
            continue
        events = [e for j, e in enumerate(parse_body(segment.body)) if (i, j) < place and not goes(e)]
        rows.append(segment._replace(body="\n".join(e.line() for e in events) if events else fence(at)))
    return rows
