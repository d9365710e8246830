"""What a user of Pydantic AI sees, a function each; `test_pydantic_ai.py` runs them. Imported by who runs one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from datetime import timedelta
from typing import Any

import pytest
from pydantic_ai import Agent, DeferredToolRequests, DeferredToolResults, RunContext
from pydantic_ai.capabilities import RequestInput
from pydantic_ai.durable_exec import JSON_CODEC
from pydantic_ai.exceptions import ModelHTTPError, RunTimedOut, UserError
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from durable_fn import AsyncDurableContext, DurableContext, RetryPolicy, StepError, durable
from durable_fn.errors import NonDeterminismError
from durable_fn.ext.pydantic_ai import DurableFn
from durable_fn.testing import LocalRunner
from tests.corpus.outside import TOKENS, keep
from tests.effects import EFFECTS, effect
from tests.ext.agents.pydantic_ai_shapes import Calls, look, looks, scripted, turn_of


def agent(*turns: Calls, name: str = "a", **facts: Any) -> Agent[Any, str]:
    return Agent(scripted("model", *turns), name=name, tools=[look], capabilities=[DurableFn(**facts)])


def ran(agent: Agent[Any, Any], **arguments: Any) -> Any:
    @durable(name="ran")
    async def handler(event: str, ctx: AsyncDurableContext) -> Any:
        return (await agent.run(event, **arguments)).output

    with LocalRunner(handler) as runner:
        return runner.run("go").result


def ids(execution: Any) -> list[str]:
    return [event.id for event in execution.history if event.kind not in ("execution", "wait")]


def a_def_handler_is_told_to_be_async() -> None:
    @durable
    def handler(event: str, ctx: DurableContext) -> str:
        return agent().run_sync(event).output

    with LocalRunner(handler) as runner:
        error = runner.run("go").error
    assert isinstance(error, TypeError)
    assert "'handler', which is a plain def: make it `async def handler" in str(error)


def outside_of_a_handler_it_is_a_plain_agent() -> None:
    assert asyncio.run(agent(looks("a")).run("go")).output == "done, look a"


def in_a_step_it_is_a_part_of_the_step() -> None:
    @durable
    async def handler(event: str, ctx: AsyncDurableContext) -> str:
        async def ask() -> str:
            return (await agent(looks("a")).run(event)).output

        return await ctx.step(ask)

    with LocalRunner(handler) as runner:
        execution = runner.run("go")
        assert (execution.result, ids(execution)) == ("done, look a", ["ask"])


def failing(error: Exception, times: int = 99) -> FunctionModel:
    def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        effect("model")
        if len(EFFECTS) <= times:
            raise error
        return ModelResponse(parts=[TextPart("at last")])

    return FunctionModel(answer)


def an_error_of_the_framework_comes_back_by_its_class() -> None:
    """Also on a replay, when it is made again from what is recorded."""
    broken = Agent(failing(ModelHTTPError(429, "gpt", {"why": "busy"})), name="a", capabilities=[DurableFn()])

    @durable
    async def handler(event: str, ctx: AsyncDurableContext) -> list[Any]:
        try:
            await broken.run(event)
        except ModelHTTPError as error:
            await ctx.sleep(3600)
            return [error.status_code, error.model_name, error.body]
        return []

    with LocalRunner(handler) as runner:
        assert runner.run("go").result == [429, "gpt", {"why": "busy"}]
    assert EFFECTS == ["model"] * 3


class OutOfStock(Exception):
    """Of the user's own."""


def tool_that_fails(**facts: Any) -> Agent[Any, str]:
    failing = agent([("buy", {}, "b")], **facts)

    @failing.tool_plain(metadata={"durable_fn": {"retry": RetryPolicy(max_attempts=2), "raises": (OutOfStock,)}})
    async def buy() -> str:
        effect("buy")
        raise OutOfStock("tea")

    return failing


def a_tool_has_options_of_its_own() -> None:
    with pytest.raises(OutOfStock, match="tea"):
        ran(tool_that_fails())
    assert EFFECTS == ["model 0", "buy", "buy"]


def an_error_nobody_named_is_a_step_error() -> None:
    failing = agent([("buy", {}, "b")], step_options={"retry": RetryPolicy(max_attempts=1)})

    @failing.tool_plain
    async def buy() -> str:
        effect("buy")
        raise OutOfStock("tea")

    with pytest.raises(StepError, match=r"step 'a\.buy:1\.1\.b' failed after 1 attempt: .*OutOfStock: tea"):
        ran(failing)


