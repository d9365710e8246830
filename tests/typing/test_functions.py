"""Functions in place of policies type-check, and wrong ones do not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.typing.test_samples import _environment

RIGHT = """
from datetime import timedelta
from durable_fn import AsyncDurableContext, DurableContext, Retry, RetryPolicy, durable, step
from durable_fn.types import Duration

def wait(error: Exception, attempt: int) -> Duration | None:
    return timedelta(seconds=attempt) if attempt < 5 else None

def pace(state: list[str], checks: int) -> float:
    return 5.0 * checks

def more(state: list[str]) -> list[str]:
    return [*state, "x"]

policies: list[Retry] = [wait, RetryPolicy(), lambda error, attempt: 5]

@step(retry=wait)
def charge(amount: int) -> str:
    return "paid"

@durable(step_retry=wait)
def handler(event: int, ctx: DurableContext) -> str:
    found = ctx.poll(more, initial=["a"], until=lambda s: len(s) > 3, every=pace, retry=wait)
    ctx.wait_for_callback(print, retry=lambda error, attempt: None)
    return ctx.step(charge, 5) + ctx.step(step(charge, retry=wait), len(found))

@durable
async def handler_too(event: int, ctx: AsyncDurableContext) -> str:
    found: list[str] = await ctx.poll(more, initial=["a"], until=lambda s: len(s) > 3, every=pace, retry=wait)
    return await ctx.step(charge, len(found))
"""

WRONG = """
from durable_fn import DurableContext, step

def wait(error: Exception) -> float: ...
def later(error: Exception, attempt: int) -> str: ...
def pace(state: str, checks: int) -> float: ...

def handler(event: int, ctx: DurableContext) -> None:
    step(len, retry=wait)
    step(len, retry=later)
    step(len, retry=3)
    ctx.poll(abs, initial=1, until=bool, every=pace)
"""


def checked(text: str, folder: Path) -> str:
    (folder / "program.py").write_text(text)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--python-version=3.11", "program.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=_environment(), check=False).stdout


def test_functions_as_policies(tmp_path: Path) -> None:
    assert checked(RIGHT, tmp_path).startswith("Success")


def test_functions_that_are_no_policies(tmp_path: Path) -> None:
    told = checked(WRONG, tmp_path)
    for line in (9, 10, 11, 12):
        assert f"program.py:{line}: error:" in told, told
    assert "program.py:8: error" not in told
