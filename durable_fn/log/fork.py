"""What a fork begins with: the log before the fork point, and what came from outside for it.

Outcomes and signals that no wait has taken are copied as inbox entries. The fork forgets a call that is under way, so that it
starts one of its own, and an open callback, so that it hands out a token of its own. If operations before the fork point handed
out the token of an open callback, the fork is refused, because nobody would get the new token. The last line of the copy is a
marker: before it the fork draws the same values and sees the same times as the original.
"""

from __future__ import annotations

import json
from typing import Final, NamedTuple

from .events import FORK_ID, GENERATION_ID, SUCCEEDED, Event, Segment, body, gap, is_fence, parse_body
from .header import Header
from .inbox import FAILURE, SIGNAL, SUCCESS, Entry, call_key, callback_key, in_hand, slot
from .journal import Journal, Record, Seed
from .kinds import CALL, CALLBACK, STEP
from .outcomes import outcome_key
from .redrive import after_redrives, cut_by, redrive_line

_ANSWERS: Final = {CALLBACK: frozenset({SUCCESS, FAILURE}), CALL: frozenset({SUCCESS})}
"""Outcomes that are copied. A timeout, or another execution's failure, came after the fork point, and the fork is there to try
that again."""


class Copy(NamedTuple):
    """`seen` and `gone`: for the fork's header, how many entries count as accepted, and how many of those as deleted."""

    segments: list[Segment]
    entries: list[Entry]
    seen: int
    gone: int


def copied(
    header: Header, segments: list[Segment], inbox: dict[str, Entry], from_step: str, seed: str, now: int
) -> Copy:
    """`seed`: of the original's draws. Raises ValueError for an operation that is not recorded, and for an open callback whose
    token operations before the fork point handed out."""
    original = Journal(segments)
    log = [*segments, Segment(len(segments), "", redrive_line(segments, from_step, now, fork=True))]
    journal = Journal(log)
    open_ = [r for r in journal.records.values() if r.begun and not r.done and not r.outcome]
    anew, entries = _open(journal, header.gen, open_, inbox, from_step)
    reach = Seed(seed, {}, {})
    cut = cut_by(segments, log[-1].body)
    there = original.records.get(cut)  # a saga that was undone begins anew
    for record in [*anew, original.records[from_step if there is None or there.kind == CALLBACK else cut]]:
        reach.reach(record)
    also = json.dumps([reach.positions, reach.draws])
    began = original.origin or original.generation or header.started
    marker = Event(FORK_ID, "fork", 0, SUCCEEDED, 1, now, began, f"{seed}\t{also}")
    kept = [_without(segment, {record.id for record in anew}, now) for segment in after_redrives(log).segments[:-1]]
    kept.append(Segment(len(segments), "", marker.line()))
    entries += [entry for key, entry in inbox.items() if key.startswith(SIGNAL)]
    count = in_hand({entry.key: entry for entry in entries}, Journal(kept).used)
    seen = max(header.n, count)  # signals to come sort after those that came
    return Copy(kept, entries, seen, seen - count)


def _open(
    journal: Journal, gen: int, open_: list[Record], inbox: dict[str, Entry], from_step: str
) -> tuple[list[Record], list[Entry]]:
    """Open operations that begin again in the fork, and for the others their outcomes, under the keys of a first generation."""
    anew, entries = [], []
    for record in open_:
        key = outcome_key(journal, gen, record)
        if key is None:
            continue
        there = inbox.get(key)
        if there is not None and there.body[0] in _ANSWERS[record.kind]:
            assert record.begun is not None
            called = record.kind == CALL
            new = call_key(1, record.begun.value, 0) if called else callback_key(1, slot(record.id, 0))
            entries.append(there._replace(key=new))
        elif not (from_step.startswith(f"{record.id}/") and _asks_anew(journal, record)):
            if record.kind == CALLBACK and journal.has_behind(record):
                raise ValueError(
                    f"callback {record.id!r} is open, and operations before {from_step!r} handed out its token, which is not "
                    f"the fork's: fork from {record.id!r}, or from an operation before it"
                )
            anew.append(record)
    return anew, list({entry.key: entry for entry in entries}.values())


def _asks_anew(journal: Journal, record: Record) -> bool:
    """Whether the fork itself hands out the callback's token: the step inside the callback that does so is not recorded."""
    return not any(inside.kind == STEP and inside.done is not None for inside in journal.below(f"{record.id}/"))


def _without(segment: Segment, ids: set[str], now: int) -> Segment:
    if is_fence(segment.body) or not ids:
        return segment
    events = parse_body(segment.body)
    left = [e for e in events if not any(e.id == id or e.id.startswith(f"{id}/") for id in ids)]
    return segment._replace(body=body(left) if left else gap(now))


def limit_of(header: Header, segments: list[Segment]) -> int | None:
    """The execution's timeout in milliseconds: its deadline minus the beginning of its generation."""
    if header.deadline is None:
        return None
    first = parse_body(segments[0].body)[0] if segments else None
    begun = first.at if first is not None and first.id == GENERATION_ID else header.started
    return header.deadline - begun
