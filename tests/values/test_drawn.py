"""What a default or a validator made of data from outside is made once: nothing follows from it before it is durable, and nothing
that is read is made anew."""

from __future__ import annotations

import dataclasses
import itertools
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, Field, PrivateAttr

from durable_fn import AsyncDurableContext, DurableContext, DurableFunction, durable
from durable_fn.testing import LocalRunner
from tests.values.handlers import BODIES, FRONTS, SEEN, returning


class Order(BaseModel):
    sku: str = ""
    id: uuid.UUID = Field(default_factory=uuid.uuid4)


@pytest.fixture(params=FRONTS)
def front(request: pytest.FixtureRequest) -> str:
    SEEN.clear()
    BODIES.clear()
    return str(request.param)


# -- nothing follows from it before it is durable --------------------------------------------------------------------


def _pay(id: uuid.UUID) -> None:
    """The process dies with it the first time."""
    BODIES.append(id)
    if len(BODIES) == 1:
        raise SystemExit


@durable(name="target")
def target(event: Any, ctx: DurableContext) -> dict[str, str]:
    return {"sku": "tea"}


Source = Callable[[Any], Any]
SOURCES: dict[str, Source] = {
    "signal": lambda ctx: ctx.wait_for_signal("go", result_type=Order),
    "callback": lambda ctx: ctx.wait_for_callback(SEEN.append, name="go", result_type=Order),
    "call": lambda ctx: ctx.call("target", {}, result_type=Order),
}


def _paying(front: str, source: Source) -> DurableFunction[Any, Any]:
    @durable(name="pays")
    def plain(event: Any, ctx: DurableContext) -> None:
        ctx.step(_pay, source(ctx).id)

    @durable(name="pays")
    async def native(event: Any, ctx: AsyncDurableContext) -> None:
        await ctx.step(_pay, (await source(ctx)).id)

    return plain if front == "def" else native


def _starting(front: str) -> DurableFunction[Any, Any]:
    @durable(name="pays")
    def plain(event: Order, ctx: DurableContext) -> None:
        ctx.step(_pay, event.id)

    @durable(name="pays")
    async def native(event: Order, ctx: AsyncDurableContext) -> None:
        await ctx.step(_pay, event.id)

    return plain if front == "def" else native


def _goes_on(runner: LocalRunner[Any, Any]) -> None:
    for _ in range(3):
        try:
            runner.advance(1000)
        except SystemExit:
            continue
    assert runner.client.describe("x").status == "SUCCEEDED"
    assert len(BODIES) == 2
    assert len(set(BODIES)) == 1, "the second attempt was made with what the first one had"


@pytest.mark.parametrize("name", SOURCES)
def test_a_body_dies_with_what_was_drawn(front: str, name: str) -> None:
    with LocalRunner(_paying(front, SOURCES[name]), target) as runner:
        try:
            execution = runner.start(None, "x")
            runner.run_until_idle()
            if name == "signal":
                runner.signal("x", "go", {"sku": "tea"})
            if name == "callback":
                runner.complete_callback(execution.callback_token("go"), {"sku": "tea"})
            runner.run_until_idle()
        except SystemExit:
            pass
        _goes_on(runner)


def test_a_body_dies_with_an_event_that_was_sent_by_name(front: str) -> None:
    with LocalRunner(_starting(front)) as runner:
        runner.client.start("pays", {"sku": "tea"}, id="x")
        _goes_on(runner)


# -- nothing that is read is made anew -------------------------------------------------------------------------------


class Before(BaseModel):
    n: int = 1


class After(Before):
    id: uuid.UUID = Field(default_factory=uuid.uuid4)


class Noted(Before):
    _id: uuid.UUID = PrivateAttr(default_factory=uuid.uuid4)


_numbers = itertools.count()


@dataclasses.dataclass
class Old:
    n: int = 1


@dataclasses.dataclass
class New:
    n: int = 1
    number: int = dataclasses.field(default_factory=lambda: next(_numbers))


class Settled(Before):
    """A default that is always the same is no draw."""

    tags: list[str] = Field(default_factory=list)
    note: str | None = None


def _redeployed(front: str, value: Any, later: Any) -> Any:
    """The execution after the annotation became another one."""
    with LocalRunner(returning(front, lambda: value, type(value))) as runner:
        runner.start(None, "x")
        runner.run_until_idle()
        runner._functions["returns"] = returning(front, lambda: value, later)
        runner.advance(200)
        return runner.client.describe("x")


@pytest.mark.parametrize(("value", "later"), [(Before(), After), (Before(), Noted), (Old(), New)])
def test_a_field_that_came_later_is_not_drawn_in_each_invocation(front: str, value: Any, later: Any) -> None:
    info = _redeployed(front, value, later)
    assert info.status == "SUSPENDED"
    assert "no default that is always the same" in str(info.error)
    assert [value] == SEEN


def test_a_field_that_came_later_with_a_fixed_default(front: str) -> None:
    assert _redeployed(front, Before(), Settled).status == "SUCCEEDED"
    assert SEEN[1:] == [Settled(n=1)] * len(SEEN[1:])


class Sub(Noted):
    more: str = ""


def test_private_attributes_of_a_base(front: str) -> None:
    value = Sub()
    with LocalRunner(returning(front, lambda: value, Noted)) as runner:
        assert runner.run(None).status == "SUCCEEDED"
    assert len(SEEN) > 1
    assert {(type(one), one._id) for one in SEEN} == {(Noted, value._id)}
