"""What every trigger has in common: a payload that came in becomes an execution."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from ..core.header import Header
from ..core.ids import checked_id, new_id
from ..errors import ExecutionConflict, SerializationError
from ..invocation import Invocation
from ..ports import Backend
from ..starting import check_same, digest, encode_event, new_header
from ..types import LambdaContext

if TYPE_CHECKING:
    from ..handler import DurableFunction


class Incoming(NamedTuple):
    """One unit of work, as a trigger reads it.

    `readings`: what the payload can mean, the likeliest first ("42" is a number, or a text); the first that fits the handler's
    annotation is taken. `own_id`: the execution id where the function has no rule. `shared`: that id may also reach other
    functions. `identity`: what two deliveries of the same work have in common, where the event also tells how it came.
    """

    readings: tuple[Any, ...]
    own_id: str | None
    shared: bool = False
    identity: Any = None


class Started(NamedTuple):
    """How the execution stands, and what its handler raised in this invocation, if it did."""

    header: Header
    raised: BaseException | None = None


def wanted_header(function: DurableFunction[Any, Any], backend: Backend, incoming: Incoming) -> Header:
    """The execution to be. Raises SerializationError or ValueError for what cannot become one, now or ever."""
    event, input = _fitting(function, incoming.readings)
    id = execution_id(function, event, input, incoming.own_id)
    header = new_header(
        backend, id, function.name, input, retention_ms=function.retention_ms, timeout_ms=function.timeout_ms
    )
    if incoming.identity is not None:
        from ..core import tagged

        header.input_hash = digest(tagged.encode(incoming.identity, f"the event for {function.name!r}"))
    return header


def _fitting(function: DurableFunction[Any, Any], readings: tuple[Any, ...]) -> tuple[Any, str]:
    """The event and its encoded form."""
    first, *others = readings
    try:
        return first, encode_event(function, first)
    except SerializationError:
        for other in others if function.event_adapter.typed else ():
            try:
                return other, encode_event(function, other)
            except SerializationError:
                continue
        raise


def execution_id(function: DurableFunction[Any, Any], event: Any, input: str, default: str | None) -> str:
    """The idempotency key of an event, by the function's own rule. Raises ValueError for one that is no valid id."""
    rule = function.execution_id
    what = f"the execution id of {function.name!r}"
    if rule is None:
        return checked_id(default or new_id(), what)
    if callable(rule):
        validated = function.event_adapter.decode(input, f"the event for {function.name!r}")
        try:
            return checked_id(rule(validated), what)
        except Exception as error:
            if isinstance(error, ValueError):
                raise
            name = type(error).__name__
            raise ValueError(f"{what}: its rule raised {name} for this event: {error}") from error
    from .paths import found_by

    return checked_id(found_by(rule, event, what), what)


def run_now(
    function: DurableFunction[Any, Any], backend: Backend, context: LambdaContext, incoming: Incoming, wanted: Header
) -> Started:
    """Starts it and runs it within this invocation; an id in use attaches. Raises ExecutionConflict."""
    invocation = Invocation(function, backend, context)
    return Started(_unshared(function, backend, incoming, wanted, invocation.start), invocation.raised)


def run_later(function: DurableFunction[Any, Any], backend: Backend, incoming: Incoming, wanted: Header) -> Started:
    """Writes it down and sends its first message; an id in use attaches. Raises ExecutionConflict."""
    from ..hints import send_hint

    def create(header: Header) -> Header:
        reply = backend.store.create(header)
        if isinstance(reply, Header):
            if reply.status == "PENDING":
                send_hint(backend, reply, backend.clock.now())
            return reply
        assert reply.header is not None
        check_same(backend, reply.header, header, function.event_adapter)
        return backend.store.get(header.id) or reply.header

    return Started(_unshared(function, backend, incoming, wanted, create))


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
