"""Recorded values on their way to the handler, and values from outside on their way into the log.

The handler has seen what is recorded. If this code cannot read it now, the execution is held; no error reaches the handler,
because the handler would then take another path.
"""

from __future__ import annotations

from typing import Any

from ...errors import SerializationError
from ...log.events import Event
from ...values import documents
from ...values.adapters import Adapter, no_codec
from ...values.plain import plain
from ..scope import Op
from ..turn import Turn


def recorded(turn: Turn, adapter: Adapter, text: str, what: str) -> Any:
    """Raises SerializationError only for a value from outside that did not fit when it came: that is what the handler saw."""
    if text.startswith(documents.REFUSAL):
        raise refusal(text)
    try:
        return adapter.decode(text, what)
    except SerializationError as error:
        raise turn.hold(error) from error


def taken(turn: Turn, adapter: Adapter, json_text: str, what: str) -> str:
    """Data from outside as the log stores it: as validated now, or a refusal that says why it does not fit."""
    try:
        return adapter.receive(json_text, what, turn.terms).text
    except SerializationError as error:
        return documents.refused("null" if adapter.secret else json_text, str(error))


def taken_down(turn: Turn, adapter: Adapter, event: Event) -> Event:
    """The entry that stores such data."""
    if not adapter.pure:
        turn.drew(event)
    return event


def taken_result(turn: Turn, adapter: Adapter, text: str, what: str) -> str:
    """The result of another execution as the log of this one stores it."""
    try:
        adapter.decode(text, what)
    except SerializationError:
        return taken(turn, adapter, documents.dumps(plain(text)), what)
    return text


def refusal(text: str) -> SerializationError:
    document = documents.parse(text)
    return SerializationError(document.more["why"], raw=document.value)


def check_adapter(op: Op, adapter: Adapter | None, what: str, *, outside: bool = False) -> None:
    """Checks, before anything happens, that the result can be stored. `outside`: it comes from outside. Raises
    SerializationError; where the operation has begun already, the execution is held instead."""
    if adapter is None:
        return
    try:
        adapter.check(outside=outside)
        if adapter.secret and not op.turn.terms.encrypted:
            raise SerializationError(no_codec(what))
    except SerializationError as error:
        if op.record is None:
            raise
        raise op.turn.hold(error) from error
