"""The demos: `handlers_demo` in a checkout, and the copy of it that the build puts into the wheel as `durable_fn.demos`."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from handlers_demo import script, systems
else:
    _PACKAGE = "durable_fn.demos" if find_spec("durable_fn.demos") is not None else "handlers_demo"
    script = import_module(f"{_PACKAGE}.script")
    systems = import_module(f"{_PACKAGE}.systems")

__all__ = ["script", "systems"]
