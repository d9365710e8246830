"""What a handler learns of its end is on record before it acts on it."""

from __future__ import annotations

from typing import Any

import pytest

from durable_fn import DurableContext, durable
from durable_fn.errors import ExecutionCancelled
from durable_fn.testing import LocalRunner
from tests.effects import EFFECTS, effect

from .edges import Killed


def test_a_cancellation_is_raised_at_the_same_place_after_a_death() -> None:
    """A signal that came is recorded with the next write. Without one before the clean-up, the cancellation would be raised
    at the wait for it the next time, and the clean-up would do something else under the same key."""

    def tells(what: str) -> None:
        EFFECTS.append(what)
        if len(EFFECTS) == 1:
            raise Killed

    @durable(name="h")
    def handler(event: Any, ctx: DurableContext) -> None:
        order = None
        try:
            order = ctx.wait_for_signal("order")
            if not EFFECTS:
                runner.client.cancel("x")
                runner.backend.clock.sleep(60)  # the header is looked at again
            ctx.step(effect, "charge")
        except ExecutionCancelled:
            ctx.step(tells, f"no {order}")
            raise

    with LocalRunner(handler) as runner:
        execution = runner.start(None, "x")
        runner.run_until_idle()
        runner.client.signal("x", "order", "tea")
        with pytest.raises(Killed):
            runner.run_until_idle()
        runner.advance(3600)
        assert execution.status == "CANCELLED"
    assert EFFECTS == ["no tea", "no tea"]
