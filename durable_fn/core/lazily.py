"""Operations that most handlers never use, and the checks of their arguments: imported on first use, so that the cold start of
a handler with steps and sleeps pays for steps and sleeps only."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "branch_adapter": ("arguments", "branch_adapter"),
    "checker": ("arguments", "checker"),
    "map_fan": ("arguments", "map_fan"),
    "of": ("arguments", "of"),
    "optional_ms": ("arguments", "optional_ms"),
    "pace_of": ("arguments", "pace_of"),
    "parallel_fan": ("arguments", "parallel_fan"),
    "race_fan": ("arguments", "race_fan"),
    "submitter": ("arguments", "submitter"),
    "target_of": ("arguments", "target_of"),
    "block_end": ("operations.shields", "block_end"),
    "block_id": ("operations.shields", "block_id"),
    "unshield": ("operations.shields", "unshield"),
    "call": ("operations.calls", "call"),
    "callback": ("operations.callbacks", "callback"),
    "child": ("operations.fans", "child"),
    "fan_out": ("operations.fans", "fan_out"),
    "patched": ("operations.patches", "patched"),
    "poll": ("operations.polls", "poll"),
    "post": ("operations.posts", "post"),
    "race": ("operations.fans", "race"),
    "result": ("operations.callbacks", "result"),
    "send": ("operations.calls", "send"),
    "waiting": ("operations.callbacks", "waiting"),
    "wait_for_callback": ("operations.callbacks", "wait_for_callback"),
    "wait_for_any_signal": ("operations.signals", "wait_for_any_signal"),
    "wait_for_signal": ("operations.signals", "wait_for_signal"),
    "any_awaited": ("signal", "any_awaited"),
    "awaited": ("signal", "awaited"),
    "name_of": ("signal", "name_of"),
    "sendable": ("signal", "sendable"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, there = _HOME[name]
    value = getattr(import_module(f"..{module}", __name__), there)
    globals()[name] = value
    return value
