"""What a user of the OpenAI Agents SDK sees, a function each; `test_openai_agents.py` runs them. Imported by who runs one."""

from __future__ import annotations

import asyncio
import inspect
from decimal import Decimal
from typing import Any

import httpx
import pytest
from agents import (
    Agent,
    GuardrailFunctionOutput,
    InputGuardrailTripwireTriggered,
    LocalShellTool,
    MaxTurnsExceeded,
    ModelBehaviorError,
    ModelResponse,
    OpenAIResponsesModel,
    RunContextWrapper,
    add_trace_processor,
    function_tool,
    input_guardrail,
)
from agents import Runner as PlainRunner
from agents import run as sdk
from agents.tracing import TracingProcessor
from openai import AsyncOpenAI, RateLimitError

from durable_fn import AsyncDurableContext, DurableContext, RetryPolicy, durable
from durable_fn.errors import NonDeterminismError
from durable_fn.ext.openai_agents import Runner
from durable_fn.ext.openai_agents import models as wire
from durable_fn.testing import LocalRunner
from tests.corpus.outside import TOKENS
from tests.effects import EFFECTS, effect
from tests.ext.agents.openai_shapes import Calls, Scripted, ask, look, looks, sell


def agent(*turns: Calls, name: str = "a", tools: Any = (), **facts: Any) -> Agent[Any]:
    return Agent(name=name, model=Scripted("model", *turns), tools=[look, *tools], **facts)


def handling(agent: Agent[Any], **options: Any) -> Any:
    @durable(name="ran")
    async def handler(event: str, ctx: AsyncDurableContext) -> Any:
        return (await Runner.run(agent, event, **options)).final_output

    return handler


def ran(agent: Agent[Any], **options: Any) -> Any:
    with LocalRunner(handling(agent, **options)) as runner:
        return runner.run("go").result


def steps(execution: Any) -> list[str]:
    return [event.id for event in execution.history if event.kind == "step"]


def a_def_handler_is_told_to_be_async() -> None:
    @durable
    def handler(event: str, ctx: DurableContext) -> Any:
        return asyncio.run(Runner.run(agent(), event))

    with LocalRunner(handler) as runner:
        error = runner.run("go").error
    assert isinstance(error, TypeError)
    assert "make it `async def handler" in str(error)


def outside_of_a_handler_it_is_the_runner_of_the_sdk() -> None:
    assert asyncio.run(Runner.run(agent(looks("a")), "go")).final_output == "done, look a"

    async def streamed() -> list[str]:
        stream = Runner.run_streamed(agent(looks("a")), "go")
        seen = [event.type async for event in stream.stream_events()]
        return [*seen, stream.final_output]

    assert asyncio.run(streamed())[-1] == "done, look a"


def in_a_step_it_is_a_part_of_the_step() -> None:
    @durable
    async def handler(event: str, ctx: AsyncDurableContext) -> str:
        async def ask() -> str:
            helped = agent([("helper", {"input": "x"}, "h")], tools=[agent(looks("a")).as_tool("helper", "helps")])
            return str((await Runner.run(helped, event)).final_output)

        return await ctx.step(ask)

    with LocalRunner(handler) as runner:
        execution = runner.run("go")
        assert (execution.result, steps(execution)) == ("done, done, look a", ["ask"])


def a_run_of_the_sdks_own_runner_is_durable_in_a_handler() -> None:
    """Who forgets which `Runner` to import pays no answer twice."""

    @durable
    async def handler(event: str, ctx: AsyncDurableContext) -> str:
        text = (await PlainRunner.run(agent(looks("a")), event)).final_output
        await ctx.sleep(60)
        return str(text)

    with LocalRunner(handler) as runner:
        execution = runner.run("go")
        assert execution.result == "done, look a"
        assert steps(execution) == ["a.model:1.1", "a.look:1.1.ca", "a.model:1.2"]
    assert EFFECTS == ["model 0", "look a", "model 1"]


def a_run_that_blocks_is_refused_in_a_handler() -> None:
    @durable
    async def handler(event: str, ctx: AsyncDurableContext) -> str:
        def in_a_step() -> str:
            return str(Runner.run_sync(agent(looks("a")), event, step_options={"timeout": 5}).final_output)

        assert await ctx.step(in_a_step) == "done, look a"
        return str(Runner.run_sync(agent(), event).final_output)

    with LocalRunner(handler) as runner, pytest.raises(TypeError, match=r"write `await Runner\.run"):
        runner.run("go").result

    @durable(name="plain")
    def plain(event: str, ctx: DurableContext) -> Any:
        return Runner.run_sync(agent(), event)

    with LocalRunner(plain) as runner, pytest.raises(TypeError, match="make it `async def handler"):
        runner.run("go").result
    assert Runner.run_sync(agent(looks("a")), "go", on_approval=ask).final_output == "done, look a"


