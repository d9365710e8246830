"""What every trigger has in common: a payload that came in becomes an execution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..backends.ports import Backend
from ..errors import ExecutionConflict, SerializationError
from ..log.header import Header
from ..log.ids import checked_id
from ..runtime.executions import arrived_event, check_same, execution_id, new_header, terms_of
from ..runtime.invocation import Invocation
from ..types import LambdaContext

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from ..core.function import DurableFunction
    from ..log.inputs import Input
    from ..values.terms import Terms

    Started: TypeAlias = tuple[Header, BaseException | None]
    """How the execution stands, and what its handler raised in this invocation, if it did."""


class Incoming:
    """One unit of work, as a trigger reads it.

    `readings`: what the payload can mean, the likeliest first ("42" is a number, or a text); the first that fits the handler's
    annotation is taken. `own_id`: the execution id where the function has no rule. `shared`: that id may also reach other
    functions. `identity`: what two deliveries of the same work have in common, where the event also tells how it came.
    """

    __slots__ = ("identity", "own_id", "readings", "shared")  # a plain class: it is made at every cold start

    def __init__(
        self, readings: tuple[Any, ...], own_id: str | None, *, shared: bool = False, identity: Any = None
    ) -> None:
        self.readings = readings
        self.own_id = own_id
        self.shared = shared
        self.identity = identity


def wanted_header(function: DurableFunction[Any, Any], backend: Backend, incoming: Incoming) -> Header:
    """The execution to be. Raises SerializationError or ValueError for what cannot become one, now or ever."""
    input = _fitting(function, incoming.readings, terms_of(backend))
    id = execution_id(function, input, incoming.own_id)
    if incoming.identity is not None:
        from ..values import documents

        input = input._replace(sent=documents.dumps(incoming.identity))
    return new_header(
        backend, id, function.name, input, retention_ms=function.retention_ms, timeout_ms=function.timeout_ms
    )


def _fitting(function: DurableFunction[Any, Any], readings: tuple[Any, ...], terms: Terms) -> Input:
    """Of the first reading that fits."""
    first, *others = readings
    try:
        return arrived_event(function, first, terms)
    except SerializationError:
        for other in others if function.event_adapter.typed else ():
            try:
                return arrived_event(function, other, terms)
            except SerializationError:
                continue
        raise


def run_now(
    function: DurableFunction[Any, Any],
    backend: Backend,
    context: LambdaContext,
    incoming: Incoming,
    wanted: Header,
    *,
    of_record: bool = False,
) -> Started:
    """Starts it and runs it within this invocation; an id in use attaches. `of_record`: what comes again if it fails, and is
    redriven then. Raises ExecutionConflict."""
    invocation = Invocation(function, backend, context)
    invocation.of_record = of_record
    return _unshared(function, backend, incoming, wanted, invocation.start), invocation.raised


def run_later(function: DurableFunction[Any, Any], backend: Backend, incoming: Incoming, wanted: Header) -> Started:
    """Writes it down and sends its first message; an id in use attaches. Raises ExecutionConflict."""
    from ..runtime.wakes import send_wake

    def create(header: Header) -> Header:
        reply = backend.store.create(header)
        if isinstance(reply, Header):
            if reply.status == "PENDING":
                send_wake(backend, reply, backend.clock.now())
            return reply
        assert reply.header is not None
        check_same(backend, reply.header, header, function.event_adapter)
        return backend.store.get(header.id) or reply.header

    return _unshared(function, backend, incoming, wanted, create), None


def _unshared(
    function: DurableFunction[Any, Any],
    backend: Backend,
    incoming: Incoming,
    wanted: Header,
    start: Callable[[Header], Header],
) -> Header:
    """One event may go to several functions with the same table (a topic, a bus, a stream): the first has its id, the others
    put their name before it."""
    try:
        return start(wanted)
    except ExecutionConflict:
        there = backend.store.get(wanted.id) if incoming.shared and function.execution_id is None else None
        if there is None or there.fn == wanted.fn:
            raise
        wanted.id = checked_id(f"{wanted.fn}:{wanted.id}")
        return start(wanted)
