"""Logger, Tracer and Metrics of Powertools for AWS Lambda, in one line: `@durable(hooks=[PowertoolsHooks(logger=logger)])`.

Importing this loads nothing of Powertools or of the X-Ray SDK.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...hooks import HookChain, Hooks

if TYPE_CHECKING:
    import logging

    from aws_lambda_powertools import Logger, Metrics, Tracer
    from aws_lambda_powertools.metrics import EphemeralMetrics


class PowertoolsHooks(HookChain):
    """Each part is optional: hand in your own object, or True for one made from the POWERTOOLS_* variables when it is first
    needed. One part that fails does not stop the others.

    logger   Lines carry `execution_id`, `durable_function`, `invocation`, and in a step `operation_id` and `attempt`. Lines that
             the handler's code logged before are not logged again on replay.
    tracer   X-Ray: a subsegment per invocation and per attempt of a step, annotated with the same keys, exceptions in them.
             `True` loads the X-Ray SDK (some 200 ms) in the first invocation that X-Ray samples, never before.
    metrics  EMF, one line per invocation, with the dimensions `service` and `function`; your own metrics of this Metrics object
             are flushed along. ValueError without a namespace.
    """

    def __init__(
        self,
        *,
        logger: Logger | logging.Logger | bool = False,
        tracer: Tracer | bool = False,
        metrics: Metrics | EphemeralMetrics | bool = False,
    ) -> None:
        parts: list[Hooks] = []
        if logger is not False:
            from .logs import LoggerHooks

            parts.append(LoggerHooks(logger))
        if tracer is not False:
            from .xray import TracerHooks

            parts.append(TracerHooks(tracer))
        if metrics is not False:
            from .metrics import MetricsHooks

            parts.append(MetricsHooks(metrics))
        super().__init__(*parts)


__all__ = ["PowertoolsHooks"]