def errors_of_the_sdk_come_back_by_their_class() -> None:
    class Broken(Scripted):
        async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
            effect("model")
            raise ModelBehaviorError("nonsense")

    @durable
    async def handler(event: str, ctx: AsyncDurableContext) -> str:
        try:
            await Runner.run(Agent(name="a", model=Broken("x")), event)
        except ModelBehaviorError as error:
            await ctx.sleep(3600)
            return error.message
        return ""

    with LocalRunner(handler) as runner:
        assert runner.run("go").result == "nonsense"
    assert EFFECTS == ["model"] * 3
    with pytest.raises(MaxTurnsExceeded):
        ran(agent(looks("a"), looks("b")), max_turns=1)


def errors_of_the_provider_come_back_by_their_class() -> None:
    """Without `raises`; of what they hold, what is JSON."""

    def respond(request: httpx.Request) -> httpx.Response:
        effect("model")
        return httpx.Response(429, json={"error": {"message": "slow down", "code": "rate_limit"}})

    client = AsyncOpenAI(
        api_key="secret", max_retries=0, http_client=httpx.AsyncClient(transport=httpx.MockTransport(respond))
    )
    busy = Agent(name="a", model=OpenAIResponsesModel("gpt", client))

    @durable
    async def handler(event: str, ctx: AsyncDurableContext) -> list[Any]:
        try:
            await Runner.run(busy, event)
        except RateLimitError as error:
            await ctx.sleep(3600)
            return [error.status_code, error.code, str(error)]
        return []

    with LocalRunner(handler) as runner:
        execution = runner.run("go")
        assert execution.result == [429, "rate_limit", "Error code: 429 - slow down"]
        assert "secret" not in repr(execution.history)
    assert EFFECTS == ["model"] * 3


def what_a_tool_raises_is_tried_again_before_it_is_a_text() -> None:
    @function_tool
    def buy() -> str:
        effect("buy")
        if EFFECTS.count("buy") < 3:
            raise ConnectionError("busy")
        return "bought"

    assert ran(agent([("buy", {}, "b")], tools=[buy])) == "done, bought"
    assert EFFECTS == ["model 0", "buy", "buy", "buy", "model 1"]
    EFFECTS.clear()
    once = {"retry": RetryPolicy(max_attempts=1)}
    told = function_tool(buy.__wrapped__, failure_error_function=lambda _, error: f"{type(error).__name__}: {error}")
    text = ran(agent([("buy", {}, "b")], tools=[told]), step_options=once)
    assert text == "done, StepError: step 'a.buy:1.1.b' failed after 1 attempt: ConnectionError: busy"


class OutOfStock(Exception):
    """Of the user's own."""


def a_tool_without_words_for_its_errors_ends_the_run() -> None:
    @function_tool(failure_error_function=None)
    async def buy() -> str:
        effect("buy")
        raise OutOfStock("tea")

    options = {"retry": RetryPolicy(max_attempts=2), "raises": (OutOfStock,)}
    with pytest.raises(Exception, match="tea"):
        ran(agent([("buy", {}, "b")], tools=[buy]), step_options=options)
    assert EFFECTS == ["model 0", "buy", "buy"]


def what_a_tool_returns_keeps_its_type() -> None:
    @function_tool
    async def price() -> Decimal:
        return Decimal("1.50")

    @durable
    async def handler(event: str, ctx: AsyncDurableContext) -> Any:
        result = await Runner.run(agent([("price", {}, "p")], tools=[price]), event)
        return [item.output for item in result.new_items if item.type == "tool_call_output_item"]

    with LocalRunner(handler) as runner:
        assert runner.run("go").result == [Decimal("1.50")]


