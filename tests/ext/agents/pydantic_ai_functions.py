"""What functions that a user gives a Pydantic AI agent may do, a function each; `test_pydantic_ai.py` runs them."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

from pydantic_ai import Agent, RunContext
from pydantic_ai.capabilities import Hooks, ProcessHistory, RequestInput
from pydantic_ai.exceptions import UsageLimitExceeded
from pydantic_ai.messages import ModelMessage, ModelRequest
from pydantic_ai.output import ToolOutput
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.usage import UsageLimits

from durable_fn import AsyncDurableContext, durable
from durable_fn.ext.pydantic_ai import DurableFn
from durable_fn.testing import LocalRunner
from tests.ext.agents.pydantic_ai_shapes import look, scripted

WHERE: dict[str, int] = {}


def here(what: str) -> None:
    WHERE[what] = threading.get_ident()


def processed(messages: list[ModelMessage]) -> list[ModelMessage]:
    here("processor")
    return messages


def prepared(ctx: RunContext[Any], tool: ToolDefinition) -> ToolDefinition:
    here("prepare")
    return tool


def decided(ctx: RunContext[Any], requests: Any, token: str) -> Any:
    here("in a step: ask")
    return requests.build_results(approvals={"s": True})


def of_functions() -> Agent[Any, str]:
    """An agent to which plain `def` functions were given wherever one can be."""
    hooks: Hooks[Any] = Hooks()
    agent: Agent[Any, str] = Agent(
        scripted("model", [("look", {}, "l"), ("rest", {}, "r"), ("sell", {}, "s")]),
        name="a",
        capabilities=[DurableFn(), hooks, ProcessHistory(processed), RequestInput(decided)],
    )

    @hooks.on.before_model_request
    def before(ctx: RunContext[Any], request_context: Any) -> Any:
        here("hook")
        return request_context

    @agent.instructions
    def instructions() -> str:
        here("instructions")
        return "be nice"

    @agent.output_validator
    def validate(output: str) -> str:
        here("validator")
        return output

    @agent.tool_plain(prepare=prepared)
    def look() -> str:
        here("in a step: look")
        return "looked"

    @agent.tool_plain(requires_approval=True)
    def sell() -> str:
        here("in a step: sell")
        return "sold"

    @agent.tool_plain(metadata={"durable_fn": False})
    def rest() -> str:
        here("tool")
        return "rested"

    return agent


def handling(agent: Agent[Any, str]) -> Any:
    @durable(name="functions")
    async def handler(event: str, ctx: AsyncDurableContext) -> str:
        here("handler")
        return (await agent.run(event)).output

    return handler


def a_plain_def_runs_in_place_and_in_a_step_in_a_thread() -> None:
    """The end of a thread has no place in the log. In a step there is none to have, and others run beside it."""
    with LocalRunner(handling(of_functions())) as runner:
        assert runner.run("go").result == "done, looked, rested, sold"
    mine = WHERE.pop("handler")
    beside = {what for what, thread in WHERE.items() if thread != mine}
    assert beside == {"in a step: ask", "in a step: look", "in a step: sell"}
    assert set(WHERE) - beside == {"processor", "prepare", "hook", "instructions", "validator", "tool"}


def what_a_tool_adds_to_the_usage_is_recorded() -> None:
    """Its body does not run in a replay, and limits are to be the same there. Two tools beside each other count their own."""
    clerk = Agent(scripted("clerk"), name="clerk")
    chief = Agent(scripted("chief", [("ask", {}, "1"), ("ask", {}, "2"), ("plain", {}, "3")]), name="chief",
                  capabilities=[DurableFn()])  # fmt: skip

    @chief.tool
    async def ask(run: RunContext[Any]) -> str:
        return (await clerk.run("?", usage=run.usage)).output

    @chief.tool_plain
    async def plain() -> str:
        return "plain"

    @durable
    async def handler(event: str, ctx: AsyncDurableContext) -> list[Any]:
        result = await chief.run(event)
        await ctx.sleep(60)
        return [result.output, result.usage.requests, result.usage.tool_calls]

    with LocalRunner(handler) as runner:
        execution = runner.run("go")
        assert execution.result == ["done, done, done, plain", 4, 3]
        results = {event.id: event.result for event in execution.history if event.kind == "step"}
    assert "durable_fn.usage" in results["chief.ask:1.1.1"]
    assert "durable_fn.usage" not in results["chief.plain:1.1.3"]


def a_limit_of_usage_is_met_in_a_replay_too() -> None:
    clerk = Agent(scripted("clerk"), name="clerk")
    chief = Agent(scripted("chief", [("ask", {}, "1")]), name="chief", capabilities=[DurableFn()])

    @chief.tool
    async def ask(run: RunContext[Any]) -> str:
        return (await clerk.run("?", usage=run.usage)).output

    @durable
    async def handler(event: str, ctx: AsyncDurableContext) -> str:
        try:
            return (await chief.run(event, usage_limits=UsageLimits(request_limit=2))).output
        except UsageLimitExceeded as error:
            await ctx.sleep(60)
            return str(error)

    with LocalRunner(handler) as runner:
        assert "request_limit of 2" in runner.run("go").result


def messages_have_the_time_of_the_execution() -> None:
    """They are a handler's result, or go on into the next run: each replay has to make the same."""
    asked = Agent(
        scripted("model", [("look", {"what": "a"}, "l")], [("final", {"response": 1}, "f")]),
        name="a", output_type=ToolOutput(int, name="final"), tools=[look], capabilities=[DurableFn()],
    )  # fmt: skip
    made: list[list[ModelMessage]] = []

    @durable
    async def handler(event: str, ctx: AsyncDurableContext) -> list[ModelMessage]:
        await ctx.sleep(86_400)
        messages = (await asked.run(event)).all_messages()
        made.append(messages)
        await ctx.sleep(86_400)
        return messages

    with LocalRunner(handler) as runner:
        began = runner.now()
        messages = runner.run("go").result
    assert len(made) == 2
    assert made[0] == made[1] == messages
    times = {message.timestamp for message in messages if isinstance(message, ModelRequest)}
    assert all(began + timedelta(days=1) <= time < began + timedelta(days=2) for time in times)
