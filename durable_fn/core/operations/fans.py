"""child, and the fans of parallel, map and race: handler code in scopes of its own.

Written to the log: that it began (its place), how each branch ended, that it is over. If a branch's function is annotated with
its return type, its result is in the log, and a replay skips its code; any other branch is walked again, and so is a failed
one, which raises the original error. What a cancelled branch did before it was cancelled stays in the log; a replay skips it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

from ...batch import BatchResult
from ...log import failures, origins
from ...log.events import BEGUN, CANCELLED, FAILED, SUCCEEDED, Event, ancestors
from ...log.journal import Journal, Record
from ...log.kinds import BRANCH, FANS
from ...types import ItemStatus
from ...values.adapters import UNTYPED_ADAPTER, Adapter
from ..cancel_scope import Cancellation, CancelScope
from ..cancellation import cancellation_of
from ..effects import Fork, Inside, Operation, Settle, Take
from ..fan import Branch, Fan, incomplete
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
    """For `def` handlers: a cancellation that was raised inside the child, and caught there, is not raised again behind the
    child."""
    cancel_scope = op.scope.cancel_scope
    for record in _raised_in(op.turn.journal, op.id):
        cancel_scope.cancellation, cancel_scope.raised = cancellation_of(record), True


def _raised_in(journal: Journal, id: str) -> Iterator[Record]:
    """The operations in a child or branch at which a cancellation was raised; those in branches of its own saw one of theirs."""
    for record in journal.below(f"{id}/"):
        heads = (journal.records.get(head) for head in ancestors(record.id) if len(head) > len(id))
        if record.raised and not any(head is not None and head.kind in FANS for head in heads):
            yield record


def _failure(op: Op, error: Exception, id: str) -> str:
    """The recorded failure, with the operations that it comes from, for a redrive."""
    origins.mark(op.turn, error, id)
    failure = failures.capture(error)
    return failures.encode(replace(failure, causes=origins.origins_of(op.turn, error)))


def _end(op: Op, done: Event | None, status: str, value: str, *, durable: bool = False) -> Operation[None]:
    """`durable`: written before the handler sees it. One effect, as on a replay."""
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
    for branch in fan.branches:
        check_adapter(op, branch.adapter, branch.what)
    if op.record is None or op.record.begun is None:
        turn.record(op, BEGUN)
    if turn.front is None:
        recall(op, fan, over=done is not None)
    yield Fork(op.scope, fan)
    yield from _end(op, done, SUCCEEDED, "", durable=fan.early)  # which branches were first must not change
    for branch in fan.branches:
        if branch.error is not None:  # also of one that was walked again
            origins.mark(turn, branch.error, f"{op.id}/{branch.component}")
    batch = fan.result(kind)
    turn.batches.append(batch)
    return batch


def race(op: Op, fan: Fan, *, named: bool) -> Operation[tuple[Any, Any]]:
    batch = yield from fan_out(op, fan, list)
    op.turn.batches.remove(batch)
    for branch in fan.branches:
        if branch.status == "SUCCEEDED":
            return branch.name if named else branch.index, branch.value
    errors = [branch.error for branch in fan.branches if branch.error is not None]
    text = f"none of the {len(fan.branches)} branches of race {op.id!r} succeeded"
    raise incomplete(text, batch) from (errors[0] if errors else None)


_STATUS: Final[dict[str, ItemStatus]] = {SUCCEEDED: "SUCCEEDED", FAILED: "FAILED", CANCELLED: "CANCELLED"}


def recall(op: Op, fan: Fan, *, over: bool) -> None:
    """Applies what the log says about the branches, in its order, so that the fan is over where it was over the first time."""
    journal, broken = op.turn.journal, not over and _is_broken(op)
    ends = [(journal.records.get(f"{op.id}/{branch.component}"), branch) for branch in fan.branches]
    ended = [(record, branch) for record, branch in ends if record is not None and record.done is not None]
    for record, branch in sorted(ended, key=lambda row: row[0].order):
        assert record.done is not None
        text, failed = record.done.value, record.done.status == FAILED
        fan.end(branch, _STATUS[record.done.status])
        branch.walk = branch.status != "CANCELLED" and (failed or not text)
        branch.record = record
        if broken and branch.status == "CANCELLED" and not any(_raised_in(journal, record.id)):
            fan.late += 1  # it did not notice that it was cancelled
        if not branch.walk:
            journal.skip_below(f"{op.id}/{branch.component}/")
            journal.skip(record)
            if branch.status == "SUCCEEDED":
                branch.value = recorded(op.turn, branch.adapter or UNTYPED_ADAPTER, text, branch.what)
    for _, branch in ends:
        if branch.status is None and (over or (fan.over and not broken and not _may_have_begun(op, fan, branch))):
            journal.skip_below(f"{op.id}/{branch.component}/")
            branch.status = "CANCELLED"
    if over and not fan.over:
        fan.reason = "ALL_COMPLETED"  # a branch that was cancelled before the fan was over completes nothing
    if fan.over and any(branch.status is None for branch in fan.branches):
        fan.early = True


def next_branch(op: Op, fan: Fan) -> Branch | None:
    """The next branch to start. Once the fan is over, or cancelled, only branches that may have something to clean up."""
    while (branch := fan.next_new()) is not None:
        if _is_wanted(op, fan, branch):
            return branch
        if _is_broken(op):  # its turn may come when another one has ended
            return next((other for other in fan.branches if _is_wanted(op, fan, other)), None)
        branch.started = True
    return None


def _is_wanted(op: Op, fan: Fan, branch: Branch) -> bool:
    ends = fan.over or op.scope.cancel_scope.cancel_pending
    return branch.is_new and (branch.walk or not ends or _may_have_begun(op, fan, branch))


def _may_have_begun(op: Op, fan: Fan, branch: Branch) -> bool:
    """True also where the log has nothing of the branch: an owner that died may have been in its first body."""
    unrecorded = _is_broken(op) and op.begun and branch.index < fan.most_begun
    return unrecorded or op.turn.journal.has_below(f"{op.id}/{branch.component}/")


def _is_broken(op: Op) -> bool:
    """Whether more may have happened in this fan than is recorded: see `Journal.taken_over`."""
    return op.record.broken if op.record is not None else op.turn.journal.may_have_begun(op.id)


def inherit_cancellation(op: Op, fan: Fan, cancel_scope: CancelScope) -> None:
    """A branch that starts in a fan that is over, or inside a cancelled branch, is cancelled at once."""
    above = op.scope.cancel_scope
    if above.cancel_pending and above.cancellation is not None:
        cancel_scope.cancel(
            above.cancellation if above.cancellation.kind != "timed out" else Cancellation("cancelled", None)
        )
    elif fan.over:
        cancel_scope.cancel(Cancellation("lost", f"the fan is over: {fan.reason}"))


def _told(op: Op, branch: Branch, value: Any, error: Exception | None) -> tuple[str, Any, Exception | None]:
    if error is not None or branch.adapter is None:
        return "", None if error is not None else value, error
    try:
        text, value = branch.adapter.keep(value, branch.what, op.turn.terms)
        op.turn.check_size(text, branch.what)
        return text, value, None
    except Exception as wrong:
        return "", None, wrong


def branch_walked(op: Op, branch: Branch, value: Any, error: Exception | None) -> None:
    """A branch that had ended in an earlier turn was walked again, for the value or error that the log does not have."""
    _, branch.value, branch.error = _told(op, branch, value, error)


def branch_ended(op: Op, branch: Branch, value: Any, error: Exception | None) -> Event:
    """Records the end of a live branch, and gives the branch the value or error that a replay will give."""
    status = SUCCEEDED
    text, branch.value, branch.error = _told(op, branch, value, error)
    if branch.error is not None:
        status, text = FAILED, _failure(op, branch.error, f"{op.id}/{branch.component}")
    return op.turn.record(_end_of(op, branch), status, value=text)


def branch_cancelled(op: Op, branch: Branch, by: str) -> Event:
    """Records that a branch was cancelled and has unwound. `by`: the line that led to it."""
    return op.turn.record(_end_of(op, branch), CANCELLED, value=json.dumps(by, ensure_ascii=False))


def _end_of(op: Op, branch: Branch) -> Op:
    return Op(op.scope, BRANCH, f"{op.id}/{branch.component}", branch.index, None)
