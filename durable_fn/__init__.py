"""Durable AWS Lambda functions. Import from here; `durable_fn.errors` has every error, `durable_fn.testing` the test tools.

Names are loaded when they are first asked for: `import durable_fn` pulls in neither boto3 nor asyncio nor pydantic.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .batch import BatchItem as BatchItem
    from .batch import BatchResult as BatchResult
    from .batch import Completion as Completion
    from .client import DurableClient as DurableClient
    from .core.current import StepInfo as StepInfo
    from .core.current import current_step as current_step
    from .core.function import DurableFunction as DurableFunction
    from .core.retry import Retry as Retry
    from .core.retry import RetryPolicy as RetryPolicy
    from .core.signal import Signal as Signal
    from .core.step_options import step as step
    from .errors import BatchError as BatchError
    from .errors import CallbackTimeout as CallbackTimeout
    from .errors import CallError as CallError
    from .errors import DurableError as DurableError
    from .errors import ExecutionCancelled as ExecutionCancelled
    from .errors import SignalTimeout as SignalTimeout
    from .errors import StepError as StepError
    from .function import durable as durable
    from .hooks import Codec as Codec
    from .hooks import Hooks as Hooks
    from .runtime.aio.context import AsyncCallback as AsyncCallback
    from .runtime.aio.context import AsyncDurableContext as AsyncDurableContext
    from .runtime.aio.context import AsyncSaga as AsyncSaga
    from .runtime.running import current_context as current_context
    from .runtime.threads.context import Callback as Callback
    from .runtime.threads.context import DurableContext as DurableContext
    from .runtime.threads.context import Saga as Saga
    from .wiring import configure as configure

__version__ = "0.1.0"

_HOME = {
    "AsyncCallback": ".runtime.aio.context",
    "AsyncDurableContext": ".runtime.aio.context",
    "AsyncSaga": ".runtime.aio.context",
    "BatchError": ".errors",
    "BatchItem": ".batch",
    "BatchResult": ".batch",
    "CallError": ".errors",
    "Callback": ".runtime.threads.context",
    "CallbackTimeout": ".errors",
    "Codec": ".hooks",
    "Completion": ".batch",
    "DurableClient": ".client",
    "DurableContext": ".runtime.threads.context",
    "DurableError": ".errors",
    "DurableFunction": ".core.function",
    "ExecutionCancelled": ".errors",
    "Hooks": ".hooks",
    "Retry": ".core.retry",
    "RetryPolicy": ".core.retry",
    "Saga": ".runtime.threads.context",
    "Signal": ".core.signal",
    "SignalTimeout": ".errors",
    "StepError": ".errors",
    "StepInfo": ".core.current",
    "configure": ".wiring",
    "current_context": ".runtime.running",
    "current_step": ".core.current",
    "durable": ".function",
    "step": ".core.step_options",
}

__all__ = [
    "AsyncCallback",
    "AsyncDurableContext",
    "AsyncSaga",
    "BatchError",
    "BatchItem",
    "BatchResult",
    "CallError",
    "Callback",
    "CallbackTimeout",
    "Codec",
    "Completion",
    "DurableClient",
    "DurableContext",
    "DurableError",
    "DurableFunction",
    "ExecutionCancelled",
    "Hooks",
    "Retry",
    "RetryPolicy",
    "Saga",
    "Signal",
    "SignalTimeout",
    "StepError",
    "StepInfo",
    "configure",
    "current_context",
    "current_step",
    "durable",
    "step",
]


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home, __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
