"""What a hard workflow is: a shape of the corpus with a day outside and a judge of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from durable_fn import DurableClient, DurableFunction, Signal, durable
from tests.corpus.plain import without_loop
from tests.torture.books import NOTES

Happening = Callable[[DurableClient], object]
"""Comes from outside. If the process of who does it dies, it is done again."""
Script = tuple[tuple[int, Happening], ...]
Judgement = Callable[[Any, list[Any]], object]
"""Given the result and the notes of the life, AssertionError for what must not be."""


@dataclass(frozen=True)
class Hard:
    """`starts`: ids and events, of the first function or of one that is named. The first id's result is judged. `script`: seconds
    after the start, and what happens then, in order."""

    name: str
    fronts: dict[str, tuple[DurableFunction[Any, Any], ...]]
    starts: tuple[tuple[str, int, Any], ...]
    script: Script
    judge: Judgement


HARD: dict[str, Hard] = {}


def hard(
    *handlers: Callable[..., Any],
    judge: Judgement,
    event: Any = None,
    starts: tuple[tuple[str, int, Any], ...] | None = None,
    script: Script = (),
    native: bool = False,
    options: dict[str, Any] | None = None,
) -> None:
    """Registers it by the name of its first handler, in both fronts, or in one if it is asyncio's. `starts`: id, number of the
    handler, event."""
    fronts = {"async": handlers} if native else {"def": tuple(map(without_loop, handlers)), "async": handlers}
    functions = {
        front: tuple(durable(name=fn.__name__, **(options or {}))(fn) for fn in own) for front, own in fronts.items()
    }
    name = handlers[0].__name__
    HARD[name] = Hard(name, functions, starts or ((name, 0, event),), script, judge)


def sends(id: str, signal: Signal[Any] | str, payload: Any, number: int) -> Happening:
    """With an id, so that it may be sent again."""
    return lambda client: client.signal(id, signal, payload, signal_id=f"{number}")


def notes(what: str, execution: str | None = None) -> list[tuple[Any, ...]]:
    """What was noted so, once for each key, in order."""
    found = {n.key: n.args for n in NOTES if n.what == what and execution in (None, n.execution)}
    return list(found.values())


def values(what: str) -> set[str]:
    return {n.value for n in NOTES if n.what == what}


def same_but_for_order(one: list[Any], other: list[Any]) -> bool:
    return Counter(map(repr, one)) == Counter(map(repr, other))
