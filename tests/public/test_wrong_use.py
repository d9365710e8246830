"""Test tools that are used in a wrong way say so at once, and in words."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from durable_fn import AsyncDurableContext, DurableContext, durable
from durable_fn.errors import ExecutionNotFound
from durable_fn.hooks import Hooks
from durable_fn.testing import DurableRunner, FaultyBackend, LocalRunner, cloud, crash_everywhere, replay, runner
from durable_fn.testing.cloud import LocalCloud


def work(*args: object) -> int:
    return 1


@durable(name="naps")
def naps(event: Any, ctx: DurableContext) -> Any:
    ctx.step(work)
    ctx.sleep(100)
    return event


@durable(name="naps")
async def naps_async(event: Any, ctx: AsyncDurableContext) -> Any:
    await ctx.step(work)
    await ctx.sleep(100)
    return event


fronts = pytest.mark.parametrize("handler", [naps, naps_async])


def bare(event: Any, ctx: Any) -> None: ...


def through_the_fixture(handler: Any) -> None:
    LocalRunner(naps, handler)


def deployed(handler: Any) -> None:
    with LocalCloud() as local:
        local.deploy(handler)


def attached(handler: Any) -> None:
    with LocalCloud() as local:
        local.attach(handler)


TOOLS: list[Callable[[Any], object]] = [
    LocalRunner,
    through_the_fixture,
    LocalCloud,
    deployed,
    attached,
    lambda handler: crash_everywhere(handler, None),
    lambda handler: replay(handler, []),
]


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("handler", [bare, [naps]])
def test_a_handler_that_is_not_durable_is_named(tool: Callable[[Any], object], handler: Any) -> None:
    with pytest.raises(TypeError, match=r"takes a function decorated with @durable, not (function 'bare'|list)"):
        tool(handler)


def test_the_fixture_says_it_too(durable_runner: DurableRunner) -> None:
    with pytest.raises(TypeError, match="not function 'bare'"):
        durable_runner(bare)  # type: ignore[arg-type]


@pytest.mark.parametrize("tool", [LocalRunner, LocalCloud])
def test_two_of_one_name_are_refused(tool: Any) -> None:
    with pytest.raises(ValueError, match="same name"):
        tool(naps, naps_async)


@pytest.mark.parametrize("tool", [LocalRunner, LocalCloud])
def test_the_clock_begins_at_a_datetime(tool: Any) -> None:
    with pytest.raises(TypeError, match="now must be a datetime, not int"):
        tool(naps, now=0)


async def awaited(*args: object) -> None: ...


@pytest.mark.parametrize("name", ["drive", "check", "setup"])
@pytest.mark.parametrize("given", [awaited, 5])
def test_what_is_never_awaited_is_refused(name: str, given: Any) -> None:
    with pytest.raises(TypeError, match=f"{name} must be a function that is called, not awaited"):
        crash_everywhere(naps, None, **{name: given})


@fronts
def test_a_closed_runner_says_so(handler: Any) -> None:
    with LocalRunner(handler) as local:
        execution = local.run(1)
    looks: list[Callable[[], object]] = [
        lambda: execution.result,
        lambda: execution.history,
        lambda: local.run(2),
        lambda: local.advance(1),
    ]
    for look in looks:
        with pytest.raises(RuntimeError, match=r"closed.*inside of its `with` block"):
            look()
    with local:
        pass  # the fixture closes what a test has closed before


@fronts
def test_a_cloud_is_there_inside_its_with_block(handler: Any) -> None:
    local = LocalCloud(handler)
    outside: list[Callable[[], object]] = [
        lambda: local.start(handler, 1),
        lambda: local.run("a"),
        lambda: local.advance(1),
        lambda: local.invoke(handler, 1),
        lambda: local.attach(handler),
    ]
    for use in outside:
        with pytest.raises(RuntimeError, match="inside of its `with` block only"):
            use()
    with local:
        execution = local.start(handler, 1)
        local.run_on(execution)
        assert execution.result == 1
    with pytest.raises(RuntimeError, match="inside of its `with` block only"):
        print(execution.result)
    with pytest.raises(RuntimeError, match="entered once"), local:
        pass


def test_one_cloud_at_a_time() -> None:
    with LocalCloud(naps) as first:
        with pytest.raises(RuntimeError, match="another LocalCloud is open"), LocalCloud(naps):
            pass
        execution = first.start(naps, 1)
        first.run_on(execution)
        assert execution.result == 1
    with LocalCloud(naps) as second:
        assert second.start(naps, 2).status == "PENDING"


def test_an_execution_that_is_not_there_is_named() -> None:
    with LocalRunner(naps) as one, LocalRunner(naps) as other:
        execution = one.start(1, "mine")
        with pytest.raises(ExecutionNotFound, match="'mine'"):
            other.run_on(execution)
        one.run_on(execution)
        one.advance(400 * 86_400)
        with pytest.raises(ExecutionNotFound, match="retention is over"):
            execution.callback_token("x")
    with LocalCloud(naps) as local:
        with pytest.raises(ExecutionNotFound, match="'nope'"):
            local.run("nope")
        with pytest.raises(ValueError, match="must be a str, not Execution"):
            local.run(local.start(naps, 1))  # type: ignore[arg-type]


def renews(event: int, ctx: DurableContext) -> None:
    ctx.continue_as_new(event + 1)


async def renews_async(event: int, ctx: AsyncDurableContext) -> None:
    await ctx.continue_as_new(event + 1)


@pytest.mark.parametrize("shape", [renews, renews_async])
def test_who_loops_at_one_time_is_named(monkeypatch: pytest.MonkeyPatch, shape: Any) -> None:
    monkeypatch.setattr(runner, "_MOST_TURNS", 30)
    monkeypatch.setattr(cloud, "_MOST_ROUNDS", 30)
    handler = durable(name="renews")(shape)
    told = r"execution 'r-1' of 'renews' is still due after 30 rounds at the same time"
    with LocalRunner(handler) as local, pytest.raises(RuntimeError, match=told):
        local.run(1, "r-1")
    with LocalCloud(handler) as on_aws, pytest.raises(RuntimeError, match=told):
        on_aws.run_on(on_aws.start(handler, 1, "r-1"))


def changed(rows: Iterable[dict[str, Any]], row: int, **fields: Any) -> list[dict[str, Any]]:
    return [{**before, **fields} if number == row else before for number, before in enumerate(rows)]


@fronts
def test_rows_that_are_no_history_are_refused(handler: Any) -> None:
    with LocalRunner(handler) as local:
        rows = [event.to_json() for event in local.run(1).history]
    assert replay(handler, rows) == 1
    nameless = [{key: value for key, value in rows[0].items() if key != "id"}, *rows[1:]]
    for wrong in (changed(rows, 1, entry="garbage"), changed(rows, 0, at=None), changed(rows, 0, at="then"), nameless):
        with pytest.raises(ValueError, match="this is no history"):
            replay(handler, wrong)


class Watching(Hooks):
    """A hook."""


def test_a_faulty_backend_keeps_the_rest_of_it() -> None:
    with LocalRunner(naps) as local:
        hook = Watching()
        local.backend.hooks, local.backend.seed = (hook,), "seed"
        faulty = FaultyBackend(local.backend, lost_reply=1.0)
        assert (faulty.hooks, faulty.seed) == ((hook,), "seed")
        assert faulty.store.fits("no request, so no reply is lost")
        with pytest.raises(ValueError, match=r"throttled is a chance from 0.0 to 1.0, got 15"):
            FaultyBackend(local.backend, throttled=15)
