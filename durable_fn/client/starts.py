"""A start, and what it means when the id is in use."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from ..backends.ports import Backend
from ..core.function import DurableFunction
from ..errors import ExecutionConflict, UnknownFunction
from ..log.durations import milliseconds
from ..log.events import component
from ..log.header import Header
from ..log.ids import checked_id, new_id
from ..log.inputs import Input, admitted, unseen
from ..log.wake import Wake
from ..runtime.executions import check_annotations, check_same, new_header, ruled_id, terms_of
from ..runtime.wakes import send_wake
from ..types import Duration, IfExists
from ..values.adapters import UNTYPED, adapter

_log = logging.getLogger("durable_fn")


def start(
    backend: Backend,
    name: DurableFunction[Any, Any] | str,
    payload: object,
    id: str | None,
    delay: Duration | None,
    if_exists: IfExists,
) -> str:
    if if_exists not in ("attach", "reject"):
        raise ValueError(f'if_exists must be "attach" or "reject", got {if_exists!r}')
    function, fn = _named(name)
    wanted = _wanted(backend, function, fn, payload, id, delay)
    _check_known(backend, wanted, given=function is not None)
    reply = backend.store.create(wanted)
    if isinstance(reply, Header):
        send_wake(backend, reply, backend.clock.now())
        return reply.id
    assert reply.header is not None
    _attach(backend, reply.header, wanted, function, if_exists)
    return wanted.id


def _named(name: DurableFunction[Any, Any] | str) -> tuple[DurableFunction[Any, Any] | None, str]:
    """Raises TypeError."""
    if isinstance(name, DurableFunction):
        return name, name.name
    if not isinstance(name, str):
        raise TypeError(f"a function to start is a durable function or its name, not {type(name).__name__}")
    return None, name


def _check_known(backend: Backend, wanted: Header, *, given: bool) -> None:
    """Raises UnknownFunction, unless the id is in use: what that means is another question."""
    try:
        backend.wakeups.check(wanted.fn, given=given)
    except UnknownFunction:
        if backend.store.head(wanted.id) is None:
            raise


def _wanted(
    backend: Backend,
    function: DurableFunction[Any, Any] | None,
    fn: str,
    payload: object,
    id: str | None,
    delay: Duration | None,
) -> Header:
    component(fn)
    input = unseen(payload) if function is None else _admitted(backend, function, payload)
    return new_header(
        backend,
        checked_id(id) if id is not None else ruled_id(backend, fn, function, input) or new_id(),
        fn,
        input,
        retention_ms=function.retention_ms if function else None,
        timeout_ms=function.timeout_ms if function else None,
        delay_ms=0 if delay is None else milliseconds(delay, "delay"),
    )


def _admitted(backend: Backend, function: DurableFunction[Any, Any], payload: object) -> Input:
    terms = terms_of(backend)
    check_annotations(function, terms)
    return admitted(function.event_adapter, payload, f"the payload for {function.name!r}", terms)


def _attach(
    backend: Backend, there: Header, wanted: Header, function: DurableFunction[Any, Any] | None, if_exists: IfExists
) -> None:
    if if_exists == "reject":
        raise ExecutionConflict(
            f"execution id {there.id!r} is in use (status {there.status}), and if_exists is 'reject'",
            execution_id=there.id,
        )
    check_same(backend, there, wanted, function.event_adapter if function else adapter(UNTYPED))


def start_many(
    backend: Backend,
    name: DurableFunction[Any, Any] | str,
    payloads: Iterable[Any],
    ids: Iterable[str] | None,
) -> list[str]:
    """Headers first, all of them: what is refused is refused before anything is written."""
    function, fn = _named(name)
    try:
        pairs = [(p, None) for p in payloads] if ids is None else list(zip(payloads, ids, strict=True))
    except ValueError:
        raise ValueError(
            "start_many takes an id for each payload: there are more of the one than of the other"
        ) from None
    wanted = [_wanted(backend, function, fn, payload, id, None) for payload, id in pairs]
    if wanted:
        backend.wakeups.check(fn, given=function is not None)
    replies = backend.store.create_all(wanted)
    now = backend.clock.now()
    made = [reply for reply in replies if isinstance(reply, Header)]
    for hint, error in backend.wakeups.send_all([Wake(h.id, h.run, h.fn, h.due or now) for h in made]):
        _log.warning("no wake-up could be sent for execution %r; the sweeper will: %s", hint.id, error)
    for reply, header in zip(replies, wanted, strict=True):
        if not isinstance(reply, Header):
            assert reply.header is not None
            _attach(backend, reply.header, header, function, "attach")
    return [header.id for header in wanted]
