"""Hooks see what happens, once, and can harm nobody."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from durable_fn import AsyncDurableContext, DurableContext, Hooks, RetryPolicy, configure, current_step, durable, step
from durable_fn.hooks import AttemptInfo, InvocationInfo
from durable_fn.testing import LocalRunner
from durable_fn.types import HistoryEvent

SPAN: ContextVar[str] = ContextVar("span", default="none")


class Watching(Hooks):
    def __init__(self) -> None:
        self.seen: list[Any] = []

    @contextlib.contextmanager
    def invocation(self, info: InvocationInfo, /) -> Iterator[None]:
        self.seen.append(("invocation", info.name, info.number, info.status))
        yield
        self.seen.append(("left", info.status))

    @contextlib.contextmanager
    def attempt(self, info: AttemptInfo, /) -> Iterator[None]:
        token = SPAN.set(f"{info.operation_id} {info.attempt}")
        try:
            yield
        except ConnectionError:
            self.seen.append(("failed", info.name, info.attempt))
            raise
        finally:
            SPAN.reset(token)

    def recorded(self, execution_id: str, event: HistoryEvent, /) -> None:
        self.seen.append((execution_id, event.id, event.status))


class Broken(Hooks):
    """Fails wherever it can."""

    def __init__(self, where: str) -> None:
        self.where = where

    @contextlib.contextmanager
    def invocation(self, info: InvocationInfo, /) -> Iterator[None]:
        if self.where == "enter":
            raise ValueError("enter")
        yield
        if self.where == "exit":
            raise ValueError("exit")

    attempt = invocation  # type: ignore[assignment]

    def recorded(self, execution_id: str, event: HistoryEvent, /) -> None:
        if self.where == "recorded":
            raise ValueError("recorded")


def spans() -> str:
    if current_step().attempt == 1:
        raise ConnectionError("once")
    return SPAN.get()


def handlers(*hooks: Hooks) -> list[Any]:
    retried = step(spans, retry=RetryPolicy(initial_delay=60, jitter="none"))

    @durable(name="watched", hooks=hooks)
    def sync(event: Any, ctx: DurableContext) -> Any:
        return ctx.step(retried)

    @durable(name="watched", hooks=hooks)
    async def asyn(event: Any, ctx: AsyncDurableContext) -> Any:
        return await ctx.step(retried)

    return [sync, asyn]


@pytest.mark.parametrize("front", [0, 1])
def test_what_hooks_see(front: int) -> None:
    watching = Watching()
    assert LocalRunner(handlers(watching)[front]).run(None, "x").result == "spans 2", "the span is there in the body"
    assert watching.seen == [
        ("invocation", "watched", 1, "RUNNING"),
        ("failed", "spans", 1),
        ("x", "spans", "FAILED"),
        ("left", "SUSPENDED"),
        ("invocation", "watched", 2, "RUNNING"),
        ("x", "spans", "SUCCEEDED"),
        ("left", "SUCCEEDED"),
    ]


@pytest.mark.parametrize("front", [0, 1])
@pytest.mark.parametrize("where", ["enter", "exit", "recorded"])
def test_a_failing_hook_harms_nobody(front: int, where: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "durable_fn"):
        execution = LocalRunner(handlers(Broken(where))[front]).run(None)
    assert execution.status == "SUCCEEDED"
    assert "a hook failed" in caplog.text


def test_configured_hooks(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    from durable_fn import wiring

    for name, value in (("_configured", None), ("_used", False), ("_hooks", ())):
        monkeypatch.setattr(wiring, name, value)
    monkeypatch.setenv("DURABLE_FN_BACKEND", f"sqlite:///{tmp_path}/journal.db")
    watching = Watching()
    configure(hooks=(watching,))

    @durable
    def handler(event: Any, ctx: DurableContext) -> int:
        return ctx.step(lambda: 1)

    handler({}, None)
    assert watching.seen[0][0] == "invocation"
    with pytest.raises(RuntimeError, match="before the first invocation"):
        configure(hooks=())
    monkeypatch.setattr(wiring, "_used", False)
    with pytest.raises(TypeError, match="subclass Hooks"):
        configure(hooks=(5,))  # type: ignore[arg-type]