def a_guardrail_stops_the_run() -> None:
    @input_guardrail
    def strict(context: RunContextWrapper[Any], agent: Agent[Any], input: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(output_info=effect("no"), tripwire_triggered=True)

    with pytest.raises(InputGuardrailTripwireTriggered):
        ran(agent(input_guardrails=[strict]))
    assert EFFECTS.count("no") == 1


SELLS: Calls = [("sell", {"item": "tea"}, "x"), ("sell", {"item": "gin"}, "y")]


def all_are_asked_before_the_first_answer() -> None:
    with LocalRunner(handling(agent(SELLS, tools=[sell]), on_approval=ask)) as runner:
        execution = runner.run("go", "x")
        assert EFFECTS == ["model 0", "ask x", "ask y"]
        assert execution.callback_token("a.approval:1.1.y") == TOKENS["x", "approval y"]
        runner.complete_callback(TOKENS["x", "approval y"], True)
        runner.run_on(execution)
        runner.complete_callback(TOKENS["x", "approval x"], False)
        runner.run_on(execution)
        assert execution.result == "done, it was not approved, sell gin"


def nobody_answers_in_time() -> None:
    with LocalRunner(handling(agent(SELLS, tools=[sell]), on_approval=ask, approval_timeout=3600)) as runner:
        execution = runner.run("go", "x")
        runner.complete_callback(TOKENS["x", "approval x"], "yes, of course")
        runner.advance(2 * 3600)
        assert execution.result == ("done, it was not approved: there was no clear answer, it was not approved in time")
    assert "sell tea" not in EFFECTS


def who_is_asked_may_refuse() -> None:
    with LocalRunner(handling(agent(SELLS[:1], tools=[sell]), on_approval=ask)) as runner:
        execution = runner.run("go", "x")
        runner.fail_callback(TOKENS["x", "approval x"], "we are closed")
        runner.run_on(execution)
        assert "we are closed" in execution.result


def without_somebody_to_ask_there_are_interruptions() -> None:
    @durable
    async def handler(event: str, ctx: AsyncDurableContext) -> list[Any]:
        result = await Runner.run(agent(SELLS[:1], tools=[sell]), event)
        return [item.name for item in result.interruptions]

    with LocalRunner(handler) as runner:
        assert runner.run("go").result == ["sell"]


def a_tool_of_an_agent_that_is_a_tool_may_ask() -> None:
    inner = agent(SELLS[:1], name="inner", tools=[sell]).as_tool("inner", "sells")
    asking = agent([("inner", {"input": "x"}, "h")], tools=[inner])
    with LocalRunner(handling(asking, on_approval=ask)) as runner:
        execution = runner.run("go", "x")
        runner.complete_callback(TOKENS["x", "approval x"], True)
        runner.run_on(execution)
        assert execution.result == "done, done, sell tea"
    assert EFFECTS.count("sell tea") == 1
    assert sorted(set(EFFECTS)) == ["ask x", "model 0", "model 1", "sell tea"]
    assert EFFECTS.count("model 0") == EFFECTS.count("model 1") == 2


def an_agent_that_is_a_tool_is_a_branch() -> None:
    helped = agent([("helper", {"input": "x"}, "h")], tools=[agent(looks("a"), name="b").as_tool("helper", "helps")])
    with LocalRunner(handling(helped)) as runner:
        found = steps(runner.run("go"))
    assert found[1:4] == ["a.helper:1.1.h/b.model:1.1", "a.helper:1.1.h/b.look:1.1.ca", "a.helper:1.1.h/b.model:1.2"]


def tools_that_act_where_the_agent_runs_are_refused() -> None:
    shell = LocalShellTool(executor=lambda request: "")
    with pytest.raises(TypeError, match="the LocalShellTool of agent 'a' cannot be durable"):
        ran(agent(tools=[shell]))


def options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(TypeError, match="step_options has no option 'retries'"):
        ran(agent(), step_options={"retries": 3})


def an_agent_that_no_longer_fits_is_held() -> None:
    def handler(asked: Agent[Any]) -> Any:
        @durable(name="held")
        async def held(event: str, ctx: AsyncDurableContext) -> None:
            await Runner.run(asked, event)
            await ctx.wait_for_signal("go")

        return held

    with LocalRunner(handler(agent(looks("a"), looks("b")))) as runner:
        execution = runner.run("go", "x")
        EFFECTS.clear()
        runner.deploy(
            handler(Agent(name="a", model=Scripted("model"), tools=[look], tool_use_behavior="stop_on_first_tool"))
        )
        runner.signal("x", "go")
        runner.run_on(execution)
        assert isinstance(execution.error, NonDeterminismError)
        assert "'a.model:1.2'" in str(execution.error)
    assert EFFECTS == []


class Spans(TracingProcessor):
    """What is told to who traces."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def on_trace_start(self, trace: Any) -> None:
        self.told.append(trace.name)

    def on_trace_end(self, trace: Any) -> None: ...

    def on_span_start(self, span: Any) -> None:
        self.told.append(span.span_data.type)

    def on_span_end(self, span: Any) -> None: ...

    def shutdown(self) -> None: ...

    def force_flush(self) -> None: ...


def a_replay_is_not_traced() -> None:
    spans = Spans()
    add_trace_processor(spans)
    with LocalRunner(handling(agent(looks("a"), SELLS[:1], tools=[sell]), on_approval=ask)) as runner:
        execution = runner.run("go", "x")
        told = list(spans.told)
        assert told.count("function") >= 1
        runner.complete_callback(TOKENS["x", "approval x"], True)
        runner.run_on(execution)
        assert execution.result == "done, look a, sell tea"
    assert spans.told == told


def adapters_are_made_before_the_answer() -> None:
    """Between an answer and its commit nothing that takes long is done."""
    made: list[int] = []

    class Watched(Scripted):
        async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
            made.append(wire.adapter.cache_info().misses)
            return await super().get_response(*args, **kwargs)

    wire.adapter.cache_clear()
    assert ran(Agent(name="a", model=Watched("model", looks("a")), tools=[look])) == "done, look a"
    assert made == [wire.adapter.cache_info().misses] * 2


# -- what is private in the SDK and used all the same


def the_sdk_is_still_as_it_was() -> None:
    assert hasattr(look.on_invoke_tool, "_invoke_tool_impl"), "tools.py takes a tool's own function out of its invoker"
    assert agent().as_tool("x", "y")._is_agent_tool, "tools.py tells agents that are tools by this"
    assert not look._is_agent_tool
    assert list(inspect.signature(sdk.AgentRunner.run).parameters)[:3] == ["self", "starting_agent", "input"]
    assert type(sdk.DEFAULT_AGENT_RUNNER).__module__ == "durable_fn.ext.openai_agents.runner"
