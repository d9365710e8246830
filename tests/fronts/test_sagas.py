"""Compensations that go wrong: the others run all the same, and all that happened is told; in both fronts."""

from __future__ import annotations

from typing import Any

import pytest

from durable_fn import AsyncDurableContext, DurableContext, DurableFunction, RetryPolicy, StepError, durable, step
from durable_fn.errors import CompensationError
from tests.fronts.both import failure_of, run

LOG: list[str] = []


class Boom(Exception):
    pass


@step(raises=(Boom,), retry=RetryPolicy(max_attempts=1))
def own_class() -> None:
    raise Boom("own")


def wrong_result() -> None:
    return 5  # type: ignore[return-value]


def wrong_arguments(missing: int) -> None: ...


def first() -> None:
    LOG.append("first")


async def last() -> None:
    LOG.append("last")


def with_saga(*undo: Any) -> list[DurableFunction[Any, Any]]:
    @durable(name="h")
    def sync(event: Any, ctx: DurableContext) -> None:
        with ctx.saga() as saga:
            for fn in undo:
                saga.add_compensation(fn)
            raise ValueError("original")

    @durable(name="h")
    async def asyn(event: Any, ctx: AsyncDurableContext) -> None:
        async with ctx.saga() as saga:
            for fn in undo:
                saga.add_compensation(fn)
            raise ValueError("original")

    return [sync, asyn]


@pytest.mark.parametrize(
    ("odd", "kind"),
    [
        (own_class, f"{__name__}.Boom"),
        (wrong_result, "durable_fn.errors.SerializationError"),
        (step(wrong_arguments, retry=RetryPolicy(max_attempts=1)), "TypeError"),
    ],
)
def test_a_compensation_that_fails_oddly_stops_no_other(odd: Any, kind: str) -> None:
    for function in with_saga(first, odd, own_class):
        LOG.clear()
        execution = run(function)
        error = execution.error
        assert isinstance(error, CompensationError)
        assert LOG == ["first"]
        assert [type(failure) for failure in error.failures] == [StepError, StepError]
        assert [failure.error_type for failure in error.failures] == [f"{__name__}.Boom", kind]
        assert repr(error.__cause__) == "ValueError('original')"
        assert "2 of 3 compensations failed for good, the others ran" in str(error)


def test_an_async_compensation() -> None:
    """In a def handler it is refused where it is registered, and what was registered before is undone."""
    sync, asyn = with_saga(first, last)
    LOG.clear()
    assert failure_of(sync).startswith("TypeError: step 'last' is an async function, but this handler is a plain def")
    assert LOG == ["first"]
    LOG.clear()
    assert failure_of(asyn) == "ValueError: original"
    assert LOG == ["last", "first"]
