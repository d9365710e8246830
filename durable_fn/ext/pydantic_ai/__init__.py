"""Pydantic AI: `Agent(..., capabilities=[DurableFn()])`, and `await agent.run(...)` in an async handler is durable."""

from __future__ import annotations

try:
    from .capability import DurableFn
except ImportError as missing:
    if missing.name is None or missing.name.partition(".")[0] != "pydantic_ai":
        raise
    raise ImportError(
        "durable_fn.ext.pydantic_ai needs Pydantic AI 2.66 or later: pip install 'durable-fn[pydantic-ai]'",
        name=missing.name,
    ) from missing
from ..step_settings import StepSettings

__all__ = ["DurableFn", "StepSettings"]
