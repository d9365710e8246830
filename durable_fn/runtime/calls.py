"""Other executions: starting them from a handler or from outside, and asking them to end."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from ..backends.ports import Backend
from ..core.current import apart
from ..core.effects import NOT_THERE, Launch
from ..core.operations.calls import NoId
from ..errors import CallTooDeep, ExecutionConflict
from ..log.foreign import require_own
from ..log.header import Header, Refusal
from ..log.inbox import CANCEL, FAILURE, SUCCESS, entry, numbered
from ..log.requests import Key, ParentNotice
from ..values.adapters import UNTYPED_ADAPTER
from .executions import check_same, derived_run, digest, is_same, new_header, ruled_id
from .wakes import send_wake

CALL_DEPTH: Final = "DURABLE_FN_CALL_DEPTH"
_DEEPEST: Final = 100
_NEVER: Final = "It could never end: call another execution, or leave out the id to start a new one"


def launch(backend: Backend, parent: Header, asked: Launch) -> str | None:
    """Creates the execution and sends its first message. An existing one with the same input serves as well: its end will
    notify `parent`, or its outcome is returned if it has ended. One that another execution waits for is an ExecutionConflict.
    Raises UnknownFunction and CallTooDeep before anything is written."""
    if asked.attach:
        return _attached(backend, parent, asked)
    backend.wakeups.check(asked.fn, given=asked.retention_ms is not None)
    if asked.key is not None:
        if asked.id == parent.id:
            raise ExecutionConflict(f"execution {parent.id!r} called itself. {_NEVER}", execution_id=parent.id)
        _check_depth(backend, parent, asked)
    id = asked.id
    if asked.ruled:  # the rule may be user code, where durable calls are not allowed
        try:
            id = apart(ruled_id, backend, asked.fn, asked.function, asked.input) or id
        except ValueError as error:
            raise NoId(str(error)) from error
    wanted = new_header(
        backend,
        id,
        asked.fn,
        asked.input,
        retention_ms=asked.retention_ms,
        timeout_ms=asked.timeout_ms,
        run=derived_run(parent, id, "call" if asked.key is not None else "send"),
        delay_ms=asked.delay_ms,
    )
    if asked.key is not None:
        wanted.parent = parent_text(parent, asked.key, asked.by)
    reply = backend.store.create(wanted)
    there = replace(reply, input=None) if isinstance(reply, Header) else reply.header
    assert there is not None
    check_same(
        backend, there, wanted, asked.adapter or UNTYPED_ADAPTER
    )  # this execution may have made it with another payload
    if there.status == "PENDING" and there.run == wanted.run:
        send_wake(backend, there, backend.clock.now())
    return id if wanted.parent is None else _awaited(backend, there, wanted.parent, own=there.run == wanted.run)


def _check_depth(backend: Backend, parent: Header, asked: Launch) -> None:
    """Raises CallTooDeep. Each call waits for the one below it, so nobody would ever see the end of an endless chain; and
    Lambda's own detection of such loops has to be off, because timers and polls look like loops to it."""
    depth, limit = depth_of(parent) + 1, _deepest()
    if depth <= limit:
        return
    above = [header.fn for header in _callers(backend, parent)]
    chain = " -> ".join([*reversed(above[:10]), asked.fn])
    how = (
        "it calls itself"
        if above[0] == asked.fn
        else "they call each other in a circle"
        if asked.fn in above
        else "it is a long chain"
    )
    raise CallTooDeep(
        f"execution {parent.id!r} of {parent.fn!r} is below {depth - 1} others that wait for each other, and may not call "
        f"{asked.fn!r}: {limit} is the limit ({CALL_DEPTH}). The last calls: {chain} ({how}). End the recursion, do the parts "
        "beside each other with ctx.map, or start the other execution with ctx.send, which nobody waits for",
        depth=depth,
        limit=limit,
    )


def _deepest() -> int:
    text = os.environ.get(CALL_DEPTH) or str(_DEEPEST)
    if not text.isascii() or not text.isdigit() or not int(text):
        raise RuntimeError(f"{CALL_DEPTH} must be a whole number above 0, got {text!r}")
    return int(text)


def depth_of(header: Header) -> int:
    """How many executions wait for each other above this one."""
    return int(json.loads(header.parent).get("depth", 1)) if header.parent is not None else 0


def _callers(backend: Backend, header: Header | None) -> Iterator[Header]:
    """This execution, the one that waits for it, the one that waits for that, and so on."""
    seen: set[str] = set()
    while header is not None and header.id not in seen:
        seen.add(header.id)
        yield header
        above = header.parent_id
        header = None if above is None else backend.store.head(above)


