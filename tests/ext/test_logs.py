"""Powertools Logger: keys where they belong, each line once, nothing left behind."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from aws_lambda_powertools import Logger

from durable_fn import AsyncDurableContext, DurableContext, durable
from durable_fn.ext.powertools import PowertoolsHooks
from durable_fn.testing import LocalRunner, crash_everywhere
from tests.environments import World
from tests.ext.orders import NAMES, handlers


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def logger(stream: io.StringIO, request: pytest.FixtureRequest) -> Iterator[Logger]:
    made = Logger(service=request.node.name, stream=stream)
    yield made
    for handler in list(made.handlers):
        made.removeHandler(handler)
    logging.Logger.manager.loggerDict.pop(request.node.name, None)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def keys(line: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(line.get(key) for key in ("message", "invocation", "operation_id", "attempt"))


@pytest.mark.parametrize("front", NAMES)
def test_keys_and_silence_on_replay(front: str, world: World, logger: Logger, stream: io.StringIO) -> None:
    function = handlers([PowertoolsHooks(logger=logger)], logger)[front]
    world.run(function, None, "order-1")
    found = lines(stream)
    assert all((line["execution_id"], line["durable_function"]) == ("order-1", "order") for line in found)
    assert sorted(map(str, map(keys, found))) == sorted(
        map(
            str,
            [
                ("begins", 1, None, None),
                ("no stock", 1, "reserve", 1),
                ("reserved", 2, "reserve", 2),
                ("in stock", 2, None, None),
                ("packing small", 3, "boxes/small/pack", 1),
                ("packing large", 4, "boxes/large/pack", 1),
                ("ends", 4, None, None),
            ],
        )
    )


@pytest.mark.parametrize("front", NAMES)
def test_without_the_hook_lines_repeat(front: str, logger: Logger, stream: io.StringIO) -> None:
    """What the test above is worth."""
    LocalRunner(handlers([], logger)[front]).run(None)
    assert Counter(line["message"] for line in lines(stream))["begins"] == 4


@pytest.mark.parametrize("front", NAMES)
def test_every_operation_in_an_invocation_of_its_own(front: str, logger: Logger, stream: io.StringIO) -> None:
    runner = LocalRunner(handlers([PowertoolsHooks(logger=logger)], logger)[front], always_suspend=True)
    assert runner.run(None).status == "SUCCEEDED"
    assert set(Counter(line["message"] for line in lines(stream)).values()) == {1}


@pytest.mark.parametrize("front", NAMES)
def test_nothing_stays_after_a_failure(front: str, logger: Logger, stream: io.StringIO) -> None:
    function = handlers([PowertoolsHooks(logger=logger)], logger, fail=True)[front]
    assert LocalRunner(function).run(None).status == "FAILED"
    logger.info("after")
    line = lines(stream)[-1]
    assert line["message"] == "after"
    assert not {"execution_id", "durable_function", "invocation", "operation_id", "attempt"} & set(line)


def test_nothing_stays_after_a_death(logger: Logger, stream: io.StringIO) -> None:
    """The process goes on here, as a warm one would that somebody caught."""
    function = handlers([PowertoolsHooks(logger=logger)], logger)["sync"]

    def after(execution: Any) -> None:
        stream.truncate(0)
        stream.seek(0)
        logger.info("after")
        assert "execution_id" not in lines(stream)[-1]

    report = crash_everywhere(function, None, check=after)
    assert report.ok, report
    assert report.crash_points > 20


def test_the_callers_own_fields_and_other_loggers(logger: Logger, stream: io.StringIO) -> None:
    child = Logger(service=logger.service, child=True)

    @durable(hooks=[PowertoolsHooks(logger=logger)])
    def handler(event: Any, ctx: DurableContext) -> None:
        logger.info("mine", extra={"invocation": "my own"})
        child.info("of another module")
        logging.getLogger("tests.elsewhere").info("untouched")
        logger.clear_state()
        logger.info("still there")
        ctx.sleep(60)

    LocalRunner(handler).run(None, "x")
    found = {line["message"]: line for line in lines(stream)}
    assert found["mine"]["invocation"] == "my own"
    assert found["of another module"]["execution_id"] == "x"
    assert found["still there"]["execution_id"] == "x"
    assert len(lines(stream)) == 3


def test_branches_on_threads_do_not_mix_their_keys(logger: Logger, stream: io.StringIO) -> None:
    barrier = threading.Barrier(4)

    def work(number: int) -> int:
        barrier.wait(20)  # all four are in their bodies
        logger.info(f"n{number}")
        barrier.wait(20)
        return number

    @durable(hooks=[PowertoolsHooks(logger=logger)])
    def handler(event: Any, ctx: DurableContext) -> None:
        ctx.map(lambda ctx, n: ctx.step(work, n), range(4), name="m", item_name=str).results

    LocalRunner(handler).run(None)
    assert {(line["message"], line["operation_id"]) for line in lines(stream)} == {
        (f"n{n}", f"m/{n}/work") for n in range(4)
    }


def test_tasks_do_not_mix_their_keys(logger: Logger, stream: io.StringIO) -> None:
    import asyncio

    here = 0

    async def work(number: int) -> int:
        nonlocal here
        here += 1
        while here < 4:  # all four are in their bodies
            await asyncio.sleep(0)
        logger.info(f"n{number}")
        return number

    @durable(hooks=[PowertoolsHooks(logger=logger)])
    async def handler(event: Any, ctx: AsyncDurableContext) -> None:
        await asyncio.gather(*(ctx.step(work, n) for n in range(4)))
        logger.info("after")

    LocalRunner(handler).run(None)
    found = {line["message"]: line.get("operation_id") for line in lines(stream)}
    assert found == {"n0": "work", "n1": "work#2", "n2": "work#3", "n3": "work#4", "after": None}


def test_a_standard_logger_gets_the_fields(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("tests.standard")
    function = handlers([PowertoolsHooks(logger=log)], log)["sync"]
    with caplog.at_level(logging.INFO, "tests.standard"):
        LocalRunner(function).run(None, "x")
    assert Counter(r.message for r in caplog.records if r.name == "tests.standard")["begins"] == 1
    assert caplog.records[-1].execution_id == "x"  # type: ignore[attr-defined]


def test_a_logger_made_when_first_needed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "made-when-needed")
    hooks = PowertoolsHooks(logger=True)

    @durable(hooks=[hooks])
    def handler(event: Any, ctx: DurableContext) -> None:
        Logger().info("hello")

    LocalRunner(handler).run(None, "x")
    assert json.loads(capsys.readouterr().out)["execution_id"] == "x"


def test_what_is_no_logger() -> None:
    with pytest.raises(TypeError, match="must be a Powertools Logger, not str"):
        PowertoolsHooks(logger="log")  # type: ignore[arg-type]
