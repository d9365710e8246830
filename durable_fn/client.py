"""Starting and watching executions from outside: scripts, API handlers, consoles."""

from __future__ import annotations

import builtins
import json
import logging
import secrets
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar, overload

from .core import failures
from .core.durations import aware, milliseconds, moment
from .core.events import component, fence
from .core.forks import copied, limit_of
from .core.header import Ending, Header, Refusal
from .core.hint import Hint
from .core.history import whole_history
from .core.ids import checked_id
from .core.ids import new_id as fresh_id
from .core.inbox import (
    FAILURE,
    NO_HEARTBEAT,
    SUCCESS,
    TIMEOUT,
    Entry,
    beat_prefix,
    callback_key,
    entry,
    numbered,
    settled,
    signal_prefix,
)
from .core.journal import Journal, Segment
from .core.promises import Place, place_of
from .core.retention import DAY_MS, OF_FUNCTION
from .core.rewind import rewinding
from .core.tokens import Token, is_genuine
from .core.tokens import parse as parse_token
from .core.turn import seed_of
from .core.values import UNTYPED, adapter, plain, to_plain_json
from .errors import CallbackError, CallError, CallTimeout, ExecutionConflict, ExecutionNotFound
from .handler import DurableFunction
from .hints import send, send_hint
from .launching import cancel as request_cancel
from .launching import note_of
from .ports import Backend, Loaded
from .starting import check_fits, check_same, execution_id, new_header
from .types import Duration, ErrorInfo, ExecutionInfo, ExecutionStatus, HistoryEvent, IfExists

_log = logging.getLogger("durable_fn")

E = TypeVar("E")
T = TypeVar("T")

_FIRST_LOOK_S = 0.05
_LONGEST_LOOK_S = 2.0
_TRIES = 20