def a_busy_model_is_tried_again() -> None:
    assert ran(Agent(failing(ModelHTTPError(503, "gpt"), 2), name="a", capabilities=[DurableFn()])) == "at last"


def options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(TypeError, match="step_options has no option 'retries'; there are retry, timeout"):
        DurableFn(step_options={"retries": 3})  # type: ignore[typeddict-unknown-key]
    with pytest.raises(ValueError, match="step_options: timeout must be more than 0"):
        DurableFn(step_options={"timeout": 0})
    with pytest.raises(ValueError, match='events must be "step" or "inline"'):
        DurableFn(events="never")  # type: ignore[arg-type]
    wrong = agent([("buy", {}, "b")])
    wrong.tool_plain(metadata={"durable_fn": {"tries": 3}})(_buy)
    with pytest.raises(TypeError, match="tool 'buy' has no option 'tries'"):
        ran(wrong)
    wrong = agent([("buy", {}, "b")])
    wrong.tool_plain(metadata={"durable_fn": True})(_buy)
    with pytest.raises(UserError, match="tool 'buy' must be a dict of step options or False, got True"):
        ran(wrong)


async def buy() -> str:
    return effect("buy")


_buy = buy


def seller(ask: Any, timeout: timedelta | None = None) -> Agent[Any, str]:
    selling = Agent(
        scripted("model", [("sell", {}, "s1"), ("sell", {}, "s2")]),
        name="a",
        capabilities=[DurableFn(), RequestInput(ask, timeout=timeout)],
    )

    @selling.tool_plain(requires_approval=True)
    async def sell() -> str:
        return effect("sell")

    return selling


def a_human_may_answer_at_once() -> None:
    """The answer is recorded: nobody is asked again."""

    def ask(ctx: RunContext[Any], requests: DeferredToolRequests, token: str) -> DeferredToolResults:
        effect("ask")
        return requests.build_results(approvals={"s1": True, "s2": False})

    assert ran(seller(ask)) == "done, sell, The tool call was denied."
    assert EFFECTS == ["model 0", "ask", "sell", "model 1"]


def _asks(ctx: RunContext[Any], requests: DeferredToolRequests, token: str) -> None:
    keep("approval")(token)


def nobody_answers_in_time() -> None:
    @durable
    async def handler(event: str, ctx: AsyncDurableContext) -> str:
        return (await seller(_asks, timedelta(days=2)).run(event)).output

    with LocalRunner(handler) as runner:
        execution = runner.run("go")
        runner.advance(2 * 86_400 + 60)
        text = execution.result
    assert text.count("nobody answered 'a.deferred_tool_calls' within 2 days") == 2
    assert "sell" not in EFFECTS


def who_is_asked_may_refuse() -> None:
    @durable
    async def handler(event: str, ctx: AsyncDurableContext) -> str:
        return (await seller(_asks).run(event)).output

    with LocalRunner(handler) as runner:
        execution = runner.run("go", "x")
        assert execution.callback_token("a.deferred_tool_calls:1.1") == TOKENS["x", "approval"]
        runner.fail_callback(TOKENS["x", "approval"], "we are closed")
        runner.run_on(execution)
        assert execution.result.count("we are closed") == 2


def a_stream_is_read_in_the_handler() -> None:
    talking = agent(looks("a"), events="inline", event_stream_handler=_nothing)

    @durable
    async def handler(event: str, ctx: AsyncDurableContext) -> list[str]:
        async with talking.run_stream(event) as stream:
            return [text async for text in stream.stream_text()]

    with LocalRunner(handler) as runner:
        assert runner.run("go").result == ["done, look a"]


async def _nothing(ctx: RunContext[Any], events: AsyncIterable[Any]) -> None:
    async for _ in events:
        pass


def events_inline_are_no_steps() -> None:
    seen: list[str] = []

    async def watch(ctx: RunContext[Any], events: AsyncIterable[Any]) -> None:
        async for event in events:
            seen.append(event.event_kind)

    assert ran(agent(looks("a"), events="inline", event_stream_handler=watch)) == "done, look a"
    assert "function_tool_result" in seen

    @durable
    async def handler(event: str, ctx: AsyncDurableContext) -> str:
        return (await agent(looks("a"), events="inline", event_stream_handler=_nothing).run(event)).output

    with LocalRunner(handler) as runner:
        assert ids(runner.run("go")) == ["a.model:1.1", "a.look:1.1.ca", "a.model:1.2"]


