"""Imports point down and never in a circle, also those for checkers and in functions; importing the package stays cheap."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "durable_fn"

WORDS = {"types", "errors", "batch", "hooks"}
RULES = {*WORDS, "values", "log", "core"}
TOOLS = {"sweeper", "testing"}
ALLOWED: dict[str, set[str]] = {
    "types": set(),
    "batch": {"types"},
    "errors": {"types", "batch"},
    "hooks": {"types"},
    "values": {"errors", "types"},
    "log": {"errors", "types", "values"},
    "core": {*WORDS, "values", "log"},
    "backends.ports": {"types", "hooks", "log"},
    "backends.clocks": set(),
    "backends": {"types", "errors", "hooks", "values", "log", "backends.ports", "backends.clocks"},
    "codecs": {"backends"},
    "wiring": {"hooks", "backends", "codecs", "backends.ports", "backends.clocks"},
    "runtime": {*RULES, "backends.ports", "runtime.threads", "runtime.aio"},
    "runtime.threads": {*RULES, "runtime"},
    "runtime.aio": {*RULES, "runtime"},
    "triggers": {*RULES, "backends.ports", "runtime", "wiring"},
    "function": {*RULES, "runtime.threads", "runtime.aio", "triggers"},
    "client": {*RULES, "backends.ports", "runtime", "wiring"},
    "callback_api": {"errors", "client", "triggers"},
    "sweeper": {"log", "backends.ports", "runtime", "wiring"},
    "ext": {"errors", "types", "hooks", ""},
    "testing": {*RULES, "backends", "backends.ports", "backends.clocks", "runtime", "wiring", "client", "sweeper"},
    "local": {
        *RULES,
        "backends",
        "backends.ports",
        "backends.clocks",
        "runtime",
        "wiring",
        "testing",
        "client",
        "callback_api",
    },
    "ui": {"", "errors", "types", "values", "log", "backends.ports", "client", "triggers", "wiring"},
    "cli": {*RULES, "backends.ports", "backends.clocks", "client", "wiring", "sweeper", "testing", "local", "ui", ""},
    "": {
        *WORDS,
        "core",
        "client",
        "function",
        "runtime",
        "runtime.threads",
        "runtime.aio",
        "wiring",
    },  # names that are loaded late
}
"""Layer -> layers that it may import, besides itself. A module belongs to the longest of these that its name begins with. An
invocation begins either kind of handler, and these know the session; no circle between files comes of that."""


def layer(module: str) -> str:
    while module not in ALLOWED:
        module = module.rpartition(".")[0]
    return module


def name_of(path: Path) -> str:
    """Without the package's name: "log.events", and "log" for its `__init__`."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py")) if "starter" not in path.parts}


@cache
def imports(module: str) -> frozenset[str]:
    """Modules of ours that a file imports, anywhere in it."""
    package = FILES[module].relative_to(PACKAGE).parts[:-1]
    found = set()
    for node in ast.walk(ast.parse(FILES[module].read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
            found |= {".".join(name[1:]) for name in names if name[0] == "durable_fn"}
        elif isinstance(node, ast.ImportFrom):
            name = node.module.split(".") if node.module else []
            if node.level:
                name = [*package[: len(package) - (node.level - 1)], *name]
            elif name[0] == "durable_fn":
                name = name[1:]
            else:
                continue
            inside = {".".join((*name, alias.name)) for alias in node.names}
            found |= {one if one in FILES else ".".join(name) for one in inside}
    return frozenset(found - {module})


@pytest.mark.parametrize("module", FILES)
def test_imports_point_down(module: str) -> None:
    own = layer(module)
    wrong = {there for there in imports(module) if layer(there) not in {own, *ALLOWED[own]}}
    assert not wrong, f"{own or 'the package'} must not import {sorted(wrong)}"


def circles(edges: dict[str, frozenset[str]]) -> list[list[str]]:
    """Files that import each other, at once or by way of others."""
    reached: dict[str, set[str]] = {}
    for start, first in edges.items():
        left = [*first]
        seen = reached[start] = set()
        while left:
            module = left.pop()
            if module not in seen:
                seen.add(module)
                left += edges.get(module, ())
    groups = {frozenset(b for b in reached[a] if a in reached.get(b, ())) for a in edges}
    return sorted(sorted(group) for group in groups if group)


def test_no_circles() -> None:
    assert not circles({module: imports(module) for module in FILES})


def test_a_circle_is_found() -> None:
    edges = {"a": frozenset({"b"}), "b": frozenset({"c"}), "c": frozenset({"b", "d"}), "d": frozenset[str]()}
    assert circles(edges) == [["b", "c"]]


def test_every_layer_is_there() -> None:
    assert {layer(module) for module in FILES} == set(ALLOWED)


@pytest.mark.parametrize("module", [module for module in FILES if layer(module) in ("values", "log", "core")])
def test_the_rules_do_no_io(module: str) -> None:
    names = set()
    for node in ast.walk(ast.parse(FILES[module].read_text())):
        if isinstance(node, ast.Import):
            names |= {a.name.split(".")[0] for a in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names.add(node.module.split(".")[0])
    assert not names & {"boto3", "botocore", "asyncio", "threading", "socket", "sqlite3", "time", "os", "pickle"}


def _modules_after(code: str) -> set[str]:
    run = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(run.stdout.split())


def test_import_is_lazy() -> None:
    loaded = _modules_after("import durable_fn")
    assert not loaded & {"boto3", "botocore", "asyncio", "pydantic", "typer", "rich", "sqlite3", "durable_fn.cli"}


def test_a_def_handler_loads_neither_asyncio_nor_boto3() -> None:
    code = "from durable_fn import durable, DurableContext, step, RetryPolicy\n@durable\ndef f(event, ctx): ..."
    assert not _modules_after(code) & {"boto3", "botocore", "asyncio", "typer", "rich", "sqlite3"}


def test_every_public_name_resolves() -> None:
    import durable_fn

    for name in durable_fn.__all__:
        assert getattr(durable_fn, name) is not None
    assert set(durable_fn.__all__) == set(durable_fn._HOME)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        durable_fn.nonsense
