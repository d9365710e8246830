"""Annotations that cannot work are told before anything happens; those that can be resolved are, wherever they are written."""

from __future__ import annotations

import abc
import dataclasses
import enum
import re
import typing
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NotRequired, TypeVar

import pytest
import typing_extensions
from pydantic import BaseModel

from durable_fn import AsyncDurableContext, DurableContext, DurableFunction, durable, step
from durable_fn.core.declared import steps_named
from durable_fn.errors import SerializationError
from durable_fn.testing import LocalRunner
from tests.values.handlers import BODIES, FRONTS, SEEN, returning, seen

if TYPE_CHECKING:
    from decimal import Decimal as OnlyForCheckers


class Connection:
    """No JSON form."""


@pytest.fixture(params=FRONTS)
def front(request: pytest.FixtureRequest) -> str:
    SEEN.clear()
    return str(request.param)


@step
def charge() -> int:
    SEEN.append("charged")
    return 1


@step
def connect() -> Connection:
    SEEN.append("connected")
    return Connection()


@step(name="named")
def named() -> OnlyForCheckers:
    SEEN.append("named")
    return Decimal(1)


def _later(ctx: DurableContext) -> None:
    """A function of the same package that the handler calls."""
    ctx.step(connect)


@durable
def names_it(event: Any, ctx: DurableContext) -> None:
    ctx.step(charge)
    ctx.step(connect)


@durable
async def names_it_natively(event: Any, ctx: AsyncDurableContext) -> None:
    await ctx.step(charge)
    await ctx.step(connect)


@durable
def names_what_is_not_resolved(event: Any, ctx: DurableContext) -> None:
    ctx.step(charge)
    ctx.step(named)


@durable
def names_it_in_a_branch(event: Any, ctx: DurableContext) -> None:
    ctx.step(charge)
    ctx.parallel([lambda branch: branch.step(connect)])


@durable
def names_it_elsewhere(event: Any, ctx: DurableContext) -> None:
    ctx.step(charge)
    _later(ctx)


@durable
def takes_it(event: Connection, ctx: DurableContext) -> None:
    ctx.step(charge)


@durable
def takes_what_is_not_resolved(event: OnlyForCheckers, ctx: DurableContext) -> None:
    ctx.step(charge)


@durable
def returns_it(event: Any, ctx: DurableContext) -> Connection:
    ctx.step(charge)
    return Connection()


@durable
def returns_what_is_not_resolved(event: Any, ctx: DurableContext) -> OnlyForCheckers:
    ctx.step(charge)
    return Decimal(1)


BROKEN = [
    (names_it, "'connect'.*Connection"),
    (names_it_natively, "'connect'.*Connection"),
    (names_what_is_not_resolved, "'named'.*OnlyForCheckers.*cannot be resolved.*TYPE_CHECKING"),
    (names_it_in_a_branch, "'connect'.*Connection"),
    (names_it_elsewhere, "'connect'.*Connection"),
    (takes_it, "takes_it.*Connection"),
    (takes_what_is_not_resolved, "'event'.*OnlyForCheckers.*cannot be resolved"),
    (returns_it, "returns_it.*Connection"),
    (returns_what_is_not_resolved, "OnlyForCheckers.*cannot be resolved"),
]


@pytest.mark.parametrize(("function", "why"), BROKEN, ids=lambda part: getattr(part, "name", None))
def test_before_the_first_step(function: DurableFunction[Any, Any], why: str) -> None:
    SEEN.clear()
    with LocalRunner(function) as runner:
        with pytest.raises(SerializationError, match=why):
            runner.invoke({})
        with pytest.raises(SerializationError, match=why):
            runner.start({})
        assert list(runner.client.list()) == []
    assert SEEN == []


def test_one_that_is_started_by_name_waits_for_a_mended_deploy() -> None:
    SEEN.clear()
    with LocalRunner(names_it) as runner:
        runner.client.start("names_it", {}, id="x")
        runner.run_until_idle()
        assert "connect" in str(runner.client.describe("x").error)
        assert runner.client.describe("x").status == "SUSPENDED"
        assert SEEN == []

        @durable(name="names_it")
        def mended(event: Any, ctx: DurableContext) -> None:
            ctx.step(charge)

        runner._functions["names_it"] = mended
        runner.advance(3600)
        assert runner.client.describe("x").status == "SUCCEEDED"
    assert SEEN == ["charged"]


OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "step": lambda ctx: ctx.step(step(lambda: SEEN.append("ran"), result_type=Connection)),
    "child": lambda ctx: ctx.child(_child),
    "map": lambda ctx: ctx.map(_item, [1]),
    "signal": lambda ctx: ctx.wait_for_signal("s", result_type=Connection),
    "callback": lambda ctx: ctx.wait_for_callback(lambda token: SEEN.append(token), result_type=Connection),
}


