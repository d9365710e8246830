"""A shop on a journal in a file, which commands look at and act on, and a worker that runs what is due."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from durable_fn import DurableClient, DurableContext, DurableFunction, RetryPolicy, durable, step
from durable_fn.backends.clocks import VirtualClock
from durable_fn.backends.ports import every
from durable_fn.cli.app import app
from durable_fn.log.wake import Wake
from durable_fn.wiring import sqlite, using

BANK = {"up": True}
TOKENS: dict[str, str] = {}


@step
def reserve(item: str) -> str:
    return f"reserved {item}"


@step(retry=RetryPolicy(max_attempts=2, initial_delay=30, jitter="none"))
def charge(item: str) -> str:
    if not BANK["up"]:
        raise ConnectionError("the bank is down")
    return f"paid {item}"


@durable(name="order")
def order(event: str, ctx: DurableContext) -> str:
    ctx.step(reserve, event)
    ctx.set_status({"stage": "paying"})
    ctx.sleep(60)
    return ctx.step(charge, event)


@durable(name="order")
def order_badly_deployed(event: str, ctx: DurableContext) -> str:
    """Somebody took a step away that executions under way have recorded."""
    ctx.sleep(60)
    return ctx.step(charge, event)


@durable(name="approval")
def approval(event: str, ctx: DurableContext) -> Any:
    ctx.step(reserve, event)

    def ask(token: str) -> None:
        TOKENS[event] = token

    answer = ctx.wait_for_callback(ask, name="approve", timeout=timedelta(days=3))
    return [answer, ctx.wait_for_signal("ship", timeout=3600)]


@durable(name="refund")
def refund(event: str, ctx: DurableContext) -> str:
    return ctx.step(reserve, event)


class Shop:
    """`hours`: how long ago its day began."""

    def __init__(self, path: Path, hours: float = 3) -> None:
        self.url = f"sqlite:///{path}?synchronous=off"
        self.backend = sqlite(str(path), synchronous="off")
        self.clock = self.backend.clock = VirtualClock(round((time.time() - hours * 3600) * 1000))
        self.client = DurableClient(self.backend)
        for function in (order, approval, refund):
            self.backend.wakeups.serve(function.name)

    def work(self, *functions: DurableFunction[Any, Any], until: float = 0) -> None:
        """Runs what is due, until so many hours ago."""
        end = round((time.time() - until * 3600) * 1000)
        while True:
            self.work_once(*functions)
            moment = self._next(functions)
            if moment is None or moment > end:
                self.clock.advance_to(max(end, self.clock.now()))
                return
            self.clock.advance_to(max(moment, self.clock.now()))

    def work_once(self, *functions: DurableFunction[Any, Any]) -> None:
        """What is due at the present time."""
        while self._turns({function.name: function for function in functions}):
            pass

    def _next(self, functions: tuple[DurableFunction[Any, Any], ...]) -> int | None:
        names = {function.name for function in functions}
        due = [header for header in every(self.backend.store) if header.live and header.fn in names]
        return min((max(header.due or 0, header.lease + 1) for header in due), default=None)

    def _turns(self, functions: dict[str, DurableFunction[Any, Any]]) -> int:
        rows = self.backend.store.due(0, self.clock.now(), 10_000)
        turns = 0
        for row in rows:
            header = self.backend.store.head(row.id)
            if header is not None and header.fn in functions:
                body = Wake(row.id, header.run, header.fn, 0).body()
                record = {"eventSource": "aws:sqs", "messageId": "m", "body": body}
                with using(self.backend):
                    functions[header.fn]({"Records": [record]}, None)
                turns += 1
        return turns

    def run(self, *words: str, code: int = 0, input: str | None = None, env: dict[str, str] | None = None) -> Any:
        """A command on its journal."""
        return run(*words, "--backend", self.url, code=code, input=input, env=env)

    def said(self, *words: str, code: int = 0, input: str | None = None) -> str:
        return self.run(*words, code=code, input=input).output

    def told(self, *words: str, code: int = 0) -> Any:
        """Its JSON."""
        return json.loads(self.run(*words, "--json", code=code).stdout)

    def ids(self, *filters: str) -> list[str]:
        return self.said("list", "--ids", "--limit", "1000", *filters).split()


def run(*words: str, code: int = 0, input: str | None = None, env: dict[str, str] | None = None) -> Any:
    environment = {"COLUMNS": "120", "NO_COLOR": "1", "TZ": "UTC", **(env or {})}
    result = CliRunner().invoke(app, list(words), env=environment, input=input)
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


def many(prefix: str, count: int) -> Iterable[str]:
    return [f"{prefix}-{n:04}" for n in range(count)]
