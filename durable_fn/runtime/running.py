"""The context of the running code, for libraries that are not given one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

from ..core.current import current_scope

if TYPE_CHECKING:
    from .aio.context import AsyncDurableContext
    from .threads.context import DurableContext

C = TypeVar("C", "DurableContext", "AsyncDurableContext")


@overload
def current_context() -> DurableContext | AsyncDurableContext | None: ...
@overload
def current_context(kind: type[C], /) -> C | None: ...
def current_context(kind: Any = None, /) -> Any:
    """The context of the running scope (handler, child or branch), for libraries that are not given one.

    None inside a step body, in a function that an operation calls (`until`, `every`, a retry), and outside of a handler: a
    library runs without durability there. With a class given, a running context of the other kind is a TypeError. Travels by
    contextvars: threads that you start yourself do not see it.
    """
    scope = current_scope.get()
    found: Any = None if scope is None else scope.turn.context
    if kind is None:
        return found
    _check_kind(kind)
    if found is None or isinstance(found, kind):
        return found
    own = type(found).__name__
    runs = "an async def" if own.startswith("Async") else "a plain def"
    raise TypeError(
        f"current_context({kind.__name__}) was called in {found.name!r}, which is {runs} handler: its context is of "
        f"{own}. Ask for that one, or for current_context() and look which it is"
    )


def _check_kind(kind: Any) -> None:
    from .context import BaseContext  # a caller that has a context class has loaded it

    if not (isinstance(kind, type) and issubclass(kind, BaseContext)):
        raise TypeError(f"current_context takes DurableContext, AsyncDurableContext or nothing, got {kind!r}")
