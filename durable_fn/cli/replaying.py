"""`durable-fn replay`: the code of today over what an execution recorded."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from ..core.function import DurableFunction
from ..errors import CallTimeout, DurableError, NonDeterminismError
from . import screens
from .command import FAILED, Target, emit, load, on_journal, say


@on_journal
def replay(
    target: Target,
    id: Annotated[str | None, typer.Argument(help="The execution id; or --from.", metavar="ID")] = None,
    *,
    handler: Annotated[str, typer.Option("--handler", "-H", help="The code: module:handler.", metavar="MODULE:NAME")],
    from_: Annotated[
        Path | None, typer.Option("--from", help="A history in a file, as `history --json` or `--record` printed it.")
    ] = None,
    debug: Annotated[
        bool, typer.Option("--debug", help="Under the debugger: it stops where the handler begins.")
    ] = False,
) -> None:
    """Download an execution's history and run the local code against it, without effects."""
    function = load(handler)
    if not isinstance(function, DurableFunction):
        raise ValueError(f"{handler!r} is a {type(function).__name__}, not a function decorated with @durable")
    if (id is None) == (from_ is None):
        raise ValueError("name an execution, or a file with --from")
    rows = _rows(from_) if from_ is not None else [event.to_json() for event in target.reader().history(str(id))]
    verdict, told, agrees = _replayed(function, rows, debug=debug)
    if target.json:
        emit("replay", id=id, agrees=agrees, verdict=verdict, told=told)
    else:
        say(Text(verdict, "green" if agrees else "red"))
        if told is not None:
            say(screens.plain(told if isinstance(told, str) else screens.shorten(told, 2000)))
    if not agrees:
        raise typer.Exit(FAILED)


def _rows(path: Path) -> list[dict[str, Any]]:
    """Raises ValueError and OSError."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError:
        found = None
    if isinstance(found, dict) and isinstance(found.get("events"), list):
        found = found["events"]
    if not isinstance(found, list):
        raise ValueError(f"{str(path)!r} is no history: it is what `durable-fn history --json` or `--record` prints")
    return found


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What the SDK logs of a mismatch is the verdict, which is said anyway."""
    logger = logging.getLogger("durable_fn")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _replayed(function: DurableFunction[Any, Any], rows: list[dict[str, Any]], *, debug: bool) -> tuple[str, Any, bool]:
    """What came of it, in words; what the handler gave or raised; and whether the code agrees with the log. An error that the
    handler raises is one that it raised before."""
    from ..testing.replays import replay as run

    try:
        with _quiet(), _debugger(function) if debug else contextlib.nullcontext():
            result = run(function, rows)
    except NonDeterminismError as error:
        return "The code does not agree with what was recorded.", str(error), False
    except CallTimeout:
        return "The code agrees with all that is recorded so far; the execution goes on from there.", None, True
    except (DurableError, Exception) as error:
        if _failed(rows):
            return f"The code agrees, and fails as it did: {type(error).__name__}", str(error), True
        return f"The code failed where it had not: {type(error).__name__}", str(error), False
    if _failed(rows):
        return "The code came to a result, where it had failed.", result, False
    return "The code agrees, and came to its result.", result, True


def _failed(rows: list[dict[str, Any]]) -> bool:
    ends = [row for row in rows if row.get("kind") == "execution" and row.get("status") != "STARTED"]
    return bool(ends) and ends[-1]["status"] == "FAILED"


@contextlib.contextmanager
def _debugger(function: DurableFunction[Any, Any]) -> Iterator[None]:
    """pdb, at the handler's first line. Who quits it leaves the command."""
    import pdb

    class Debugger(pdb.Pdb):
        def set_quit(self) -> None:
            super().set_quit()
            raise SystemExit(0)

    debugger = Debugger()
    code = function.__wrapped__.__code__
    debugger.reset()
    problem = debugger.set_break(code.co_filename, code.co_firstlineno, funcname=code.co_name)
    if problem:
        raise ValueError(f"the debugger cannot stop in the handler: {problem}")
    debugger.botframe = sys._getframe()
    debugger.set_continue()  # to the breakpoint, and not here
    before = sys.gettrace()
    sys.settrace(debugger.trace_dispatch)
    try:
        yield
    finally:
        sys.settrace(before)
