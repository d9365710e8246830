"""The context of the code that runs, for libraries that are not handed one."""

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
    """The context of the code that runs (handler, child or branch), for libraries that are not handed one.

    ```python
    ctx = current_context(AsyncDurableContext)
    answer = await (ask(question) if ctx is None else ctx.step(ask, question))
    ```

    It is None in the body of a step, in a function that an operation asks (`until`, `every`, a retry) and outside of a
    handler: do the plain thing there. It travels by contextvars: threads that you start yourself do not see it.

    Args:
        kind: The class whose methods you call.

    Raises:
        TypeError: A context of the other kind runs.
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
    from .context import BaseContext  # whoever has a class to ask for has loaded it

    if not (isinstance(kind, type) and issubclass(kind, BaseContext)):
        raise TypeError(f"current_context takes DurableContext, AsyncDurableContext or nothing, got {kind!r}")
