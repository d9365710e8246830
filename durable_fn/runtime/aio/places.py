"""Where the tasks of an async handler wait, for messages."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from ...core.turn import Turn
from .loop import HandlerTask

_log = logging.getLogger("durable_fn")
_NOT_THEIRS: Final = (asyncio.__file__.rpartition("__init__")[0], __file__.rpartition("aio")[0])


def waiting_places(turn: Turn, loop: asyncio.AbstractEventLoop) -> set[str]:
    """Function, file and line of each. A task around one of our own operations has none; the task that awaits it has."""
    tasks = (task for task in asyncio.all_tasks(loop) if isinstance(task, HandlerTask) and task.turn is turn)
    return {place for task in tasks if (place := _place(task.get_coro()))} or {"an unknown place"}


def _place(coroutine: Any) -> str:
    """The place of the innermost frame that is neither asyncio's nor ours."""
    place = ""
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None)
        if frame is not None and not frame.f_code.co_filename.startswith(_NOT_THEIRS):
            file = frame.f_code.co_filename.replace("\\", "/").rpartition("/")[2]
            place = f"{frame.f_code.co_name} ({file}, line {frame.f_lineno})"
        coroutine = getattr(coroutine, "inner", None) or getattr(coroutine, "cr_await", None)
    return place


_told: set[tuple[str, str]] = set()


def warn_of_foreign(turn: Turn, loop: asyncio.AbstractEventLoop) -> None:
    """Warns, once for each place, that something without a line in the log woke the handler."""
    fn, places = turn.header.fn, ", ".join(sorted(waiting_places(turn, loop)))
    if (fn, places) in _told:
        return
    _told.add((fn, places))
    _log.warning(
        "the handler %r was woken by a socket, a subprocess or a thread of its own, at %s. That has no recorded order, so a "
        "replay may take another way: do such work in a step",
        fn,
        places,
    )
