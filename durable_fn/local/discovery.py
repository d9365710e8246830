"""Finds the durable functions of a file, a package, a directory or a module: what `durable-fn dev` and `worker` serve.

Of a directory only those files are imported whose source makes something durable, for importing runs code.
"""

from __future__ import annotations

import ast
import importlib
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple

from ..core.function import DurableFunction
from ..errors import DurableError

_NO_SOURCES: Final = frozenset(
    {"__pycache__", "build", "dist", "node_modules", "site-packages", "tests", "venv", ".venv", ".aws-sam", ".git"}
)


class NothingFound(DurableError):
    """There is no durable function, or it cannot be loaded. The message says where, and what to do."""


class Found(NamedTuple):
    """`place`: "module:name"."""

    function: DurableFunction[Any, Any]
    place: str


class _Source(NamedTuple):
    """A module, and the folder that has to be on the path for it."""

    module: str
    root: Path
    name: str = ""


def find(targets: Iterable[str]) -> dict[str, Found]:
    """By the names of the functions. Raises NothingFound, also where two functions have one name."""
    found: dict[str, Found] = {}
    for target in targets:
        sources = list(_sources(target))
        for source in sources:
            for each in _functions(source):
                _add(found, each)
        if not sources:
            raise NothingFound(f"no file below {target!r} has a function decorated with @durable")
    if not found:
        raise NothingFound("none of these has a function decorated with @durable: " + ", ".join(targets))
    return dict(sorted(found.items()))


def watched(targets: Iterable[str]) -> list[Path]:
    """The folders in which a change can matter."""
    return sorted({source.root for target in targets for source in _sources(target)} | {*map(_folder, targets)})


def _folder(target: str) -> Path:
    path = Path(target)
    return (path if path.is_dir() else path.parent if path.is_file() else Path.cwd()).resolve()


def _add(found: dict[str, Found], new: Found) -> None:
    there = found.setdefault(new.function.name, new)
    if there.function is not new.function:
        raise NothingFound(
            f"two durable functions are named {new.function.name!r}: {there.place} and {new.place}; give one of them a name of "
            "its own: @durable(name=...)"
        )


def _sources(target: str) -> Iterator[_Source]:
    path = Path(target)
    if path.is_dir():
        yield from _of_directory(path.resolve())
    elif path.is_file():
        yield _of_file(path.resolve())
    elif os.sep in target or target.endswith(".py"):
        raise NothingFound(f"there is no {target!r}: name a file, a directory, or package.module:name")
    else:
        module, _, name = target.partition(":")
        yield _Source(module, Path.cwd(), name)


def _of_directory(folder: Path) -> Iterator[_Source]:
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _NO_SOURCES and not name.startswith("."))
        for name in sorted(files):
            if name.endswith(".py") and not name.startswith("test_") and _is_durable(Path(parent, name)):
                yield _of_file(Path(parent, name), folder)


def _is_durable(path: Path) -> bool:
    """Whether its source imports durable_fn and decorates with `durable`. What cannot be parsed and seems to is tried, so
    that its error is said."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    if "durable_fn" not in text or "durable" not in text.replace("durable_fn", ""):
        return False
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return "@durable" in text
    return any(_decorates(node) for node in ast.walk(tree))


def _decorates(node: ast.AST) -> bool:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return any(_is_name(decorator) for decorator in node.decorator_list)
    return isinstance(node, ast.Call) and _is_name(node.func)


def _is_name(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        node = node.func
    return (isinstance(node, ast.Name) and node.id == "durable") or (
        isinstance(node, ast.Attribute) and node.attr == "durable"
    )


def _of_file(path: Path, within: Path | None = None) -> _Source:
    """Its module is as long as it is in packages; below a directory that was named, its folders count as well."""
    if path.suffix != ".py":
        raise NothingFound(f"{str(path)!r} is no Python file")
    root = path.parent
    while (root / "__init__.py").exists() and root != root.parent:
        root = root.parent
    if within is not None and root.is_relative_to(within):
        root = within
    parts = path.relative_to(root).with_suffix("").parts
    if parts[-1] == "__init__" and len(parts) > 1:
        parts = parts[:-1]
    return _Source(".".join(parts), root)


def _functions(source: _Source) -> Iterator[Found]:
    """Those made in this module, or the one that was named. One that a module only imports is served where it is made."""
    module = _imported(source)
    if source.name:
        one = getattr(module, source.name, None)
        if not isinstance(one, DurableFunction):
            what = "missing" if one is None else f"a {type(one).__name__}, not a function decorated with @durable"
            raise NothingFound(f"{source.module}:{source.name} is {what}")
        yield Found(one, f"{source.module}:{source.name}")
        return
    for name, value in list(vars(module).items()):
        if isinstance(value, DurableFunction) and vars(value).get("__module__", module.__name__) == module.__name__:
            yield Found(value, f"{source.module}:{name}")


def _imported(source: _Source) -> ModuleType:
    if str(source.root) not in sys.path:
        sys.path.insert(0, str(source.root))
    try:
        return importlib.import_module(source.module)
    except NothingFound:
        raise
    except (Exception, SystemExit) as error:
        why = f"{type(error).__name__}: {error}"
        raise NothingFound(f"{source.module!r} in {source.root} cannot be imported: {why}{_line_of(error)}") from error


def _line_of(error: BaseException) -> str:
    """Where, outside of the import machinery."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({error.filename}, line {error.lineno})"
    place = ""
    step = error.__traceback__
    while step is not None:
        file = step.tb_frame.f_code.co_filename
        if not file.startswith("<frozen") and file not in (__file__, importlib.__file__):
            place = f" ({file}, line {step.tb_lineno})"
        step = step.tb_next
    return place
