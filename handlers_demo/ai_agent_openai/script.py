"""How the demo of the OpenAI Agents SDK goes: the scenes of `ai_agent`."""

from __future__ import annotations

from dataclasses import replace

from ..ai_agent.script import SCRIPT as PLAIN
from ..ai_agent.script import scenes

SCRIPT = replace(
    PLAIN,
    name="ai_agent_openai",
    title="The same agent by the OpenAI Agents SDK: another Runner makes it durable.",
    scenes=scenes("support.approval.ask", "support."),
)
