"""What the handler was given once, and cannot be read now, is never raised in it: the execution is held, and a mended deploy goes
on where it stood. No body runs again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, create_model

from durable_fn import AsyncDurableContext, DurableContext, DurableFunction, durable, step
from durable_fn.testing import LocalRunner
from durable_fn.values import adapters as values
from tests.values.handlers import BODIES, FRONTS, SEEN, returning


class Wanted(BaseModel):
    n: int


@pytest.fixture(params=FRONTS)
def front(request: pytest.FixtureRequest) -> str:
    SEEN.clear()
    BODIES.clear()
    return str(request.param)


def _body() -> Any:
    BODIES.append("step")
    return Wanted(n=1)


def _plain_branch(ctx: Any) -> Any:
    return Wanted(n=1)


async def _native_branch(ctx: Any) -> Any:
    return Wanted(n=1)


def _annotated(fn: Any, kind: Any) -> Any:
    fn.__annotations__["return"] = kind
    return fn


Operation = Callable[[Any, Any, Any], Any]
"""Of the context, the annotation and a branch."""
OPERATIONS: dict[str, Operation] = {
    "step": lambda ctx, kind, branch: ctx.step(step(_body, result_type=kind)),
    "child": lambda ctx, kind, branch: ctx.child(branch),
    "parallel": lambda ctx, kind, branch: ctx.parallel([branch]),
    "race": lambda ctx, kind, branch: ctx.race([branch]),
    "signal": lambda ctx, kind, branch: ctx.wait_for_signal("go", result_type=kind),
    "callback": lambda ctx, kind, branch: ctx.wait_for_callback(BODIES.append, name="go", result_type=kind),
    "call": lambda ctx, kind, branch: ctx.call("target", {}, id="t", result_type=kind),
}


@durable(name="target")
def target(event: Any, ctx: DurableContext) -> dict[str, int]:
    return {"n": 1}


def handler(front: str, operation: Operation, kind: Any) -> DurableFunction[Any, Any]:
    @durable(name="holds")
    def plain(event: Any, ctx: DurableContext) -> None:
        try:
            SEEN.append(operation(ctx, kind, _annotated(_plain_branch, kind)) is not None)
        except Exception as error:
            SEEN.append(error)
        ctx.sleep(3600)

    @durable(name="holds")
    async def native(event: Any, ctx: AsyncDurableContext) -> None:
        try:
            SEEN.append(await operation(ctx, kind, _annotated(_native_branch, kind)) is not None)
        except Exception as error:
            SEEN.append(error)
        await ctx.sleep(3600)

    return plain if front == "def" else native


class Broken:
    """No JSON form: the annotation cannot work at all now."""


def _given(runner: LocalRunner[Any, Any], name: str) -> None:
    execution = runner.start(None, "x")
    runner.run_until_idle()
    if name == "signal":
        runner.signal("x", "go", {"n": 1})
    if name == "callback":
        runner.complete_callback(execution.callback_token("go"), {"n": 1})
    runner.run_until_idle()


@pytest.mark.parametrize("later", [list[int], Broken, "Unknown"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_annotation_that_it_no_longer_fits(front: str, name: str, later: Any) -> None:
    with LocalRunner(handler(front, OPERATIONS[name], Wanted), target) as runner:
        _given(runner, name)
        assert SEEN == [True]
        runner._functions["holds"] = handler(front, OPERATIONS[name], later)
        runner.advance(3700)
        info = runner.client.describe("x")
        assert info.status == "SUSPENDED"
        assert info.error is not None
        assert "held" in info.error["message"]
        assert "Way out" in info.error["message"]
        assert "terminate it. It is tried again by itself, and" in (info.held or {})["message"]
        assert SEEN == [True], "the handler was told nothing"
        runner._functions["holds"] = handler(front, OPERATIONS[name], Wanted)
        runner.advance(7200)
        assert runner.client.describe("x").status == "SUCCEEDED"
    assert [True, True, True][: len(SEEN)] == SEEN
    assert len(BODIES) <= 1


def test_the_event_as_it_was_validated(front: str) -> None:
    kinds: list[Any] = [Wanted, list[int], Wanted]

    def made(kind: Any) -> DurableFunction[Any, Any]:
        def plain(event: Any, ctx: DurableContext) -> None:
            SEEN.append(event)
            ctx.sleep(3600)

        async def native(event: Any, ctx: AsyncDurableContext) -> None:
            SEEN.append(event)
            await ctx.sleep(3600)

        return durable(name="holds")(_with_event(plain if front == "def" else native, kind))

    with LocalRunner(made(kinds[0])) as runner:
        runner.start({"n": 1}, "x")
        runner.run_until_idle()
        runner._functions["holds"] = made(kinds[1])
        runner.advance(3700)
        assert "held" in str(runner.client.describe("x").error)
        runner._functions["holds"] = made(kinds[2])
        runner.advance(7200)
        assert runner.client.describe("x").status == "SUCCEEDED"
    assert [Wanted(n=1)] * len(SEEN) == SEEN


def _with_event(fn: Any, kind: Any) -> Any:
    fn.__annotations__["event"] = kind
    return fn


_One: Any = create_model("Item", __module__="one", n=int)
_Two: Any = create_model("Item", __module__="two", n=int)


def test_members_of_one_name_in_another_order(front: str) -> None:
    """Which one it was is told by the whole name, wherever it stands."""
    made = [returning(front, lambda: [_Two(n=1), _One(n=2)], list[kind]) for kind in (_One | _Two, _Two | _One)]
    values._adapters.clear()
    with LocalRunner(made[0]) as runner:
        runner.start(None, "x")
        runner.run_until_idle()
        values._adapters.clear()  # as in another process
        runner._functions["returns"] = made[1]
        runner.advance(200)
        assert runner.client.describe("x").status == "SUCCEEDED"
    assert [[type(item) for item in seen] for seen in SEEN] == [[_Two, _One]] * len(SEEN)
    assert len(SEEN) > 1
