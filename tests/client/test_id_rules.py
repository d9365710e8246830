"""An execution's id is by its function's own rule, also where only the function's name is known."""

from __future__ import annotations

from typing import Any

import pytest

from durable_fn import AsyncDurableContext, DurableContext, DurableFunction, durable
from durable_fn.errors import UnknownFunction
from durable_fn.testing import LocalRunner
from durable_fn.testing.cloud import LocalCloud


@durable(name="by_path", execution_id="email")
def by_path(event: Any, ctx: DurableContext) -> None: ...


@durable(name="by_code", execution_id=lambda event: str(event["email"]).upper())
def by_code(event: Any, ctx: DurableContext) -> None: ...


@durable(name="no_rule")
def no_rule(event: Any, ctx: DurableContext) -> None: ...


@durable(name="sender")
def sender(event: str, ctx: DurableContext) -> list[str]:
    return [ctx.send(event, {"email": "a@b"}), ctx.send(by_path, {"email": "c@d"}), ctx.send(by_code, {"email": "c@d"})]


@durable(name="sender")
async def a_sender(event: str, ctx: AsyncDurableContext) -> list[str]:
    first = await ctx.send(event, {"email": "a@b"})
    return [first, await ctx.send(by_path, {"email": "c@d"}), await ctx.send(by_code, {"email": "c@d"})]


def check(client: Any) -> None:
    assert client.start("by_path", {"email": "x@y"}) == client.start(by_path, {"email": "x@y"}) == "x@y"
    with pytest.raises(ValueError, match="Give id"):
        client.start("by_code", {"email": "x@y"})
    with pytest.raises(ValueError, match="give id"):
        client.start("by_path", {"mail": "x@y"})
    assert client.start("by_code", {"email": "x@y"}, id="own") == "own"
    assert client.start("no_rule", {}) != client.start("no_rule", {})
    with pytest.raises(UnknownFunction):
        client.start("nobody", {})


def test_a_start_by_name() -> None:
    with LocalRunner(by_path, by_code, no_rule) as runner:
        check(runner.client)


def test_a_start_by_name_on_aws() -> None:
    with LocalCloud() as cloud:
        for function in (by_path, by_code, no_rule):
            cloud.attach(function)
        with pytest.raises(ValueError, match="not known here"):
            cloud.client.start("by_path", {"email": "x@y"})
        for n, function in enumerate((by_path, by_code, no_rule)):
            cloud.invoke(function, {"email": f"{n}@z"})
        check(cloud.client)


@pytest.mark.parametrize("handler", [sender, a_sender])
def test_ctx_send(handler: DurableFunction[str, list[str]]) -> None:
    with LocalRunner(handler, by_path, by_code, no_rule, always_suspend=True) as runner:
        assert runner.run("by_path").result == ["a@b", "c@d", "C@D"]
        derived = runner.run("no_rule", "x").result[0]
        assert derived.startswith("x/no_rule~")
        refused = runner.run("by_code")
        assert refused.status == "FAILED"
        assert "Give id" in str(refused.error)
