"""LangGraph: `await run_graph(ctx, graph, input)` in an async handler is durable, without a checkpointer."""

from __future__ import annotations

try:
    from .graphs import run_graph
    from .tasks import durable_task
except ImportError as missing:
    if missing.name is None or missing.name.partition(".")[0] != "langgraph":
        raise
    raise ImportError(
        "durable_fn.ext.langgraph needs LangGraph: pip install 'durable-fn[langgraph]'", name=missing.name
    ) from missing
from ..step_settings import StepSettings

__all__ = ["StepSettings", "durable_task", "run_graph"]
