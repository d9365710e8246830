"""What a shape is: a small workflow with what it must come to, and its place in the registry.

A handler is written once, as `async def`; its `def` twin runs the same text without an event loop (`plain.py`), unless it is
given in its own words. `native` shapes use asyncio itself and have one front.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from durable_fn import DurableClient, DurableFunction, durable
from tests.corpus.plain import without_loop

Outside = Callable[[DurableClient, str], None]
"""What comes from outside, given the client and the execution's id. Called each time the execution idles."""


@dataclass(frozen=True)
class Shape:
    """`status`, `result` or `fails` (a class name): how it ends. `early`: comes before the first invocation, `outside` each
    time it idles, and must bear being called again. `once`: effects that happen once if nothing dies. `effects`: all, in
    their order. `others`: functions that it calls.

    `same` false: branches run beside each other, so the order of their entries differs from run to run. `drawn`: its results
    differ between executions. `death_changes`: what differs, as it must, where a process died. `cloud` false: not
    run on AWS's code path, where every request costs milliseconds; `dies` false: too wide to die at each of its requests.
    """

    name: str
    theme: str
    fronts: dict[str, DurableFunction[Any, Any]]
    event: Any = None
    result: Any = None
    status: str = "SUCCEEDED"
    fails: str | None = None
    early: Outside | None = None
    outside: Outside | None = None
    once: tuple[str, ...] = ()
    effects: tuple[str, ...] | None = None
    others: tuple[DurableFunction[Any, Any], ...] = ()
    same: bool = True
    drawn: bool = False
    death_changes: tuple[str, ...] = ()
    cloud: bool = True
    dies: bool = True
    bucket: bool = False

    def __str__(self) -> str:
        return self.name


SHAPES: list[Shape] = []


def shape(
    sync: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    native: bool = False,
    options: dict[str, Any] | None = None,
    **facts: Any,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Registers an `async def` handler. `options` are `@durable`'s, `sync` its `def` twin if that is written apart."""

    def register(handler: Callable[..., Any]) -> Callable[..., Any]:
        own = name or handler.__name__.removeprefix("a_")
        fronts = {"async": handler} if native else {"sync": sync or without_loop(handler), "async": handler}
        functions = {front: durable(name=own, **(options or {}))(fn) for front, fn in fronts.items()}
        SHAPES.append(Shape(own, handler.__module__.rpartition(".")[2], functions, **facts))
        return handler

    return register
