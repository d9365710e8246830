"""What a user of a framework sees, a function each, by name: the modules are read here, and imported by who runs one."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent


def named(*modules: str) -> list[Any]:
    """Parameters for a test: module and name of each of their functions that takes and returns nothing."""
    return [
        pytest.param(module, name, id=name)
        for module in modules
        for name in re.findall(r"^def ([a-z]\w+)\(\) -> None:", (HERE / f"{module}.py").read_text(), re.MULTILINE)
    ]


def run(module: str, name: str) -> None:
    getattr(importlib.import_module(f"{__package__}.{module}"), name)()
