"""Typed names of signals, for both ends."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, overload

from ..errors import SerializationError
from ..log.events import component
from ..log.inputs import admitted
from ..values.adapters import UNTYPED, Adapter, adapter, no_codec, usable
from ..values.documents import dumps
from ..values.plain import plain, to_plain_json
from ..values.terms import STRICT, Terms

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")


class Signal(Generic[T]):
    """A signal's name with its payload's type, written once for both ends. Immutable, comparable.

    ```python
    approve = Signal("approve", Decision)
    close = Signal("close")  # without a payload
    client.signal("order-7", approve, Decision(by="ann"))  # and in the handler: ctx.wait_for_signal(approve)
    ```

    The sender is checked: a payload that does not fit is a SerializationError there, and nothing is sent. What was sent
    by the plain name is checked when it is taken.

    Args:
        name: What sender and receiver call it.
        payload_type: Any type expression. For unions, `Literal` and the like a checker sees Any: annotate the variable,
            `mood: Signal[Literal["good", "bad"]] = Signal(...)`. Default: the payload is None.

    Raises:
        TypeError: No signal can have that name.
        ValueError: The same.
    """

    __slots__ = ("_name", "_payload_type")

    @overload
    def __init__(self: Signal[None], name: str, payload_type: None = None, /) -> None: ...
    @overload
    def __init__(self, name: str, payload_type: type[T], /) -> None: ...
    @overload
    def __init__(self: Signal[Any], name: str, payload_type: object, /) -> None: ...
    def __init__(self, name: str, payload_type: object = None, /) -> None:
        component(name)
        self._name = name
        self._payload_type = payload_type

    @property
    def name(self) -> str:
        return self._name

    @property
    def payload_type(self) -> Any:
        return self._payload_type

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Signal):
            return NotImplemented
        return bool(self._name == other._name and self._payload_type == other._payload_type)

    def __hash__(self) -> int:
        return hash(self._name)  # a type expression need not be hashable

    def __repr__(self) -> str:
        of = self._payload_type
        shown = of.__name__ if isinstance(of, type) else repr(of)
        return f"Signal({self._name!r})" if of is None else f"Signal({self._name!r}, {shown})"


class Named(NamedTuple):
    """A signal as a wait asks for it."""

    name: str
    adapter: Adapter

    @property
    def what(self) -> str:
        return f"the payload of signal {self.name!r}"


def awaited(signal: Signal[Any] | str, result_type: object = None) -> Named:
    """Raises TypeError or ValueError for a value that names no signal, and for a Signal with a result_type beside it."""
    if isinstance(signal, Signal):
        if result_type is not None:
            raise TypeError(f"{signal!r} says what its payload is; leave out result_type")
        return Named(signal.name, _adapter_of(signal))
    component(signal)
    return Named(signal, usable(adapter, UNTYPED if result_type is None else result_type))


def any_awaited(signals: Sequence[Signal[Any] | str]) -> tuple[Named, ...]:
    """Raises ValueError for none, and for one name twice."""
    if not signals:
        raise ValueError("wait_for_any_signal takes the signals that it waits for, and was given none")
    named = tuple(awaited(signal) for signal in signals)
    names = [one.name for one in named]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"wait_for_any_signal was given the signal {twice!r} twice; name each once")
    return named


def _adapter_of(signal: Signal[Any]) -> Adapter:
    return usable(adapter, type(None) if signal.payload_type is None else signal.payload_type)


def name_of(signal: Signal[Any] | str) -> str:
    """Raises TypeError or ValueError for a value that names no signal."""
    if isinstance(signal, Signal):
        return signal.name
    component(signal)
    return signal


def sendable(signal: Signal[Any] | str, payload: object, terms: Terms = STRICT) -> str:
    """The payload as it is sent, in JSON. Raises SerializationError for one that does not fit the Signal, or would arrive as
    another value."""
    what = f"the payload of signal {name_of(signal)!r}"
    if not isinstance(signal, Signal):
        return to_plain_json(payload, what)
    kind = _adapter_of(signal)
    kind.check(outside=True)
    if kind.secret and not terms.encrypted:
        raise SerializationError(no_codec(what))
    given = admitted(kind, payload, what, terms)
    if given.is_data:
        return given.sent
    for write in (partial(kind.dump, payload), partial(_plainly, given.text), partial(to_plain_json, payload, what)):
        with contextlib.suppress(Exception):  # a serializer of the class may fail in any way; another form may do
            text = write()
            if kind.receive(text, what, terms).text == given.text:
                return text
    raise SerializationError(
        f"{what} would not arrive as it is: its JSON form does not validate as {signal!r} again, as the same value. Give its "
        "class a serializer and a validator that are inverse to each other, or send what JSON has"
    )


def _plainly(stored: str) -> str:
    return dumps(plain(stored))
