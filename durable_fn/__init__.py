"""Durable AWS Lambda functions. Import from here; `durable_fn.errors` has every error, `durable_fn.testing` the test tools.

Names are loaded when they are first asked for: `import durable_fn` pulls in neither boto3 nor asyncio nor pydantic.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client import DurableClient as DurableClient
    from .core.current import StepInfo as StepInfo
    from .core.current import current_step as current_step
    from .core.retry import RetryPolicy as RetryPolicy
    from .core.steps import step as step
    from .errors import CallError as CallError
    from .errors import DurableError as DurableError
    from .errors import StepError as StepError
    from .fronts.aio import AsyncDurableContext as AsyncDurableContext
    from .fronts.sync import DurableContext as DurableContext
    from .handler import DurableFunction as DurableFunction
    from .handler import durable as durable
    from .wiring import configure as configure

__version__ = "0.1.0"

_HOME = {
    "AsyncDurableContext": ".fronts.aio",
    "CallError": ".errors",
    "DurableClient": ".client",
    "DurableContext": ".fronts.sync",
    "DurableError": ".errors",
    "DurableFunction": ".handler",
    "RetryPolicy": ".core.retry",
    "StepError": ".errors",
    "StepInfo": ".core.current",
    "configure": ".wiring",
    "current_step": ".core.current",
    "durable": ".handler",
    "step": ".core.steps",
}

__all__ = [
    "AsyncDurableContext",
    "CallError",
    "DurableClient",
    "DurableContext",
    "DurableError",
    "DurableFunction",
    "RetryPolicy",
    "StepError",
    "StepInfo",
    "configure",
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