def _attached(backend: Backend, parent: Header, asked: Launch) -> str | None:
    """Waits only for an execution that was started before, and that is live again or has succeeded since; else NOT_THERE."""
    there = backend.store.get(asked.id)
    if (
        there is None
        or there.foreign
        or there.fn != asked.fn
        or there.cancel
        or not is_same(there, digest(asked.input.sent))
    ):
        return NOT_THERE
    if not there.live:
        return outcome(there) if there.status == "SUCCEEDED" else NOT_THERE
    return _awaited(backend, there, parent_text(parent, asked.key or "", asked.by))


def _awaited(backend: Backend, there: Header, wanted: str, *, own: bool = False) -> str | None:
    """Registers `wanted` as the parent that the end of `there` will notify. There can be only one parent execution, but any
    number of its operations may wait. Raises FormatError for another format: neither could read the other's entries. `own`: the
    parent made `there`, so the parent cannot be waiting below it."""
    require_own(there)
    while there.live and not _same(there.parent, wanted, "id", "run", "gen", "key"):
        told = there.parent_id
        if told is not None and not _same(there.parent, wanted, "id", "run", "gen"):
            first = backend.store.head(told)
            raise ExecutionConflict(
                f"execution {there.id!r} is under way and tells its end to execution {told!r} "
                f"({'which is gone' if first is None else first.status}), and to no other; let it send a signal here, call it "
                "when it has ended, or call another id",
                execution_id=there.id,
            )
        reply = backend.store.set_parent(there, wanted)
        there = reply if isinstance(reply, Header) else reply.header or there
        if isinstance(reply, Refusal) and reply.reason == "unknown":
            raise ExecutionConflict(f"execution {there.id!r} was removed just now; call again", execution_id=there.id)
    if there.live:
        if not own:
            _check_circle(backend, there)
        return None
    full = backend.store.get(there.id)
    return outcome(full or there)


def _check_circle(backend: Backend, there: Header) -> None:
    """Raises ExecutionConflict if this execution now waits, directly or not, for one that waits for it. Checked after the
    write, so that of two executions that begin to wait for each other at the same time at least one sees it."""
    _, *callers = _callers(backend, there)
    last = callers[-1] if callers else there
    if last.parent_id != there.id:
        return
    circle = " -> ".join(repr(header.id) for header in (there, *reversed(callers), there))
    raise ExecutionConflict(f"these executions wait for each other: {circle}. {_NEVER}", execution_id=there.id)


def _same(there: str | None, wanted: str, *fields: str) -> bool:
    """Whether two texts name the same parent; which of its operations asked first does not matter."""
    if there is None:
        return False
    one, other = json.loads(there), json.loads(wanted)
    return all(one.get(field) == other.get(field) for field in fields)


def parent_text(parent: Header, key: str, by: str) -> str:
    """The parent to notify of the end, as the header stores it. `by`: the operation that asked, for tools that show calls."""
    told = {
        "id": parent.id,
        "run": parent.run,
        "gen": parent.gen,
        "fn": parent.fn,
        "key": key,
        "by": by,
        "started": parent.started,
        "depth": depth_of(parent) + 1,
    }
    return json.dumps(told, ensure_ascii=False)


def notice_of(header: Header, writer: str, now: int) -> ParentNotice:
    """The notice of this end for the execution that waits for it."""
    parent = json.loads(header.parent or "{}")
    waiting = Key(parent["id"], parent["run"], parent["gen"])
    return ParentNotice(waiting, parent["fn"], entry(parent["key"], writer, outcome(header)), now)


def outcome(header: Header) -> str:
    """The end of an execution as an inbox entry's body."""
    if header.status == "SUCCEEDED":
        return SUCCESS + (header.result or "null")
    return f"{FAILURE}{header.status} {header.error or ''}"


def cancel_own(backend: Backend, parent: Header, id: str, reason: str, writer: str) -> None:
    """Asks an execution to end, if it is one that this parent made."""
    there = backend.store.head(id)
    if there is not None and there.run == derived_run(parent, id, "call"):
        cancel(backend, id, reason, writer)


def cancel(backend: Backend, id: str, reason: str | None, writer: str) -> Header | Refusal | None:
    """Asks it to end. None: there is no such execution. Asked twice, or finished, it has no effect."""
    while True:
        header = backend.store.head(id)  # no value is read: it may be damaged
        if header is None or not header.live or header.cancel:
            return header
        now = backend.clock.now()
        reply = backend.store.deliver(header, entry(numbered(CANCEL, header.n, ""), writer, reason or ""), now)
        if isinstance(reply, Header):
            send_wake(backend, reply, now)
        elif reply.reason == "unknown":
            continue  # it continued as the next generation meanwhile
        return reply
