"""Operations that most handlers never use, and what their arguments are checked with: loaded when they are first asked for. A
cold start of a handler with steps and sleeps pays for steps and sleeps."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "branch_adapter": ("planning", "branch_adapter"),
    "checker": ("planning", "checker"),
    "map_fan": ("planning", "map_fan"),
    "of": ("planning", "of"),
    "optional_ms": ("planning", "optional_ms"),
    "pace_of": ("planning", "pace_of"),
    "parallel_fan": ("planning", "parallel_fan"),
    "race_fan": ("planning", "race_fan"),
    "submitter": ("planning", "submitter"),
    "target_of": ("planning", "target_of"),
    "call": ("operations.calls", "call"),
    "callback": ("operations.callbacks", "callback"),
    "child": ("operations.branches", "child"),
    "fan_out": ("operations.branches", "fan_out"),
    "patched": ("operations.patches", "patched"),
    "poll": ("operations.polls", "poll"),
    "race": ("operations.branches", "race"),
    "result": ("operations.callbacks", "result"),
    "send": ("operations.calls", "send"),
    "waiting": ("operations.callbacks", "waiting"),
    "wait_for_callback": ("operations.callbacks", "wait_for_callback"),
    "wait_for_signal": ("operations.signals", "wait_for_signal"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, there = _HOME[name]
    value = getattr(import_module(f"..{module}", __name__), there)
    globals()[name] = value
    return value
