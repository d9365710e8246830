"""child, and the fans of parallel, map and race: handler code in scopes of its own.

Written to the log: that it began (its place), how each branch ended, that it is over. A branch whose function says what it
returns has its result there, and is not walked again; any other is, and so is a failed one, whose error is then the
original. What a cancelled branch did before it was cancelled stays recorded and is passed over.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from ...batch import BatchResult
from ...errors import BatchError
from ...log import failures
from ...log import origins as causes
from ...log.events import BEGUN, CANCELLED, FAILED, SUCCEEDED, Event, ancestors
from ...log.kinds import BRANCH, FANS
from ...types import ItemStatus
from ...values.adapters import UNTYPED_ADAPTER, Adapter
from ..cancel_scope import Branch, Doom
from ..cancellation import doom_of
from ..effects import Fork, Inside, Operation, Settle, Take
from ..fan import Fan, Strand
from ..scope import Op
from .reading import check_adapter, recorded


def child(
    op: Op, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], adapter: Adapter | None
) -> Operation[Any]:
    turn, done = op.turn, op.record.done if op.record is not None else None
    what = f"the result of child {op.id!r}"
    if op.record is not None and done is not None and done.status == SUCCEEDED and done.value:
        if turn.front is None:
            _keep_cancellation(op)
        turn.journal.skip_below(f"{op.id}/")
        yield Take(op.record)
        text = turn.deliver(op, op.record).value
        return recorded(turn, adapter or UNTYPED_ADAPTER, text, what)
    check_adapter(op, adapter, what)
    if op.record is None or op.record.begun is None:
        turn.record(op, BEGUN)
    inner = op.scope.inside(op)
    try:
        try:
            value = yield Inside(inner, fn, args, kwargs)
        finally:
            turn.pass_time(op.scope, inner.at)
        text = ""
        if adapter is not None:
            text, value = adapter.keep(value, what, turn.terms)
        turn.check_size(text, what)
    except Exception as error:
        yield from _end(op, done, FAILED, _failure(op, error, op.id))
        raise
    yield from _end(op, done, SUCCEEDED, text)
    return value


def _keep_cancellation(op: Op) -> None:
    """Of a `def` handler: what was raised inside the child, which took it for itself, is not raised again behind it."""
    journal, branch = op.turn.journal, op.scope.branch
    for record in journal.below(f"{op.id}/"):
        heads = (journal.records.get(head) for head in ancestors(record.id) if len(head) > len(op.id))
        if record.raised and not any(head is not None and head.kind in FANS for head in heads):
            branch.doom, branch.raised = doom_of(record), True


def _failure(op: Op, error: Exception, id: str) -> str:
    """With the operations that it comes from, for a redrive."""
    causes.blame(op.turn, error, id)
    failure = failures.capture(error)
    return failures.encode(replace(failure, causes=causes.behind(op.turn, error)))


def _end(op: Op, done: Event | None, status: str, value: str, *, durable: bool = False) -> Operation[None]:
    """`durable`: written before anybody knows of it. In one wait, for a replay waits once."""
    turn = op.turn
    if done is not None and op.record is not None:
        yield Take(op.record)
        turn.deliver(op, op.record)
    else:
        event = turn.record(op, status, value=value)
        yield Settle(event, durable=durable)
        turn.show(op, event)


def fan_out(op: Op, fan: Fan, kind: type) -> Operation[BatchResult[Any]]:
    turn = op.turn
    done = op.record.done if op.record is not None else None
    for strand in fan.strands:
        check_adapter(op, strand.adapter, strand.what)
    if op.record is None or op.record.begun is None:
        turn.record(op, BEGUN)
    if turn.front is None:
        recall(op, fan, over=done is not None)
    yield Fork(op.scope, fan)
    yield from _end(op, done, SUCCEEDED, "", durable=fan.early)  # which were first must not be decided again
    for strand in fan.strands:
        if strand.error is not None:  # also of one that was walked again
            causes.blame(turn, strand.error, f"{op.id}/{strand.component}")
    batch = fan.result(kind)
    turn.batches.append(batch)
    return batch


def race(op: Op, fan: Fan, *, named: bool) -> Operation[tuple[Any, Any]]:
    batch = yield from fan_out(op, fan, list)
    op.turn.batches.remove(batch)
    for strand in fan.strands:
        if strand.status == "SUCCEEDED":
            return strand.name if named else strand.index, strand.value
    errors = [strand.error for strand in fan.strands if strand.error is not None]
    text = f"none of the {len(fan.strands)} branches of race {op.id!r} succeeded"
    raise BatchError(text, batch=batch) from (errors[0] if errors else None)


_STATUS: Final[dict[str, ItemStatus]] = {SUCCEEDED: "SUCCEEDED", FAILED: "FAILED", CANCELLED: "CANCELLED"}


def recall(op: Op, fan: Fan, *, over: bool) -> None:
    """What the log says about the strands, in its order, so that the fan is over where it was over the first time."""
    journal = op.turn.journal
    ends = [(journal.records.get(f"{op.id}/{strand.component}"), strand) for strand in fan.strands]
    ended = [(record, strand) for record, strand in ends if record is not None and record.done is not None]
    for record, strand in sorted(ended, key=lambda row: row[0].order):
        assert record.done is not None
        text, failed = record.done.value, record.done.status == FAILED
        fan.end(strand, _STATUS[record.done.status])
        strand.walk = strand.status != "CANCELLED" and (failed or not text)
        strand.record = record
        if not strand.walk:
            journal.skip_below(f"{op.id}/{strand.component}/")
            journal.skip(record)
            if strand.status == "SUCCEEDED":
                strand.value = recorded(op.turn, strand.adapter or UNTYPED_ADAPTER, text, strand.what)
    for _, strand in ends:
        if strand.status is None and (over or (fan.over and not journal.has_below(f"{op.id}/{strand.component}/"))):
            journal.skip_below(f"{op.id}/{strand.component}/")
            strand.status = "CANCELLED"
    if over and not fan.over:
        fan.reason = "ALL_COMPLETED"  # a branch that was cancelled before the fan was over completes nothing
    if fan.over and any(strand.status is None for strand in fan.strands):
        fan.early = True


def next_strand(op: Op, fan: Fan) -> Strand | None:
    """The next one to start. Of a fan that is over, or is to end, only those that have something to unwind."""
    while (strand := fan.next_new()) is not None:
        ends = (fan.over or op.scope.branch.doomed) and not strand.walk
        if not ends or op.turn.journal.has_below(f"{op.id}/{strand.component}/"):
            return strand
        strand.started = True
    return None


def inherit_doom(op: Op, fan: Fan, branch: Branch) -> None:
    """A branch that starts in a fan that is over, or in a branch that is to end, is to end at once."""
    above = op.scope.branch
    if above.doomed and above.doom is not None:
        branch.condemn(above.doom if above.doom.kind != "timed out" else Doom("cancelled", None))
    elif fan.over:
        branch.condemn(Doom("lost", f"the fan is over: {fan.reason}"))


def _told(op: Op, strand: Strand, value: Any, error: Exception | None) -> tuple[str, Any, Exception | None]:
    if error is not None or strand.adapter is None:
        return "", None if error is not None else value, error
    try:
        text, value = strand.adapter.keep(value, strand.what, op.turn.terms)
        op.turn.check_size(text, strand.what)
        return text, value, None
    except Exception as wrong:
        return "", None, wrong


def strand_walked(op: Op, strand: Strand, value: Any, error: Exception | None) -> None:
    """A strand that had ended before was walked again, for what was not recorded."""
    _, strand.value, strand.error = _told(op, strand, value, error)


def strand_ended(op: Op, strand: Strand, value: Any, error: Exception | None) -> Event:
    """Records the end of a live branch. The strand has what a replay will give."""
    status = SUCCEEDED
    text, strand.value, strand.error = _told(op, strand, value, error)
    if strand.error is not None:
        status, text = FAILED, _failure(op, strand.error, f"{op.id}/{strand.component}")
    return op.turn.record(_end_of(op, strand), status, value=text)


def branch_cancelled(op: Op, strand: Strand, by: str) -> Event:
    """Records that a branch was cancelled and has unwound. `by`: the line that led to it."""
    return op.turn.record(_end_of(op, strand), CANCELLED, value=json.dumps(by, ensure_ascii=False))


def _end_of(op: Op, strand: Strand) -> Op:
    return Op(op.scope, BRANCH, f"{op.id}/{strand.component}", strand.index, None)
