"""What an editor shows about a public name: an example that names what exists, every parameter, no columns."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import durable_fn
from durable_fn import AsyncDurableContext, DurableClient, DurableContext, testing
from durable_fn.errors import DurableError

QUIET = {"now", "uuid4", "random", "is_replaying", "logger", "lambda_context", "execution_id", "name", "branch"}
"""They say all of it in a line."""
LATER = {"waits", "document", "page", "functions"}
"""Of the client; for tools."""
CONTEXTS = {"ctx": (DurableContext, AsyncDurableContext), "client": (DurableClient,), "runner": (testing.LocalRunner,)}


def methods(cls: type) -> Iterator[tuple[str, Any]]:
    for name, value in vars(cls).items():
        function = value.__func__ if isinstance(value, classmethod) else value
        if not name.startswith("_") and inspect.isfunction(function) and name not in QUIET | LATER:
            yield f"{cls.__name__}.{name}", function


def names() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in durable_fn.__all__:
        value = getattr(durable_fn, name)
        if not (isinstance(value, type) and issubclass(value, DurableError | BaseException)) and callable(value):
            found[name] = value
    for cls in (DurableContext, AsyncDurableContext, DurableClient):
        found.update(methods(cls))
    found |= {
        name: getattr(testing, name)
        for name in ("LocalRunner", "crash_everywhere", "CrashReport", "replay", "FaultyBackend")
    }
    found.pop("Retry", None)  # a type, not a name to call
    return found


NAMES = names()
each = pytest.mark.parametrize("name", NAMES)


def text(name: str) -> str:
    return inspect.cleandoc(NAMES[name].__doc__ or "")


def examples(name: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", text(name), re.M | re.S)


def test_the_main_names_are_there() -> None:
    main = {"durable", "step", "RetryPolicy", "Completion", "Signal", "DurableContext.step", "DurableClient.start"}
    assert main | {"LocalRunner", "crash_everywhere", "AsyncDurableContext.race"} <= NAMES.keys()
    assert len(NAMES) > 60


@each
def test_it_has_an_example(name: str) -> None:
    assert examples(name)


@each
def test_its_example_names_what_exists(name: str) -> None:
    for example in examples(name):
        tree = compile(example, name, "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in CONTEXTS:
                assert all(hasattr(cls, node.attr) for cls in CONTEXTS[node.value.id]), node.attr
            if isinstance(node, ast.Call):
                check_keywords(node)


def check_keywords(call: ast.Call) -> None:
    """Options of an operation, or of a public name, are options that it has."""
    function: Callable[..., Any] | None = None
    if isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name):
        owner = CONTEXTS.get(call.func.value.id)
        function = getattr(owner[0], call.func.attr) if owner else None
    elif isinstance(call.func, ast.Name):
        function = getattr(durable_fn, call.func.id, None) or getattr(testing, call.func.id, None)
    if function is None:
        return
    known = inspect.signature(function).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        known = {**known, "key": None, "name": None}  # type: ignore[dict-item, assignment]
    assert [word.arg for word in call.keywords if word.arg not in known] == []


def parameters(value: Any) -> list[str]:
    shown = inspect.signature(value.__init__ if isinstance(value, type) else value).parameters
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    return [stars.get(p.kind, "") + p.name for p in shown.values() if p.name not in ("self", "cls")]


MADE_BY_US = {
    "BatchItem", "BatchResult", "Callback", "AsyncCallback", "Saga", "AsyncSaga", "StepInfo", "DurableFunction",
    "DurableContext", "AsyncDurableContext", "Codec", "Hooks", "CrashReport",
}  # fmt: skip
PLAIN = {"DurableClient.describe", "DurableClient.heartbeat_callback"}


@pytest.mark.parametrize("name", [name for name in NAMES if name not in MADE_BY_US | PLAIN])
def test_every_parameter_is_documented(name: str) -> None:
    told = re.findall(r"^    (\*{0,2}\w+): ", text(name).partition("\nArgs:\n")[2].partition("\nR")[0], re.M)
    assert [p for p in parameters(NAMES[name]) if p not in told] == []
    assert [p for p in told if p not in parameters(NAMES[name])] == []


@each
def test_it_has_no_columns(name: str) -> None:
    prose = re.sub(r"^```.*?^```", "", text(name), flags=re.M | re.S)
    assert not re.search(r"\S {3,}\S", prose)


def test_both_contexts_say_the_same() -> None:
    def plain(cls: type) -> dict[str, str]:
        return {
            name.partition(".")[2]: " ".join(
                re.sub(r"\bawait |\basync ", "", inspect.cleandoc(fn.__doc__ or "")).split()
            )
            for name, fn in methods(cls)
        }

    threads, aio = plain(DurableContext), plain(AsyncDurableContext)
    assert threads.keys() == aio.keys()
    for name in threads.keys() - {"step", "parallel", "map", "race", "shielded"}:
        assert threads[name].replace("(", "").replace(")", "") == aio[name].replace("(", "").replace(")", ""), name


@each
def test_defaults_read_as_they_are(name: str) -> None:
    """Editors show the source of a default: a number, a text, None, not the name of a constant of ours."""
    value = NAMES[name]
    function = value.__init__ if isinstance(value, type) else value
    if not inspect.isfunction(function):
        return
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    assert isinstance(tree, ast.FunctionDef | ast.AsyncFunctionDef)
    told = [ast.unparse(default) for default in [*tree.args.defaults, *tree.args.kw_defaults] if default is not None]
    assert [text for text in told if re.fullmatch(r"_\w+", text)] == []