def a_tool_that_is_handler_code_is_a_branch() -> None:
    """What is in it has ids of its own, whichever of the tools comes first."""
    waiting = agent([("rest", {}, "r"), ("rest", {}, "s")])

    @waiting.tool_plain(metadata={"durable_fn": False})
    async def rest() -> str:
        await asyncio.sleep(3600)
        return (await agent(name="inner").run("?")).output

    @durable
    async def handler(event: str, ctx: AsyncDurableContext) -> str:
        return (await waiting.run(event)).output

    with LocalRunner(handler) as runner:
        found = ids(runner.run("go"))
    assert {
        "a.rest:1.1.r/$t1",
        "a.rest:1.1.s/$t1",
        "a.rest:1.1.r/inner.model:1.1",
        "a.rest:1.1.s/inner.model:1.1",
    } <= set(found)


def ids_that_a_provider_makes_up_are_no_danger() -> None:
    hostile = ["x" * 300, "a/b", "a#2", "a.1", "~", "", "\n"]
    calls: Calls = [("look", {"what": str(n)}, id) for n, id in enumerate(hostile)]
    assert ran(agent(calls)) == ", ".join(["done", *(f"look {n}" for n in range(len(hostile)))])
    assert len(EFFECTS) == len(hostile) + 2


def a_run_has_an_id_and_a_clock_of_the_execution() -> None:
    asked = agent()

    @durable
    async def handler(event: str, ctx: AsyncDurableContext) -> list[str]:
        first, second = await asked.run(event), await asked.run(event)
        await ctx.sleep(3600)
        ids = first.run_id, second.run_id
        effect(" ".join(ids))
        return list(ids)

    with LocalRunner(handler) as runner:
        first, second = runner.run("go").result
    assert first != second
    assert EFFECTS[-1] == f"{first} {second}"


def a_run_may_not_take_longer_than_its_time() -> None:
    """By the execution's clock: a wait of a day counts."""
    waiting = agent([("rest", {}, "r")])

    @waiting.tool_plain(metadata={"durable_fn": False})
    async def rest() -> str:
        await asyncio.sleep(86_400)
        return "rested"

    with pytest.raises(RunTimedOut):
        ran(waiting, timeout=3600)
    EFFECTS.clear()
    assert ran(waiting, timeout=100_000) == "done, rested"


def another_model_by_its_id() -> None:
    two = agent(models={"other": scripted("other")})
    assert ran(two, model="other") == "done"
    assert EFFECTS == ["other 0"]


def an_agent_without_a_name_is_refused() -> None:
    with pytest.raises(UserError, match="needs to have a unique `name`"):
        Agent(scripted("model"), capabilities=[DurableFn()])


def an_agent_that_no_longer_fits_is_held() -> None:
    """One that has lost a tool whose call is recorded: nothing runs again, and the execution tells what is left."""

    def handler(asked: Agent[Any, str]) -> Any:
        @durable(name="held")
        async def held(event: str, ctx: AsyncDurableContext) -> str:
            await asked.run(event)
            await ctx.wait_for_signal("go")
            return "unreachable"

        return held

    with LocalRunner(handler(agent(looks("a")))) as runner:
        execution = runner.run("go", "x")
        EFFECTS.clear()
        without = Agent(scripted("model"), name="a", capabilities=[DurableFn()])
        runner.deploy(handler(without))
        runner.signal("x", "go")
        runner.run_on(execution)
        assert isinstance(execution.error, NonDeterminismError)
        assert "recorded step 'a.look:1.1.ca'" in str(execution.error)
    assert EFFECTS == []


def what_is_built_is_built_before_the_answer() -> None:
    """Between an answer and its commit nothing that takes long is done: no adapter is made."""
    known: list[int] = []

    def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        known.append(len(JSON_CODEC._adapters))  # type: ignore[attr-defined]  # its cache
        if turn_of(messages):
            return ModelResponse(parts=[TextPart("done")])
        return ModelResponse(parts=[ToolCallPart("look", {"what": "a"})])

    JSON_CODEC._adapters.clear()  # type: ignore[attr-defined]
    assert ran(Agent(FunctionModel(answer), name="a", tools=[look], capabilities=[DurableFn()])) == "done"
    assert known == [len(JSON_CODEC._adapters)] * 2  # type: ignore[attr-defined]
