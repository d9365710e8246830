"""A run's own copy of all agents that it may come to: what they do are steps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from agents import (
    Agent,
    ApplyPatchTool,
    ComputerTool,
    CustomTool,
    FunctionTool,
    Handoff,
    LocalShellTool,
    Model,
    RunConfig,
    RunContextWrapper,
    ShellTool,
    Tool,
)
from agents.mcp import MCPServer

from .guardrails import durable_guardrail
from .models import StepModel, StepProvider
from .servers import durable_server
from .tools import Steps, durable_tool

_ORIGINAL: Final = "_durable_fn_original"
_HERE: Final = (ApplyPatchTool, ComputerTool, CustomTool, LocalShellTool, ShellTool)
"""Tools that do something where the agent runs, and that cannot be made steps."""


def is_copy(agent: Agent[Any]) -> bool:
    return hasattr(agent, _ORIGINAL)


class Graph:
    """Agents hand over to each other, in circles too: each is copied once."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._copies: dict[int, Agent[Any]] = {}
        self._servers: dict[int, MCPServer] = {}

    def agent(self, agent: Agent[Any]) -> Agent[Any]:
        agent = getattr(agent, _ORIGINAL, agent)  # `last_agent` of another run, say
        known = self._copies.get(id(agent))
        if known is not None:
            return known
        steps = self._steps
        changed: dict[str, Any] = {
            "tools": [self._tool(tool, agent) for tool in agent.tools],
            "mcp_servers": [self._server(server) for server in agent.mcp_servers],
            "input_guardrails": [durable_guardrail(guardrail, steps) for guardrail in agent.input_guardrails],
            "output_guardrails": [durable_guardrail(guardrail, steps) for guardrail in agent.output_guardrails],
        }
        if isinstance(agent.model, Model):
            changed |= {"model": self._model(agent.model), "model_settings": agent.model_settings}
        copied = self._copies[id(agent)] = agent.clone(**changed)
        setattr(copied, _ORIGINAL, agent)
        copied.handoffs = [self._handoff(handoff) for handoff in agent.handoffs]
        return copied

    def config(self, config: RunConfig) -> RunConfig:
        """Of the run. A run that began in an earlier invocation is traced there: nothing is told twice."""
        steps = self._steps
        return replace(
            config,
            model=self._model(config.model) if isinstance(config.model, Model) else config.model,
            model_provider=StepProvider(config.model_provider, steps.run, steps.model, steps.settings),
            input_guardrails=[durable_guardrail(guardrail, steps) for guardrail in config.input_guardrails or ()],
            output_guardrails=[durable_guardrail(guardrail, steps) for guardrail in config.output_guardrails or ()],
            tracing_disabled=config.tracing_disabled or steps.run.ctx.is_replaying,
        )

    def _model(self, model: Model) -> Model:
        return StepModel(model, self._steps.run, self._steps.model, self._steps.settings)

    def _server(self, server: MCPServer) -> MCPServer:
        """One for all agents that share it."""
        return self._servers.setdefault(id(server), durable_server(server, self._steps))

    def _tool(self, tool: Tool, agent: Agent[Any]) -> Tool:
        if isinstance(tool, FunctionTool):
            return durable_tool(tool, self._steps)
        if isinstance(tool, _HERE):
            raise TypeError(
                f"the {type(tool).__name__} of agent {agent.name!r} cannot be durable: do what it does in a function tool"
            )
        return tool  # runs where the model runs

    def _handoff(self, handoff: Agent[Any] | Handoff[Any, Any]) -> Agent[Any] | Handoff[Any, Any]:
        if isinstance(handoff, Agent):
            return self.agent(handoff)

        async def taken(context: RunContextWrapper[Any], arguments: str) -> Agent[Any]:
            return self.agent(await handoff.on_invoke_handoff(context, arguments))

        return replace(handoff, on_invoke_handoff=taken)