def _child(ctx: Any) -> Connection:
    SEEN.append("child")
    return Connection()


def _item(ctx: Any, item: int) -> OnlyForCheckers:
    SEEN.append("item")
    return Decimal(1)


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_what_no_code_names_is_refused_before_its_body(front: str, operation: Any) -> None:
    @durable(name="calls")
    def plain(event: Any, ctx: DurableContext) -> None:
        with pytest.raises(SerializationError, match="annotation"):
            operation(ctx)
        ctx.sleep(60)

    @durable(name="calls")
    async def native(event: Any, ctx: AsyncDurableContext) -> None:
        with pytest.raises(SerializationError, match="annotation"):
            await operation(ctx)
        await ctx.sleep(60)

    with LocalRunner(plain if front == "def" else native) as runner:
        execution = runner.run(None)
        assert execution.status == "SUCCEEDED", execution.error
    assert SEEN == []


# -- names that can be resolved --------------------------------------------------------------------------------------


class Abstract(BaseModel, abc.ABC):
    @abc.abstractmethod
    def act(self) -> None: ...


M = TypeVar("M", bound=BaseModel)
NEVER: list[tuple[Any, str]] = [
    (Abstract, "abstract"),
    (list[Abstract], "abstract"),
    (M, "BaseModel has no fields"),
    (enum.Enum, "no members"),
    (tuple[int, *tuple[str, ...]], "any number of items"),
    (Iterator[int], "once"),
]


@pytest.mark.parametrize(("annotation", "why"), NEVER, ids=lambda part: str(part)[:20])
def test_what_can_never_work_is_refused_before_the_body(front: str, annotation: Any, why: str) -> None:
    found = seen(returning(front, lambda: 1, annotation))
    assert {type(error) for error in found} == {SerializationError}
    assert re.search(why, str(found[0])), found[0]
    assert BODIES == []


def test_a_class_inside_a_function(front: str) -> None:
    class Order(BaseModel):
        sku: str

    @step
    def find() -> list[Order]:
        return [Order(sku="tea")]

    @durable(name="orders")
    def plain(event: Order, ctx: DurableContext) -> Order | None:
        SEEN.append((event, ctx.step(find)))
        ctx.sleep(60)
        return event

    @durable(name="orders")
    async def native(event: Order, ctx: AsyncDurableContext) -> Order | None:
        SEEN.append((event, await ctx.step(find)))
        await ctx.sleep(60)
        return event

    with LocalRunner(plain if front == "def" else native) as runner:
        assert runner.run({"sku": "tea"}).result == Order(sku="tea")
    assert [(Order(sku="tea"), [Order(sku="tea")])] * 2 == SEEN


class Keys(typing.TypedDict):
    n: int
    at: NotRequired[Decimal]


class More(Keys, total=False):
    more: list[Keys]


class Extended(typing_extensions.TypedDict):
    n: int


@pytest.mark.parametrize("kind", [Keys, More, Extended, Keys | None, list[Keys], dict[str, More]])
def test_typed_dicts_of_both_modules(front: str, kind: Any) -> None:
    value: Any = {"n": 1}
    if kind == list[Keys]:
        value = [value]
    if kind == dict[str, More]:
        value = {"a": {"n": 1, "more": [{"n": 2, "at": "1.10"}]}}
    expected = {"a": {"n": 1, "more": [{"n": 2, "at": Decimal("1.10")}]}} if kind == dict[str, More] else value

    def plain(event: Any, ctx: DurableContext) -> Any:
        SEEN.append(event)
        return event

    async def native(event: Any, ctx: AsyncDurableContext) -> Any:
        SEEN.append(event)
        return event

    chosen: Any = plain if front == "def" else native
    chosen.__annotations__.update({"event": kind, "return": kind})
    with LocalRunner(durable(name="keys")(chosen)) as runner:
        assert runner.run(value).result == expected
        with pytest.raises(SerializationError, match="does not fit"):
            runner.start({"n": "x"} if not isinstance(value, list) else [{}])
    assert [expected] == SEEN


@dataclasses.dataclass
class Holds:
    keys: Keys


def test_a_class_of_the_standard_library_that_holds_one(front: str) -> None:
    """pydantic cannot validate it before Python 3.12, which is told; what comes out of a step needs no validation."""
    from tests.values.handlers import returning, seen

    found = seen(returning(front, lambda: Holds({"n": 1}), Holds))
    assert found == [Holds({"n": 1})] * len(found)


def test_which_steps_a_handler_names() -> None:
    assert steps_named(names_it.__wrapped__) == [charge, connect]
    assert set(steps_named(names_it_elsewhere.__wrapped__)) == {charge, connect}
    assert steps_named(takes_it.__wrapped__) == [charge]
