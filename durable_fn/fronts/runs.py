"""A run of an async handler on its thread's loop: from its first task until nothing of it is left."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from ..core.current import current_scope
from .driver import Driver
from .loop import DurableLoop
from .session import Session

Handler = Callable[[Driver], Any]

_loops = threading.local()


def execute(session: Session, handler: Handler) -> Any:
    """The handler's return value, or what it raised. Also from a thread that already runs a loop of its own."""
    if not _in_loop():
        return _run(session, handler)
    with ThreadPoolExecutor(1, "durable_fn") as pool:  # a loop cannot run inside another one
        return pool.submit(contextvars.copy_context().run, _run, session, handler).result()


def _in_loop() -> bool:
    """Apart, so that the handler does not run inside an `except`: its own errors would show that one as their context."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def own_loop() -> DurableLoop:
    """This thread's."""
    loop: DurableLoop | None = getattr(_loops, "loop", None)
    if loop is None or loop.is_closed():
        loop = _loops.loop = DurableLoop()
    return loop


def _run(session: Session, handler: Handler) -> Any:
    loop = own_loop()
    driver = Driver(session, loop)
    turn = session.turn
    inside = contextvars.copy_context()
    inside.run(current_scope.set, turn.root)
    loop.enter(driver.director)
    driver.order.settle()
    try:
        main = driver.tasks.start(handler(driver), inside, turn.branch)
        driver.director.give_up = partial(driver.tasks.cancel, turn.branch)
        value = loop.run_until_complete(main)
    except Exception:
        if turn.closed is None:
            driver.forgotten.failed(loop)
        raise
    else:
        if turn.closed is None:
            driver.forgotten.check(loop)
        return value
    finally:
        _close(loop, driver)
        loop.leave()


def _close(loop: DurableLoop, driver: Driver) -> None:
    """Cancels what is left of a turn, so that `async with` blocks of the handler clean up; whoever still waits for
    something then is dropped."""
    if not asyncio.all_tasks(loop):
        return
    turn, reason = driver.turn, driver.turn.closed
    if reason is None:
        turn.closed = RuntimeError(
            f"a task of execution {turn.header.id!r} made a durable call after the handler returned; await the task, or "
            "use asyncio.TaskGroup"
        )
        driver.order.ended = True
        if not driver.session.store.local:
            _rest(loop, driver)
    driver.director.closing = True
    try:
        _cancel_tasks(loop)
    finally:
        turn.closed = reason
        driver.order.ended = False


def _rest(loop: DurableLoop, driver: Driver) -> None:
    """What ends this turn meanwhile is found out by the next request."""
    with contextlib.suppress(BaseException):
        loop.run_until_complete(loop.create_task(driver.writer.rest(), context=contextvars.Context()))


def _cancel_tasks(loop: DurableLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    if not tasks:
        return
    for task in tasks:
        task.cancel()
    try:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    except BaseException:
        for task in asyncio.all_tasks(loop):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
