"""Data that looks like the package's own mark or tags is what it is, in the handler and wherever people look."""

from __future__ import annotations

from typing import Any

import pytest

from durable_fn import AsyncDurableContext, DurableContext, DurableFunction, durable
from durable_fn.testing import LocalRunner
from tests.values.handlers import FRONTS, SEEN

LOOKALIKES: list[Any] = [
    {"$durable": 1, "v": {"$": "uuid", "v": "1"}},
    {"$durable": 0, "v": 1},
    {"$durable": -1, "why": "so", "v": 1},
    {"$durable": 1, "shown": 1, "v": 2},
    {"$": "decimal", "v": "1"},
    {"a": [{"$": "as", "n": "Any", "v": 1}, {"$": "secret", "v": "x"}]},
    {"$": "model", "v": {}, "private": {}},
]


def _handler(front: str, annotation: Any) -> DurableFunction[Any, Any]:
    def plain(event: Any, ctx: DurableContext) -> Any:
        sent = ctx.wait_for_signal("s", result_type=annotation)
        back = ctx.step(lambda: event)
        ctx.set_status(event)
        SEEN.append((event, sent, back))
        ctx.sleep(60)
        return event

    async def native(event: Any, ctx: AsyncDurableContext) -> Any:
        sent = await ctx.wait_for_signal("s", result_type=annotation)
        back = await ctx.step(lambda: event)
        await ctx.set_status(event)
        SEEN.append((event, sent, back))
        await ctx.sleep(60)
        return event

    chosen: Any = plain if front == "def" else native
    chosen.__annotations__.update({"event": annotation, "return": annotation})
    return durable(name="marks")(chosen)


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("how", ["object", "name", "invoke"])
@pytest.mark.parametrize("annotation", [Any, dict, dict | None, dict[str, Any] | list[dict[str, Any]]])
def test_in_every_place(front: str, annotation: Any, how: str) -> None:
    for data in LOOKALIKES:
        SEEN.clear()
        with LocalRunner(_handler(front, annotation)) as runner:
            client = runner.client
            if how == "invoke":
                id = runner.invoke(data)["execution_id"]
            else:
                id = client.start(runner._handler if how == "object" else "marks", data, id="x")
            runner.run_until_idle()
            runner.signal(id, "s", data)
            runner.advance(100)
            info, history = client.describe(id), client.history(id)
            assert (info.status, info.input, info.custom_status, client.result(id)) == ("SUCCEEDED", data, data, data)
            shown = [row.result for row in history if row.kind != "sleep" and row.result is not None]
            assert shown == [data] * 4
            assert [row.custom_status for row in client.list()] == [data]
        assert [(data, data, data)] * 2 == SEEN
