"""What test tools are given to run: functions under @durable, one of each name."""

from __future__ import annotations

from typing import Any

from ..core.function import DurableFunction


def decorated(who: str, *handlers: object) -> None:
    """Raises TypeError for what is no durable function."""
    for handler in handlers:
        if not isinstance(handler, DurableFunction):
            name = getattr(handler, "__name__", None)
            what = type(handler).__name__ + (f" {name!r}" if name else "")
            raise TypeError(f"{who} takes a function decorated with @durable, not {what}")


def by_name(who: str, *handlers: DurableFunction[Any, Any]) -> dict[str, DurableFunction[Any, Any]]:
    decorated(who, *handlers)
    found = {handler.name: handler for handler in handlers}
    if len(found) != len(handlers):
        raise ValueError(f"two handlers have the same name among {[handler.name for handler in handlers]}; give name=")
    return found
