"""One EMF line per invocation, in a set of its own: dimensions that a handler adds to its metrics do not get mixed up with
these, and these not with the handler's."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ...hooks import AttemptInfo, Hooks, InvocationInfo

if TYPE_CHECKING:
    from aws_lambda_powertools import Metrics
    from aws_lambda_powertools.metrics import EphemeralMetrics

_NO_SERVICE: Final = "service_undefined"  # as Powertools' Logger calls it
_ENDS: Final = {
    "SUCCEEDED": "ExecutionsCompleted",
    "FAILED": "ExecutionsFailed",
    "CANCELLED": "ExecutionsCancelled",
    "TIMED_OUT": "ExecutionsTimedOut",
}


class Tally:
    """Attempts of one invocation, from all its threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.attempts = 0
        self.retries = 0

    def count(self, attempt: int) -> None:
        with self._lock:
            self.attempts += 1
            self.retries += attempt > 1


class Metric(NamedTuple):
    name: str
    unit: str
    value: float


_tally: ContextVar[Tally | None] = ContextVar("durable_fn_metrics", default=None)


class MetricsHooks(Hooks):
    """`metrics`: its namespace and service are taken, and its own set is flushed along."""

    def __init__(self, metrics: Metrics | EphemeralMetrics | bool) -> None:
        self._metrics: Any = None if isinstance(metrics, bool) else _checked(metrics)

    @contextlib.contextmanager
    def invocation(self, info: InvocationInfo, /) -> Iterator[None]:
        tally = Tally()
        token = _tally.set(tally)
        try:
            yield
        finally:
            _tally.reset(token)
            self._flush(info, tally)

    @contextlib.contextmanager
    def attempt(self, info: AttemptInfo, /) -> Iterator[None]:
        tally = _tally.get()
        if tally is not None:
            tally.count(info.attempt)
        yield

    def _flush(self, info: InvocationInfo, tally: Tally) -> None:
        from aws_lambda_powertools.metrics import EphemeralMetrics

        if self._metrics is None:
            from aws_lambda_powertools import Metrics

            self._metrics = _checked(Metrics())
        own = EphemeralMetrics(namespace=self._metrics.namespace, service=self._metrics.service or _NO_SERVICE)
        own.add_dimension(
            "function", info.name.encode("ascii", "backslashreplace").decode()
        )  # CloudWatch takes no other
        own.add_metadata("execution_id", info.execution_id)
        own.add_metadata("invocation", info.number)
        try:
            for metric in measured(info, tally):
                own.add_metric(metric.name, metric.unit, metric.value)
            own.flush_metrics()
        finally:
            if self._metrics.metric_set:
                self._metrics.flush_metrics()


def measured(info: InvocationInfo, tally: Tally) -> list[Metric]:
    """At most ten, each once, where EMF takes a hundred. Counts that say how an execution began or ended are there once in its
    life, whatever happens to it between."""
    found = [
        Metric("StepAttempts", "Count", tally.attempts),
        Metric("StepRetries", "Count", tally.retries),
        Metric("ReplayedSteps", "Count", info.replayed_steps),
    ]
    if info.number == 1:
        found.append(Metric("ExecutionsStarted", "Count", 1))
    if info.finished_at is not None and info.status in _ENDS:
        found.append(Metric(_ENDS[info.status], "Count", 1))
    if info.suspended_at is not None:
        found.append(Metric("SuspendedSeconds", "Seconds", (info.began_at - info.suspended_at).total_seconds()))
    if info.due_at is not None:
        found.append(Metric("WakeUpLag", "Milliseconds", (info.began_at - info.due_at) / timedelta(milliseconds=1)))
    return found


def _checked(metrics: Any) -> Any:
    """Raises TypeError or ValueError for what could not be flushed."""
    if not all(hasattr(metrics, name) for name in ("namespace", "service", "metric_set", "flush_metrics")):
        raise TypeError(f"metrics must be Powertools Metrics in EMF, not {type(metrics).__name__}")
    if not metrics.namespace:
        raise ValueError(
            'metrics have no namespace: write Metrics(namespace="..."), or set POWERTOOLS_METRICS_NAMESPACE'
        )
    return metrics
