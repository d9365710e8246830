"""Hooks see what happens, once, and can harm nobody."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import datetime
from typing import Any

import pytest

from durable_fn import AsyncDurableContext, DurableContext, Hooks, RetryPolicy, configure, current_step, durable, step
from durable_fn.hooks import AttemptInfo, Caller, HookChain, InvocationInfo, operation_key
from durable_fn.log.header import Header
from durable_fn.runtime.hooking import invocation_info
from durable_fn.testing import LocalRunner
from durable_fn.types import HistoryEvent
from tests.environments import AwsWorld, World
from tests.intercepted import Bench

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


# -- what an invocation is told ------------------------------------------------------------------------------------


class Noting(Hooks):
    """Keeps each InvocationInfo, and what its live answers were on exit."""

    def __init__(self) -> None:
        self.infos: list[InvocationInfo] = []
        self.left: list[tuple[Any, ...]] = []
        self.errors: list[BaseException | None] = []
        self.events: list[HistoryEvent] = []

    @contextlib.contextmanager
    def invocation(self, info: InvocationInfo, /) -> Iterator[None]:
        self.infos.append(info)
        assert (info.is_replaying, info.replayed_steps, info.suspended_at) == (False, 0, None)
        try:
            yield
        except BaseException as error:
            self.errors.append(error)
            raise
        else:
            self.errors.append(None)
        finally:
            self.left.append((info.status, info.replayed_steps, info.suspended_at))

    def recorded(self, execution_id: str, event: HistoryEvent, /) -> None:
        self.events.append(event)


def seconds(moment: datetime | None, start: datetime) -> float | None:
    return None if moment is None else (moment - start).total_seconds()


def noted_handlers(noting: Hooks, replaying: list[bool]) -> list[Any]:
    """A step, an hour, a step; and each time whether the handler is told that it replays."""

    def look() -> None:
        replaying.append(noting.infos[-1].is_replaying)  # type: ignore[attr-defined]

    @durable(name="noted", hooks=[noting])
    def sync(event: Any, ctx: DurableContext) -> int:
        look()
        ctx.step(int)
        ctx.sleep(3600)
        look()
        return ctx.step(int)

    @durable(name="noted", hooks=[noting])
    async def asyn(event: Any, ctx: AsyncDurableContext) -> int:
        look()
        await ctx.step(int)
        await ctx.sleep(3600)
        look()
        return await ctx.step(int)

    return [sync, asyn]


@pytest.mark.parametrize("front", [0, 1])
def test_what_an_invocation_is_told(front: int, world: World) -> None:
    noting, replaying = Noting(), []
    world.run(noted_handlers(noting, replaying)[front], None, "x")
    first, second = noting.infos
    start = first.started_at
    assert second.started_at == start
    assert start.tzinfo is not None
    assert (first.generation, first.caller, second.generation) == (1, None, 1)
    assert (seconds(first.due_at, start), seconds(first.began_at, start)) == (0, 0)
    assert seconds(second.due_at, start) == 3600
    lag = seconds(second.began_at, start)
    assert lag is not None
    assert 3600 <= lag <= 3603
    assert (first.finished_at, second.finished_at) == (None, second.began_at)
    assert [(status, steps, seconds(at, start)) for status, steps, at in noting.left] == [
        ("SUSPENDED", 0, None),
        ("SUCCEEDED", 1, 0),
    ]
    assert replaying == [False, True, False]
    assert noting.errors == [None, None]


@pytest.mark.parametrize("front", [0, 1])
def test_a_direct_start_waited_for_nothing(front: int) -> None:
    noting: Noting = Noting()
    runner = LocalRunner(noted_handlers(noting, [])[front])
    runner.invoke({})
    assert noting.infos[0].due_at is None
    assert noting.infos[0].request_id


class Death(BaseException): ...


def test_after_a_death_nothing_was_suspended() -> None:
    noting = Noting()

    @durable(hooks=[noting])
    def handler(event: Any, ctx: DurableContext) -> int:
        ctx.step(int)
        if len(noting.infos) == 1:
            raise Death
        return 1

    runner = LocalRunner(handler)
    runner.start(None, "x")
    with pytest.raises(Death):
        runner.run_until_idle()
    runner.advance(3600)
    assert [left[2] for left in noting.left] == [None, None]
    assert [left[0] for left in noting.left] == ["RUNNING", "SUCCEEDED"]
    assert isinstance(noting.errors[0], Death)


def test_the_error_that_ended_it() -> None:
    noting = Noting()

    @durable(hooks=[noting])
    def handler(event: Any, ctx: DurableContext) -> int:
        raise ValueError("no")

    LocalRunner(handler).run(None)
    assert str(noting.infos[0].error) == "no"
    assert noting.infos[0].status == "FAILED"
    assert noting.errors == [None], "the hook sees the outcome, not the exception"


@pytest.mark.parametrize("front", [0, 1])
def test_who_calls(front: int, world: World) -> None:
    noting = Noting()

    @durable(name="called", hooks=[noting])
    def called(event: Any, ctx: DurableContext) -> int:
        return 1

    @durable(name="caller")
    def sync(event: Any, ctx: DurableContext) -> int:
        return ctx.call(called, None, name="phone")

    @durable(name="caller")
    async def asyn(event: Any, ctx: AsyncDurableContext) -> int:
        return await ctx.call(called, None, name="phone")

    function: Any = [sync, asyn][front]
    if isinstance(world, AwsWorld):
        world.cloud.attach(called)
        world.run(function, None, "c")
        started = world.client.describe("c").started_at
    else:
        runner = LocalRunner(function, called)
        started = runner.now()
        runner.run(None, "c")
    (info,) = noting.infos
    assert info.caller == Caller("c", "caller", 1, operation_key("phone"), started)


def test_a_caller_that_an_older_version_ran() -> None:
    header = Header(
        "x", "f", "run", "secret", "RUNNING", 0, 0, "", parent='{"id":"c","run":"r","gen":2,"fn":"g","key":"call/2/ab"}'
    )
    assert invocation_info(header, 0, "r").caller == Caller("c", "g", 2, "ab", None)


def test_when_waits_began(world: World) -> None:
    noting = Noting()

    @durable(hooks=[noting])
    def handler(event: Any, ctx: DurableContext) -> int:
        ctx.sleep(100, name="long")
        ctx.sleep(0.5, name="short")
        ctx.sleep(100, name="last")
        return 1

    world.run(handler, None, "x")
    start = noting.infos[0].started_at
    told = {e.id: e for e in noting.events if e.status == "SUCCEEDED"}
    assert set(told) == {"long", "short", "last"}, "the last is not written, but over all the same"
    assert seconds(told["long"].began, start) == 0
    assert told["short"].began == told["long"].at
    assert all(event.began is not None for event in world.client.history("x") if event.kind == "sleep")


def test_a_handler_under_a_running_loop_sees_its_hooks() -> None:
    """The turn runs on a thread of its own then; the span goes along."""

    class Spanning(Hooks):
        @contextlib.contextmanager
        def invocation(self, info: InvocationInfo, /) -> Iterator[None]:
            token = SPAN.set("invocation")
            try:
                yield
            finally:
                SPAN.reset(token)

    @durable(hooks=[Spanning()])
    async def handler(event: Any, ctx: AsyncDurableContext) -> str:
        return SPAN.get()

    runner = LocalRunner(handler)

    async def main() -> str:
        return runner.run(None).result

    assert asyncio.run(main()) == "invocation"


def test_an_async_handlers_error_has_no_foreign_context() -> None:
    @durable
    async def handler(event: Any, ctx: AsyncDurableContext) -> None:
        raise ValueError("mine")

    error = LocalRunner(handler).run(None).error
    assert error is not None
    assert error.__context__ is None


@pytest.mark.parametrize("where", ["enter", "exit", "recorded"])
def test_a_chain_goes_on_without_the_one_that_fails(where: str, caplog: pytest.LogCaptureFixture) -> None:
    before, after = Watching(), Watching()
    chain = HookChain(before, Broken(where), after)
    assert LocalRunner(handlers(chain)[0]).run(None).status == "SUCCEEDED"
    assert before.seen == after.seen
    assert len(before.seen) == 7
    assert "a hook failed" in caplog.text


@pytest.mark.parametrize("front", [0, 1])
def test_an_error_that_is_being_handled_around_it_is_not_the_hooks(front: int) -> None:
    noting = Noting()
    runner = LocalRunner(noted_handlers(noting, [])[front])
    try:
        raise KeyError("of the caller")
    except KeyError:
        runner.run(None)
    assert noting.errors == [None, None]


def test_an_end_is_told_to_who_brought_it() -> None:
    """A stale owner finds the execution finished by its successor."""
    noting = Noting()
    stale = [True]

    def body() -> None:
        if stale:
            stale.clear()
            bench.clock.advance_to(bench.clock.now() + 3_600_000)
            bench.resume()

    @durable(hooks=[noting])
    def handler(event: Any, ctx: DurableContext) -> None:
        ctx.step(body)

    bench = Bench(handler)
    bench.start()
    bench.resume()
    first, second = noting.infos
    assert (first.status, second.status) == ("SUCCEEDED", "SUCCEEDED")
    assert first.finished_at is None
    assert second.finished_at is not None