class DurableClient:
    """Blocking and thread-safe; in asyncio use `asyncio.to_thread`. Not for use in a handler body (use `ctx`), but fine in
    a step. Every method with an id raises ExecutionNotFound."""

    def __init__(self, backend: object) -> None:
        if not isinstance(backend, Backend):
            raise TypeError(
                f"DurableClient takes a Backend, not {type(backend).__name__}; use DurableClient.from_env(), or "
                "durable_fn.wiring.sqlite(path)"
            )
        self._backend = backend
        self._store = backend.store
        self._clock = backend.clock

    @classmethod
    def from_env(cls) -> DurableClient:
        """By DURABLE_FN_*. RuntimeError names the variable that is missing."""
        from .wiring import backend

        return cls(backend())

    # -- starting --------------------------------------------------------------------------------------------------

    @overload
    def start(
        self,
        name: DurableFunction[E, Any],
        payload: E,
        *,
        id: str | None = None,
        delay: Duration | None = None,
        if_exists: IfExists = "attach",
    ) -> str: ...
    @overload
    def start(
        self,
        name: str,
        payload: object,
        *,
        id: str | None = None,
        delay: Duration | None = None,
        if_exists: IfExists = "attach",
    ) -> str: ...
    def start(
        self,
        name: DurableFunction[Any, Any] | str,
        payload: object,
        *,
        id: str | None = None,
        delay: Duration | None = None,
        if_exists: IfExists = "attach",
    ) -> str:
        """The execution id. It runs soon, in the function's own Lambda; this only writes it down and sends a message.

        "attach": an id in use is returned as it is, in whatever status, if the payload is the same; another payload is
        ExecutionConflict. "reject": an id in use is always ExecutionConflict. So is an id of another durable function.
        Without `id`: by the function's own `execution_id` rule, else a new one. A function given by name is found through
        the registry row it writes in the table, else behind DURABLE_FN_QUEUE_URL. Raises SerializationError,
        PayloadTooLarge, ValueError for an id or delay that is none.
        """
        if if_exists not in ("attach", "reject"):
            raise ValueError(f'if_exists must be "attach" or "reject", got {if_exists!r}')
        function = name if isinstance(name, DurableFunction) else None
        fn = function.name if function else str(name)
        component(fn)
        input = self._encode(function, fn, payload)
        wanted = new_header(
            self._backend,
            self._id(function, fn, payload, input, id),
            fn,
            input,
            retention_ms=function.retention_ms if function else None,
            timeout_ms=function.timeout_ms if function else None,
            delay_ms=0 if delay is None else milliseconds(delay, "delay"),
        )
        reply = self._store.create(wanted)
        if isinstance(reply, Header):
            send_hint(self._backend, reply, self._clock.now())
            return reply.id
        self._attach(reply, wanted, function, if_exists)
        return wanted.id

    def _encode(self, function: DurableFunction[Any, Any] | None, fn: str, payload: object) -> str:
        what = f"the payload for {fn!r}"
        if function is None:
            return to_plain_json(payload)
        text = function.event_adapter.encode(payload, what)
        function.event_adapter.decode(text, what)
        return text

    def _id(
        self, function: DurableFunction[Any, Any] | None, fn: str, payload: object, input: str, id: str | None
    ) -> str:
        if id is not None:
            return checked_id(id)
        if function is None or function.execution_id is None:
            return fresh_id()
        return execution_id(function, plain(input), input, None)

    def _attach(
        self, refusal: Refusal, wanted: Header, function: DurableFunction[Any, Any] | None, if_exists: IfExists
    ) -> None:
        there = refusal.header
        assert there is not None
        if if_exists == "reject":
            raise ExecutionConflict(
                f"execution id {there.id!r} is in use (status {there.status}), and if_exists is 'reject'",
                execution_id=there.id,
            )
        check_same(self._backend, there, wanted, function.event_adapter if function else adapter(UNTYPED))

    # -- watching --------------------------------------------------------------------------------------------------

    def describe(self, id: str) -> ExecutionInfo:
        """A snapshot. The custom status of a RUNNING execution, and of one that has just gone on as a new generation, is read
        from its log."""
        header = self._header(id)
        if header.status == "RUNNING" or (header.status == "PENDING" and header.gen > 1):
            loaded = self._store.load(header.key)
            if loaded is not None:
                header.custom = Journal(loaded.segments).custom or header.custom
        return info(header)

    @overload
    def result(self, id: str, *, wait: Duration | None = None, result_type: type[T]) -> T: ...
    @overload
    def result(self, id: str, *, wait: Duration | None = None, result_type: object = None) -> Any: ...
    def result(self, id: str, *, wait: Duration | None = None, result_type: object = None) -> Any:
        """The result, decoded by `result_type`, else as plain JSON values (types the SDK tagged come back).

        `wait=None` does not wait. Not finished (in time): CallTimeout. Ended otherwise: CallError, with `.status`.
        """
        header = self._wait(id, 0 if wait is None else milliseconds(wait, "wait"))
        if header.status == "SUCCEEDED":
            kind = adapter(UNTYPED if result_type is None else result_type)
            return kind.decode(header.result or "null", f"the result of execution {id!r}")
        if header.live:
            raise CallTimeout(
                f"execution {id!r} is {header.status} and has no result yet; it goes on, ask again later",
                execution_id=id,
                status=header.status,
            )
        failure = failures.decode(header.error or failures.NOTHING)
        raise CallError(
            f"execution {id!r} ended {header.status}: {failure.error_type}: {failure.message}",
            execution_id=id,
            status=header.status,
            error_type=failure.error_type or None,
            message=failure.message,
        )

    def _wait(self, id: str, wait_ms: int) -> Header:
        """Looks again and again, a little later each time."""
        until = self._clock.now() + wait_ms
        pause = _FIRST_LOOK_S
        while True:
            header = self._header(id)
            left = (until - self._clock.now()) / 1000
            if not header.live or left <= 0:
                return header
            self._clock.sleep(min(pause, left))
            pause = min(pause * 1.5, _LONGEST_LOOK_S)

    def history(self, id: str) -> builtins.list[HistoryEvent]:
        """All journal entries, in journal order, between the start and the end of the execution (kind "execution")."""
        header = self._header(id)
        loaded = self._store.load(header.key)
        return whole_history(header, loaded.segments) if loaded is not None else []

    def list(
        self,
        *,
        name: str | None = None,
        status: ExecutionStatus | None = None,
        started_after: datetime | None = None,
        limit: int | None = None,
    ) -> Iterator[ExecutionInfo]:
        """Newest first. `limit=None`: all of them. On DynamoDB this reads the whole table (there is no index for it, so
        that running an execution stays cheap): for people and nightly jobs, not for a hot path."""
        if limit is not None and limit < 0:
            raise ValueError(f"limit must be 0 or more, got {limit}")
        after = None if started_after is None else moment(started_after, "started_after")
        for header in self._store.executions(name, status, after, limit):
            try:
                shown = info(header)
            except Exception as error:  # one damaged item must not hide the others
                _log.warning("execution %r is left out of the list: %s: %s", header.id, type(error).__name__, error)
            else:
                yield shown

    # -- steering --------------------------------------------------------------------------------------------------

    def signal(self, id: str, name: str, payload: object = None) -> None:
        """Durable when it returns. A finished execution: ExecutionConflict."""
        component(name)
        text = to_plain_json(payload)
        check_fits(self._store, text, f"the payload of signal {name!r}")
        writer = self._writer()
        while True:
            header = self._header(id)
            reply = self._deliver(header, entry(numbered(signal_prefix(name), header.n, writer), writer, text))
            if isinstance(reply, Header):
                return
            if reply.reason != "unknown":  # else it went on as the next generation meanwhile
                raise ExecutionConflict(f"execution {id!r} has ended and takes no signal {name!r}", execution_id=id)

    def complete_callback(self, token: str, result: object = None) -> None:
        """Once. The same result again is accepted quietly; a completed, expired or unknown token is a CallbackError."""
        text = to_plain_json(result)
        check_fits(self._store, text, "the result of the callback")
        self._settle(token, SUCCESS + text)

    def fail_callback(self, token: str, message: str, error_type: str = "CallbackFailed") -> None:
        """The other side gives up: CallbackFailed is raised where the handler waits."""
        failure = failures.Failure(
            failures.readable(str(error_type), 200), failures.readable(str(message)), "", None, None
        )
        self._settle(token, FAILURE + failures.encode(failure))

    def heartbeat_callback(self, token: str) -> None:
        """The other side is still at it: `heartbeat_timeout` begins anew."""
        header, found = self._callback(token)
        place = self._place(header, found)
        if place.outcome is not None:
            raise CallbackError("the callback has its outcome already: a heartbeat changes nothing")
        self._check_time(place)
        writer = self._writer()
        prefix = beat_prefix(found.gen, found.operation)
        reply = self._deliver(header, entry(numbered(prefix, header.n, writer), writer, str(self._clock.now())))
        if isinstance(reply, Refusal):
            raise CallbackError("the execution that waited for the callback has ended")

    def _settle(self, token: str, body: str) -> None:
        """The log, which knows the timeout, is read only where there is one, or where an outcome is there already."""
        header, found = self._callback(token)
        place = (
            self._place(header, found) if found.limited else Place(callback_key(found.gen, found.operation), None, None)
        )
        if place.outcome is None:
            self._check_time(place)
            if self._put(header, place, body):
                return
            asked, place = place, self._place(header, found)
            if place.outcome is None and place.key != asked.key and self._put(header, place, body):
                return  # it is asked anew, after a redrive
        there = place.outcome
        if there is None:
            raise CallbackError("the execution that waited for the callback has ended")
        if there.digest == entry("", "", body).digest:
            return
        late = there.body[0] in (TIMEOUT, NO_HEARTBEAT)
        raise CallbackError(
            "the callback timed out before" if late else "the callback was completed before, with another outcome"
        )

    def _put(self, header: Header, place: Place, body: str) -> bool:
        new = settled(place.key, self._writer(), body, self._clock.now())
        return isinstance(self._deliver(header, new), Header)

    def _check_time(self, place: Place) -> None:
        """Nobody may have waited when its time was over, so that nobody wrote it down."""
        if place.due is not None and self._clock.now() >= place.due:
            raise CallbackError("the callback timed out before")

    def _callback(self, token: str) -> tuple[Header, Token]:
        """What a token stands for. One error for all that is wrong with it: it tells a guesser nothing."""
        found = parse_token(token)
        header = self._store.get(found.id) if found is not None else None
        if found is None or header is None or header.run != found.run or not is_genuine(found, header.secret):
            raise CallbackError(
                "unknown callback token: it was changed on its way, or its execution is gone; take it again from where it was "
                "handed out"
            )
        if header.gen != found.gen:
            raise CallbackError("the execution went on as a new generation, and the callback is closed")
        return header, found

    def _place(self, header: Header, token: Token) -> Place:
        loaded = self._store.load(header.key)
        if loaded is None:
            return Place(callback_key(token.gen, token.operation), None, None)
        return place_of(Journal(loaded.segments), loaded.inbox, token.gen, token.operation)

    def cancel(self, id: str, reason: str | None = None) -> None:
        """Asks. Compensations run, then CANCELLED. Finished: no effect."""
        self._header(id)
        request_cancel(self._backend, id, failures.readable(reason or "") or None, self._writer())

    def terminate(self, id: str, reason: str | None = None) -> None:
        """At once; no code of yours runs. Finished: no effect."""
        message = failures.readable(f"terminated{f': {reason}' if reason else ''}")
        failure = failures.Failure("durable_fn.errors.ExecutionTerminated", message, "", None, None)
        ending = Ending("TERMINATED", self._clock.now(), error=failures.encode(failure))
        writer = self._writer()
        for _ in range(_TRIES):
            loaded = self._loaded(id)
            header, segments = loaded.header, loaded.segments
            tombstone = Segment(len(segments), writer, fence(ending.finished))
            ended = replace(header, status=ending.status, error=ending.error)
            note = None if header.parent is None else note_of(ended, writer, self._clock.now())
            reply = self._store.terminate(header, ending, tombstone, note)
            if not isinstance(reply, Refusal):
                if note is not None:
                    waiting = Hint(note.waiting.id, note.waiting.run, note.fn, note.now)
                    send(self._backend, waiting, self._clock.now())
                return
            if reply.reason == "finished":
                return
        raise RuntimeError(f"execution {id!r} makes progress too quickly to be terminated; try again")

    def redrive(self, id: str, *, from_step: str | None = None) -> None:
        """A FAILED, TIMED_OUT, CANCELLED or TERMINATED execution goes on.

        From where it ended: what made it fail is tried again, with fresh attempts, and what came after it (compensations, say)
        is forgotten; what ran beside it, or before it, stays done. Was the error the handler's own, only its code runs again. A
        called execution that failed is started anew, unless it was redriven itself. Or with everything from that operation id
        on forgotten. An execution that is held up by a mismatch is
        tried again at once. A running or succeeded one: ExecutionConflict; an unknown operation id: ValueError.
        """
        writer = self._writer()
        for _ in range(_TRIES):
            loaded = self._kept(id)
            header, segments = loaded.header, loaded.segments
            now = self._clock.now()
            if header.live and header.strikes:
                self._deliver(header, entry(numbered("redrive/", header.n, writer), writer, ""))
                return
            if header.live or (header.status == "SUCCEEDED" and from_step is None):
                raise ExecutionConflict(
                    f"execution {id!r} is {header.status}: there is nothing to redrive", execution_id=id
                )
            doomed = header.status in ("CANCELLED", "TIMED_OUT")
            line = rewinding(segments, from_step, now, header.error, doomed=doomed)
            reply = self._store.revive(header, Segment(len(segments), writer, line), now)
            if not isinstance(reply, Refusal):
                send_hint(self._backend, reply, now)
                return
        raise RuntimeError(f"execution {id!r} could not be redriven; try again")

    def fork(self, id: str, *, from_step: str, new_id: str | None = None) -> str:
        """A copy that has everything before that operation behind it and goes on from there, with the code of today. Its id.

        What was drawn before (`uuid4`, `random`, `now`) is the same there; idempotency keys of steps are its own. Unread signals,
        and outcomes that nobody has taken, go along. A call under way is started anew, an open callback is asked anew.
        ValueError for an unknown operation, and where other operations before it handed out the token of an open callback.
        """
        loaded = self._kept(id)
        header, now = loaded.header, self._clock.now()
        copy = copied(header, loaded.segments, loaded.inbox, from_step, seed_of(header), now)
        wanted = new_header(
            self._backend,
            fresh_id() if new_id is None else checked_id(new_id, "new_id"),
            header.fn,
            header.input or "null",
            retention_ms=header.retention * 1000 if header.retention != OF_FUNCTION else None,
            timeout_ms=limit_of(header, loaded.segments),
        )
        if self._store.get(wanted.id) is not None:
            raise ExecutionConflict(f"execution id {wanted.id!r} is in use", execution_id=wanted.id)
        for segment in copy.segments:  # the header goes last: without it nobody sees the rest
            self._store.append(wanted, segment._replace(writer=wanted.run))
        self._store.leave(wanted, copy.entries)
        wanted.n, wanted.gone = copy.seen, copy.gone
        wanted.turns = 1  # there is a log to read, though nobody ran this one yet
        reply = self._store.create(wanted)
        if isinstance(reply, Refusal):
            raise ExecutionConflict(f"execution id {wanted.id!r} is in use", execution_id=wanted.id)
        send_hint(self._backend, reply, now)
        return wanted.id

    def purge(self, id: str) -> None:
        """Removes a finished one with all it stored. Running: ExecutionConflict."""
        reply = self._store.retire(self._header(id))
        if isinstance(reply, Header):
            self._store.remove(reply)
        elif reply.reason == "live":
            raise ExecutionConflict(f"execution {id!r} is under way; cancel or terminate it first", execution_id=id)

    def _kept(self, id: str) -> Loaded:
        """Of which nothing can have been removed yet: going on without a part of it would do things twice."""
        loaded = self._loaded(id)
        horizon = loaded.header.horizon
        if self._clock.now() > horizon * 1000 - DAY_MS > 0:
            raise ExecutionConflict(
                f"the steps of execution {id!r} are recorded until {aware(horizon * 1000):%Y-%m-%d %H:%M} UTC, which is "
                "over or nearly so: it cannot go on from them any more. Start it anew under another id",
                execution_id=id,
            )
        return loaded

    def _loaded(self, id: str) -> Loaded:
        while True:  # it may go on as the next generation between the two
            loaded = self._store.load(self._header(id).key)
            if loaded is not None:
                return loaded

    def _deliver(self, header: Header, new: Entry) -> Header | Refusal:
        """Into the inbox, and wakes it."""
        now = self._clock.now()
        reply = self._store.deliver(header, new, now)
        if isinstance(reply, Header):
            send_hint(self._backend, replace(reply, due=now), now)
        return reply

    def _writer(self) -> str:
        return secrets.token_hex(6)

    def _header(self, id: str) -> Header:
        checked_id(id)
        header = self._store.get(id)
        if header is None:
            raise ExecutionNotFound(f"there is no execution {id!r}; it was never started, or its retention is over")
        return header


def _next_due(header: Header) -> datetime | None:
    """The earliest timer; that items have to be stamped anew is nobody's business."""
    due = header.due if header.timer is None else header.timer
    return None if not due or header.status == "RUNNING" else aware(due)


def info(header: Header) -> ExecutionInfo:
    """What people are shown of a header."""
    error: ErrorInfo | None = failures.info(failures.decode(header.error)) if header.error is not None else None
    return ExecutionInfo(
        id=header.id,
        name=header.fn,
        status=header.status,
        custom_status=None if header.custom is None else plain(header.custom),
        started_at=aware(header.started),
        finished_at=None if header.finished is None else aware(header.finished),
        next_due_at=_next_due(header),
        parent_id=None if header.parent is None else json.loads(header.parent)["id"],
        generation=header.gen,
        invocations=header.turns,
        input=plain(header.input or "null"),
        error=error,
    )
