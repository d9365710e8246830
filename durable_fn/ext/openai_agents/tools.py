"""Function tools as steps."""

from __future__ import annotations

import copy
import typing
from functools import wraps
from typing import Any

from agents import FunctionTool
from agents.tool_context import ToolContext

from ..agent_runs import Run
from ..step_settings import StepSettings


class Steps:
    """What a run's operations have in common. `turn`: how often the model was asked, so far."""

    def __init__(self, run: Run, name: str, settings: StepSettings) -> None:
        self.run = run
        self.name = name
        self.settings = settings

    @property
    def model(self) -> str:
        return f"{self.name}.model"

    def key_of_call(self, name: str, call_id: str) -> str:
        return self.run.call(name, self.run.count(self.model), call_id)


def durable_tool(tool: FunctionTool, steps: Steps) -> FunctionTool:
    """A copy of the tool that runs as a step, or, if it is an agent, as a branch in which that one's run is durable.

    What the tool raises is tried again as a step's error; only then its `failure_error_function` makes a text of it. That stands
    in the SDK's invoker around the tool's own function, which is taken out and put back.
    """
    invoker, name = tool.on_invoke_tool, f"{steps.name}.{tool.name}"
    invoke = getattr(invoker, "_invoke_tool_impl", invoker)
    returns = _return_type(tool)

    @wraps(invoke)
    async def durable(context: ToolContext[Any], arguments: str) -> Any:
        async def body() -> Any:
            return await invoke(context, arguments)

        key = steps.key_of_call(name, context.tool_call_id)
        if tool._is_agent_tool:
            return await steps.run.branch(name, key, body)
        return await steps.run.step(name, key, body, steps.settings, result_type=returns)

    copied = copy.copy(tool)
    copied.on_invoke_tool = durable
    if invoke is not invoker:
        copied.on_invoke_tool = copy.copy(invoker)
        setattr(copied.on_invoke_tool, "_invoke_tool_impl", durable)
    return copy.copy(copied)  # which binds the invoker to its tool


def _return_type(tool: FunctionTool) -> object:
    """What the function behind a tool says that it returns: it comes back as that. None if it does not say."""
    try:
        return typing.get_type_hints(tool.__wrapped__).get("return")
    except (AttributeError, NameError, TypeError):
        return None
