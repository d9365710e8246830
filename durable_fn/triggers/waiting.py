"""Waiting, within an invocation, for an execution that is suspended or held by another invocation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..backends.ports import Backend
from ..log.header import Header
from ..runtime.invocation import Invocation
from ..types import LambdaContext

if TYPE_CHECKING:
    from ..core.function import DurableFunction
    from .incoming import Started

_FIRST_LOOK_MS: Final = 50
_LONGEST_LOOK_MS: Final = 2000


def wait(
    function: DurableFunction[Any, Any], backend: Backend, context: LambdaContext, started: Started, until: int
) -> Started:
    """Goes on with it when it is due, and looks at it again and again meanwhile, a little later each time: a signal may come, or
    another invocation, woken by the queue, may be faster. Returns when it has ended, or at `until` (epoch milliseconds)."""
    header, raised = started
    pause = _FIRST_LOOK_MS
    while header.live and (now := backend.clock.now()) < until:
        if header.reached(now) and header.lease < now:
            invocation = Invocation(function, backend, context)
            reply = invocation.resume(header.id)
            if isinstance(reply, Header):
                header, raised = reply, invocation.raised
                if not header.live:
                    break
                now = backend.clock.now()
        moments = [until, now + pause]
        if header.due is not None and header.due > now:
            moments.append(header.due)
        backend.clock.sleep(max(1, min(moments) - now) / 1000)
        pause = min(pause * 3 // 2, _LONGEST_LOOK_MS)
        header = backend.store.get(header.id) or header
    return header, raised
