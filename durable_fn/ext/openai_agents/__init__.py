"""OpenAI Agents SDK: `Runner.run(agent, input)` in an async handler is durable; `DynamoDBSession` keeps conversations."""

from __future__ import annotations

try:
    from .approvals import OnApproval
    from .dynamodb_session import DynamoDBSession
    from .runner import Runner, Stream
except ImportError as missing:
    if missing.name is None or missing.name.partition(".")[0] != "agents":
        raise
    raise ImportError(
        "durable_fn.ext.openai_agents needs the OpenAI Agents SDK: pip install 'durable-fn[openai-agents]'",
        name=missing.name,
    ) from missing
from ..step_settings import StepSettings

__all__ = ["DynamoDBSession", "OnApproval", "Runner", "StepSettings", "Stream"]
