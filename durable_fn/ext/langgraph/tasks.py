"""`durable_task`: LangGraph's `@task` as a step."""

from __future__ import annotations

import asyncio
import functools
import inspect
import typing
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, TypeVar, overload

from langchain_core.runnables.config import var_child_runnable_config
from langgraph._internal._serde import build_serde_allowlist
from langgraph.func import task

from ..agent_runs import durable_context
from ..step_settings import StepSettings, checked, over
from .nodes import attempt, current, recorded
from .outcomes import Outcome, Values

P = ParamSpec("P")
T = TypeVar("T")


@overload
def durable_task(
    fn: Callable[P, Awaitable[T]], /, *, name: str | None = None, step_options: StepSettings | None = None
) -> Callable[P, Awaitable[T]]: ...
@overload
def durable_task(
    fn: Callable[P, T], /, *, name: str | None = None, step_options: StepSettings | None = None
) -> Callable[P, Awaitable[T]]: ...
def durable_task(
    fn: Callable[..., Any], /, *, name: str | None = None, step_options: StepSettings | None = None
) -> Any:
    """A task for an `@entrypoint` that `run_graph` runs, whose body is a step; elsewhere it is a plain `@task`.

        @durable_task
        async def search(words: str) -> list[str]: ...

    `step_options` are on top of those of `run_graph`. A `def` runs in a thread.
    """
    own = checked(step_options or {}, f"durable_task {getattr(fn, '__name__', fn)!r}")
    label: str = name or getattr(fn, "__name__", None) or "task"
    values = Values(build_serde_allowlist(schemas=[_return_type(fn)]))

    @functools.wraps(fn)
    async def durable(*args: Any, **kwargs: Any) -> Any:
        graph, config = current.get(), var_child_runnable_config.get()
        if graph is None or durable_context() is None:
            return await _call(fn, args, kwargs)

        async def body() -> Outcome:
            return await attempt(config or {}, f"task {label!r}", lambda _: _call(fn, args, kwargs))

        step = f"{graph.name}.{label}"
        return await recorded(graph.run, step, graph.run.next(step), body, over(own, graph.settings), values)

    durable.__name__ = label
    return task(durable)


def _return_type(fn: Callable[..., Any]) -> Any:
    try:
        return typing.get_type_hints(fn).get("return")
    except (NameError, TypeError):
        return None


async def _call(fn: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    if inspect.iscoroutinefunction(fn):
        return await fn(*args, **kwargs)
    return await asyncio.to_thread(fn, *args, **kwargs)
