"""A start, and what it means when the id is in use."""

from __future__ import annotations

from typing import Any

from ..backends.ports import Backend
from ..core.function import DurableFunction
from ..errors import ExecutionConflict, UnknownFunction
from ..log.durations import milliseconds
from ..log.events import component
from ..log.header import Header
from ..log.ids import checked_id, new_id
from ..log.inputs import Input, admitted, unseen
from ..runtime.executions import check_annotations, check_same, new_header, ruled_id, terms_of
from ..runtime.wakes import send_wake
from ..types import Duration, IfExists
from ..values.adapters import UNTYPED, adapter


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
    function = name if isinstance(name, DurableFunction) else None
    wanted = _wanted(backend, function, str(name) if function is None else function.name, payload, id, delay)
    _check_known(backend, wanted, given=function is not None)
    reply = backend.store.create(wanted)
    if isinstance(reply, Header):
        send_wake(backend, reply, backend.clock.now())
        return reply.id
    assert reply.header is not None
    _attach(backend, reply.header, wanted, function, if_exists)
    return wanted.id


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
