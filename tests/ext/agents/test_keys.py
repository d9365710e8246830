"""Keys of agents' operations, and what is said where a framework is not installed. No framework is imported here."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_fn import AsyncDurableContext, durable
from durable_fn.ext.agent_runs import Run, begin, durable_context, plain
from durable_fn.ext.step_settings import checked, over
from durable_fn.log.events import key_component
from durable_fn.testing import LocalRunner

EXT = Path(__file__).resolve().parents[3] / "durable_fn" / "ext"
FRAMEWORKS = {
    "pydantic_ai": ("pydantic_ai", "pydantic-ai"),
    "openai_agents": ("agents", "openai-agents"),
    "langgraph": ("langgraph", "langgraph"),
}


@given(st.text(), st.text())
def test_a_providers_id_becomes_a_part_of_a_key(first: str, second: str) -> None:
    made = plain(first)
    assert key_component(made)
    assert "." not in made
    assert (made == plain(second)) == (first == second)


@given(st.lists(st.tuples(st.integers(1, 3), st.text(max_size=3)), max_size=8))
def test_no_two_calls_of_a_run_have_one_key(calls: list[tuple[int, str]]) -> None:
    run = Run(None, "1")  # type: ignore[arg-type]
    keys = [run.call("look", turn, id) for turn, id in calls] + [run.next("look") for _ in range(3)]
    assert len(set(keys)) == len(keys)


def test_the_same_call_has_the_same_key_in_whatever_order() -> None:
    calls = [(1, "a"), (1, "b"), (2, "a")]
    there, back = Run(None, "1"), Run(None, "1")  # type: ignore[arg-type]
    keys = {call: there.call("look", *call) for call in calls}
    assert {call: back.call("look", *call) for call in reversed(calls)} == keys


def test_runs_are_counted_by_branch_and_by_agent() -> None:
    @durable
    async def handler(event: None, ctx: AsyncDurableContext) -> list[str]:
        async def one(c: AsyncDurableContext, n: int) -> list[str]:
            return [begin(c, "a").key, begin(c, "a").key]

        own = [begin(ctx, "a").key, begin(ctx, "b").key]
        await ctx.sleep(3600)
        inside = (await ctx.map(one, range(2))).results
        return [*own, *inside[0], *inside[1], begin(ctx, "a").key]

    with LocalRunner(handler) as runner:
        assert runner.run(None).result == ["1", "1", "1", "2", "1", "2", "2"]


def test_outside_of_a_handler_there_is_nothing_durable() -> None:
    assert durable_context() is None


def test_settings_come_together() -> None:
    base = over(checked({"timeout": 5, "raises": (KeyError,)}, "base"), {"raises": (OSError,)})
    assert over({"timeout": 9, "raises": (ValueError,)}, base) == {
        "timeout": 9,
        "raises": (OSError, KeyError, ValueError),
    }


@pytest.mark.parametrize(("module", "package", "extra"), [(m, p, e) for m, (p, e) in FRAMEWORKS.items()])
def test_a_framework_that_is_missing_is_named(
    module: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for loaded in [name for name in sys.modules if name.startswith((f"durable_fn.ext.{module}", f"{package}."))]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"pip install 'durable-fn\[{extra}\]'"):
        importlib.import_module(f"durable_fn.ext.{module}")


PRIVATE: dict[str, set[str]] = {
    "pydantic_ai": {"pydantic_ai._utils._disable_threads"},
    "openai_agents": {"_invoke_tool_impl", "_is_agent_tool"},
    "langgraph": {"langgraph._internal._serde.build_serde_allowlist"},
}
"""What is not public and used all the same: a canary test holds each of them."""


@pytest.mark.parametrize("module", FRAMEWORKS)
def test_only_what_is_public_is_used(module: str) -> None:
    """Of the framework: no module, name or attribute with an underscore, but those that are pinned."""
    found = set()
    package = FRAMEWORKS[module][0]
    for path in (EXT / module).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == package:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
                found |= {name for name in names if any(part.startswith("_") for part in name.split("."))}
            elif isinstance(node, ast.Attribute) and re.match(r"_[a-z]", node.attr):
                found |= {node.attr} - {name for name in [node.attr] if ast.unparse(node.value) == "self"}
            elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("getattr", "setattr", "hasattr"):
                found |= {
                    arg.value
                    for arg in node.args[1:2]
                    if isinstance(arg, ast.Constant) and re.match(r"_[a-z]", arg.value)
                }
    assert found - {"_replace"} == PRIVATE[module]  # of a named tuple it is public
