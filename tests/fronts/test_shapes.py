"""Every shape: the same result in both fronts, on both journals, with duplicate messages, whatever dies."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from durable_fn import DurableClient
from durable_fn.core.failures import decode
from durable_fn.testing import Execution, LocalRunner, crash_everywhere
from durable_fn.testing.cloud import LocalCloud
from tests.scenarios import EFFECTS
from tests.shapes import SHAPES, TOKENS, Shape

every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
both_fronts = pytest.mark.parametrize("front", ["sync", "asyn"])


@pytest.fixture(autouse=True)
def _fresh() -> None:
    TOKENS.clear()


def check(shape: Shape, client: DurableClient, id: str, error: str | None) -> None:
    info = client.describe(id)
    assert info.status == shape.status, info.error
    if shape.status == "SUCCEEDED":
        assert client.result(id) == shape.result
    else:
        assert error is not None
        assert decode(error).error_type.rpartition(".")[2] == shape.fails
    counts = Counter(EFFECTS)
    assert {name: counts[name] for name in shape.once} == dict.fromkeys(shape.once, 1)


def run_locally(
    shape: Shape, front: str, *, always_suspend: bool = False
) -> tuple[LocalRunner[Any, Any], Execution[Any]]:
    runner = LocalRunner(getattr(shape, front), *shape.others, always_suspend=always_suspend)
    execution = runner.run(shape.event, "x")
    for _ in range(20):
        if execution.status not in ("PENDING", "RUNNING", "SUSPENDED"):
            break
        if shape.outside is not None:
            shape.outside(runner.client, execution.id)
        runner.run_on(execution)
        if shape.outside is None:
            runner.advance(3600)
    return runner, execution


@every_shape
@both_fronts
def test_on_sqlite(shape: Shape, front: str) -> None:
    runner, execution = run_locally(shape, front)
    header = runner.backend.store.get("x")
    assert header is not None
    check(shape, runner.client, execution.id, header.error)


@every_shape
@both_fronts
@pytest.mark.parametrize("copies", [1, 3])
def test_on_aws(shape: Shape, front: str, copies: int) -> None:
    """`copies`: every wake message comes so many times."""
    with LocalCloud() as cloud:
        function = getattr(shape, front)
        for one in (function, *shape.others):
            cloud.attach(one)
        if copies > 1:
            send = cloud.backend.wakeups.send
            cloud.backend.wakeups.send = lambda hint, now: [send(hint, now) for _ in range(copies)]  # type: ignore
        cloud.client.start(function, shape.event, id="x")
        for _ in range(20):
            if not cloud.run("x").live:
                break
            if shape.outside is not None:
                shape.outside(cloud.client, "x")
            else:
                cloud.advance(3600)
        header = cloud.store.get("x")
        assert header is not None
        check(shape, cloud.client, "x", header.error)
        assert not cloud.deaths
        assert cloud.dead_letters(function) == []


@every_shape
@both_fronts
def test_suspending_at_every_operation_changes_nothing(shape: Shape, front: str) -> None:
    ended = []
    for always in (False, True):
        EFFECTS.clear()
        TOKENS.clear()
        runner, execution = run_locally(shape, front, always_suspend=always)
        header = runner.backend.store.get("x")
        assert header is not None
        check(shape, runner.client, execution.id, header.error)
        ended.append(sorted((e.id, e.status) for e in execution.history if e.status != "STARTED"))
        runner.__exit__()
    assert ended[0] == ended[1]


@every_shape
def test_both_fronts_record_the_same(shape: Shape) -> None:
    histories = []
    for front in ("sync", "asyn"):
        runner, execution = run_locally(shape, front)
        rows = [
            (e.id, e.kind, e.status, e.attempt, e.result)
            for e in execution.history
            if e.kind not in ("call", "execution")
        ]
        histories.append(rows if shape.same else sorted(rows, key=repr))
        runner.__exit__()
    assert histories[0] == histories[1]


@every_shape
@both_fronts
def test_the_process_may_die_anywhere(shape: Shape, front: str) -> None:
    def drive(runner: LocalRunner[Any, Any], execution: Execution[Any]) -> None:
        if shape.outside is not None:
            shape.outside(runner.client, execution.id)
        runner.advance(3600)

    def once(execution: Execution[Any]) -> None:
        EFFECTS.clear()
        TOKENS.clear()

    report = crash_everywhere(getattr(shape, front), shape.event, *shape.others, id="x", drive=drive, check=once)
    assert report.ok, report
    assert report.crash_points >= 4
