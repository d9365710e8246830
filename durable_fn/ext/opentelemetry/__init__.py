"""OpenTelemetry: one trace for an execution, over all its invocations: `@durable(hooks=[OpenTelemetryHooks()])`."""

from __future__ import annotations

try:
    from .hooks import OpenTelemetryHooks
except ModuleNotFoundError as missing:
    if missing.name is None or missing.name.partition(".")[0] != "opentelemetry":
        raise
    raise ModuleNotFoundError(
        "durable_fn.ext.opentelemetry needs the OpenTelemetry API: pip install durable-fn[otel]", name=missing.name
    ) from missing
from .ids import DurableIdGenerator, ExecutionIds, SpanIds

__all__ = ["DurableIdGenerator", "ExecutionIds", "OpenTelemetryHooks", "SpanIds"]
