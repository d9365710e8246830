"""Imports point one way (docs/decisions/001-layout.md), and importing the package stays cheap."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "durable_fn"

# layer -> layers it may import; a module belongs to the longest prefix that fits.
PURE = {"errors", "types", "batch", "values", "log", "core"}
RUN = {
    "clocks", "fronts", "handler", "hints", "holding", "hooks", "invocation", "lambda_time", "launching", "paths", "ports",
    "runtime", "settlement", "starting",
}  # fmt: skip
ALLOWED = {
    "errors": {"types", "batch"},  # the batch in an error: for checkers only
    "types": set(),
    "batch": {"errors", "types"},
    "hooks": {"types"},
    "values": {"errors", "types", "core", "log"},
    "log": PURE,
    "core": PURE,
    "ports": {*PURE, "hooks"},
    "clocks": set(),
    "lambda_time": set(),
    "hints": {*PURE, "ports", "backends"},
    "paths": set(),
    "starting": {*PURE, *RUN, "backends"},
    "launching": {*PURE, *RUN, "backends"},
    "fronts": {*PURE, *RUN, "backends"},
    "backends": {*PURE, "ports", "clocks", "hooks"},
    "codecs": {"backends"},
    "wiring": {"ports", "clocks", "backends", "hooks"},
    "handler": {*PURE, "fronts", "runtime", "triggers", "hooks"},
    "function": {*PURE, "runtime", "triggers", "hooks"},
    "holding": {*PURE, *RUN, "backends"},
    "settlement": {*PURE, *RUN, "backends"},
    "invocation": {*PURE, *RUN, "backends"},
    "runtime": {*PURE, *RUN, "backends", "function"},
    "http_events": set(),
    "triggers": {*PURE, *RUN, "backends", "function", "http_events", "wiring"},
    "ext": {"errors", "types", "hooks", "__version__"},
    "sweeper": {*PURE, *RUN, "backends", "wiring"},
    "callback_api": {"client", "errors", "http_events", "triggers"},
    "client": {*PURE, *RUN, "backends", "function", "wiring"},
}
TOP = {"testing", "local", "cli", "", "__main__"}  # may import anything of ours but each other's private names


def _layer(module: str) -> str:
    return module.split(".", maxsplit=1)[0]


def _imports(path: Path) -> set[str]:
    """Modules of durable_fn, without the package's name, that a file imports anywhere in it."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    package = parts[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - (node.level - 1)] if node.level else ()
            names = [".".join((*base, node.module))] if node.module else [".".join((*base, a.name)) for a in node.names]
            if node.level:
                found.update(names)
            elif node.module and node.module.split(".")[0] == "durable_fn":
                found.add(node.module.removeprefix("durable_fn").lstrip("."))
        elif isinstance(node, ast.Import):
            found.update(a.name.removeprefix("durable_fn.") for a in node.names if a.name.startswith("durable_fn."))
    return found


FILES = sorted(p for p in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    layer = _layer(".".join(path.relative_to(PACKAGE).with_suffix("").parts))
    if layer in TOP or layer == "__init__":
        return
    wrong = {m for m in _imports(path) if m and _layer(m) not in ALLOWED[layer] | {layer}}
    assert not wrong, f"{layer} must not import {sorted(wrong)}"


@pytest.mark.parametrize(
    "path", [p for p in FILES if {"core", "log", "values"} & set(p.relative_to(PACKAGE).parts)], ids=lambda p: p.stem
)
def test_core_does_no_io(path: Path) -> None:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
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
