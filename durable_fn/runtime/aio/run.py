"""One run of an async handler on its thread's loop, from its first task until all its tasks have ended."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..session import Session
from .loop import DurableLoop, HandlerTask
from .places import waiting_places
from .pump import Pump
from .stuck import MOST_ROUNDS

Handler = Callable[[Pump], Any]

_log = logging.getLogger("durable_fn")

_loops = threading.local()


def execute(session: Session, handler: Handler) -> Any:
    """Returns or raises what the handler does. Works in a thread that already runs a loop, too."""
    if not _in_loop():
        return _run(session, handler)
    with ThreadPoolExecutor(1, "durable_fn") as pool:  # a loop cannot run inside another one
        return pool.submit(contextvars.copy_context().run, _run, session, handler).result()


def _in_loop() -> bool:
    """A function of its own, so that the handler does not run inside an `except`, which would become the context of its
    errors."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def own_loop() -> DurableLoop:
    """This thread's loop."""
    loop: DurableLoop | None = getattr(_loops, "loop", None)
    if loop is None or loop.is_closed():
        loop = _loops.loop = DurableLoop()
    return loop


def _run(session: Session, handler: Handler) -> Any:
    loop = own_loop()
    pump = Pump(session, loop)
    turn = session.turn
    try:
        value = pump.run(handler(pump))
    except Exception:
        if turn.closed is None:
            pump.unawaited.failed(loop)
        raise
    else:
        if turn.closed is None:
            pump.unawaited.check(loop)
        return value
    finally:
        _close(loop, pump)
        pump.leave()
        loop.pump = None


def _close(loop: DurableLoop, pump: Pump) -> None:
    """Cancels the remaining tasks of a turn, in a fixed order, so that `async with` blocks of the handler clean up. A task that
    still waits for something then is dropped."""
    left = [task for task in asyncio.all_tasks(loop) if isinstance(task, HandlerTask)]
    left.sort(key=hash)
    bodies = pump.bodies.left()
    if not left and not bodies:
        return
    turn, reason = pump.turn, pump.turn.closed
    if reason is None:
        turn.close(
            RuntimeError(
                f"a task of execution {turn.header.id!r} made a durable call after the handler returned; await the task, or "
                "use asyncio.TaskGroup"
            )
        )
        if any(not task.done() for task in left):
            _log.warning(
                "the handler of execution %r ended while tasks of it still ran, which are cancelled, and whose sagas can undo "
                "nothing any more: %s. Await them, also when one of them fails: asyncio.TaskGroup does",
                turn.header.id,
                ", ".join(sorted(waiting_places(turn, loop))),
            )
    pump.close()
    try:
        for task in (*left, *bodies):
            task.cancel()
        loop.call_soon(_unwind, loop, pump, [*left, *bodies], MOST_ROUNDS, context=loop.engine)
        loop.run_forever()
    finally:
        turn.closed = reason
        for task in (*left, *bodies):
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]


def _unwind(loop: DurableLoop, pump: Pump, left: list[asyncio.Task[Any]], rounds: int) -> None:
    """Runs rounds of the loop until all tasks have ended or none can run without waiting. Other work of the loop, such as a
    task that a body left behind and that never rests, is not waited for."""
    try:
        pump.run_ready()
    except BaseException as error:  # a task never rests, or ends the process: the others are dropped
        _log.warning("what was left of execution %r did not unwind: %s", pump.turn.header.id, error)
        loop.stop()
        return
    if loop.is_idle or all(task.done() for task in left) or not rounds:
        loop.stop()
    else:
        loop.call_soon(_unwind, loop, pump, left, rounds - 1, context=loop.engine)
