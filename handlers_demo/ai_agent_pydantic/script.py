"""How the demo of Pydantic AI goes: the scenes of `ai_agent`."""

from __future__ import annotations

from dataclasses import replace

from ..ai_agent.script import SCRIPT as PLAIN
from ..ai_agent.script import scenes

SCRIPT = replace(
    PLAIN,
    name="ai_agent_pydantic",
    title="The same agent by Pydantic AI: a capability makes its run durable.",
    scenes=scenes("support.approval.ask", "support."),
)
