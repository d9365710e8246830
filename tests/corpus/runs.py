"""Runs a shape on a journal, with what comes from outside, and tells what came of it."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from dataclasses import dataclass
from typing import Any

from durable_fn import DurableClient
from durable_fn.backends.ports import Backend
from durable_fn.log.failures import decode
from durable_fn.testing import CrashReport, Execution, LocalRunner
from durable_fn.testing.cloud import LocalCloud
from durable_fn.testing.crashes import crash_at
from tests.corpus.outside import TOKENS
from tests.corpus.shape import Shape
from tests.effects import EFFECTS
from tests.torture.emulator.cloud import MemoryCloud

ID = "x"
_ROUNDS = 30
_ENDED = ("durable_fn.errors.ExecutionCancelled", "durable_fn.errors.ExecutionTimedOut", "asyncio.CancelledError")
"""Where a cancellation or the deadline met an operation: that differs between the fronts, and is in the history only."""
_LIVE = ("PENDING", "RUNNING", "SUSPENDED")


def known(value: Any) -> Any:
    """Without the parts of ids that nobody can know."""
    if isinstance(value, list):
        return [known(item) for item in value]
    return re.sub(r"~[0-9a-f]{16}", "", value) if isinstance(value, str) else value


@dataclass
class Facts:
    """`rows`: the journal without times; where branches run beside each other in no order."""

    status: str
    result: Any
    error: str | None
    effects: list[str]
    rows: list[tuple[Any, ...]]

    def results(self) -> list[tuple[Any, ...]]:
        """How each operation ended, in no order; but for what a loser of a race was at when it lost, which may be anywhere."""
        return sorted((row for row in self.common() if row[2] != "STARTED"), key=repr)

    def common(self) -> list[tuple[Any, ...]]:
        """What both fronts record, in order."""
        return [row for row in self.rows if row[1] != "end" and row[-1] not in _ENDED]

    def ends(self) -> set[tuple[Any, ...]]:
        """What was committed, without values: another execution has other tokens and other random values."""
        return {row[:3] for row in self.results()}


def on_sqlite(shape: Shape, front: str, *, always_suspend: bool = False) -> Facts:
    _forget()
    with LocalRunner(shape.fronts[front], *shape.others, always_suspend=always_suspend) as runner:
        execution = runner.start(shape.event, ID)
        if shape.early is not None:
            shape.early(runner.client, ID)
        runner.run_on(execution)
        for _ in range(_ROUNDS):
            if execution.status not in _LIVE:
                break
            if shape.outside is not None:
                shape.outside(runner.client, ID)
                runner.run_on(execution)
            else:
                runner.advance(3600)
        facts = _facts(shape, runner.backend, runner.client)
        runner.run(shape.event, ID)
        assert _facts(shape, runner.backend, runner.client) == facts, "a finished execution answers from its record"
        return facts


class _Death(BaseException):
    """The process is gone in the middle of an invocation."""


def _dies(cloud: LocalCloud, point: int) -> None:
    """At one request of its invocations: before an odd one, after an even one."""
    store: Any = cloud.store
    request, invoke = store.table.request, cloud.invoke
    left = [point // 2]

    def asked(action: str, **arguments: Any) -> Any:
        left[0] -= 1
        if left[0] == 0 and point % 2:
            raise _Death
        reply = request(action, **arguments)
        if left[0] == 0:
            raise _Death
        return reply

    def invoked(*args: Any, **kwargs: Any) -> Any:
        store.table.request = asked
        try:
            return invoke(*args, **kwargs)
        finally:
            store.table.request = request

    cloud.invoke = invoked  # type: ignore[method-assign]


def on_aws(
    shape: Shape, front: str, *, in_memory: bool = False, deliveries: int = 1, dies_at: int | None = None
) -> Facts:
    """`deliveries`: how often each wake message comes. `dies_at`: the invocation that makes this request dies."""
    _forget()
    function = shape.fronts[front]
    made = MemoryCloud if in_memory else LocalCloud
    with made(bucket=shape.bucket, deliveries=deliveries) as cloud:
        if dies_at is not None:
            _dies(cloud, dies_at)
        for one in (function, *shape.others):
            cloud.attach(one)
        cloud.client.start(function, shape.event, id=ID)
        if shape.early is not None:
            shape.early(cloud.client, ID)
        for _ in range(_ROUNDS):
            if not cloud.run(ID).live:
                break
            if shape.outside is not None:
                shape.outside(cloud.client, ID)
            else:
                cloud.advance(3600)
        assert all(isinstance(death, _Death) for death in cloud.deaths)
        assert len(cloud.deaths) <= (dies_at is not None)
        assert cloud.dead_letters(function) == []
        return _facts(shape, cloud.backend, cloud.client)


def allowed_repeats(shape: Shape) -> range:
    """How often an effect may have happened after a death: one death repeats a body at most once, and one that is at most once
    never. Where a death changes which operations there are, a body may have been left out."""
    return range(0 if shape.death_changes else 1, 2 if "result" in shape.death_changes else 3)


def dying_everywhere(shape: Shape, front: str) -> CrashReport:
    """One run per request before or after which the process dies; of the many native shapes, every second of these. Also
    counts effects."""
    _forget()
    wrong: list[str] = []
    allowed = allowed_repeats(shape)

    def drive(runner: LocalRunner[Any, Any], execution: Execution[Any]) -> None:
        if shape.early is not None:
            shape.early(runner.client, execution.id)
        if shape.outside is not None:
            shape.outside(runner.client, execution.id)
        else:
            runner.advance(3600)

    def check(execution: Execution[Any]) -> None:
        execution._runner.advance(3600)  # what it called may have died as well
        counts = Counter(EFFECTS)
        wrong.extend(f"{name}: {counts[name]} times" for name in shape.once if counts[name] not in allowed)
        _forget()

    stride = 1 if "sync" in shape.fronts else 2
    first = zlib.crc32(shape.name.encode()) // 7 % stride
    report = crash_at(
        lambda point: point % stride == first,
        shape.fronts[front],
        shape.event,
        *shape.others,
        id=ID,
        drive=drive,
        check=check,
        setup=_forget,
    )
    assert not wrong, wrong
    return report


def _forget() -> None:
    EFFECTS.clear()
    TOKENS.clear()


def _facts(shape: Shape, backend: Backend, client: DurableClient) -> Facts:
    header = backend.store.get(ID)
    assert header is not None
    result = client.result(ID) if header.status == "SUCCEEDED" else None
    error = decode(header.error).error_type.rpartition(".")[2] if header.error else None
    rows = [
        (e.id, e.kind, e.status, e.attempt, None if shape.drawn else known(e.result), e.error and e.error["error_type"])
        for e in client.history(ID)
        if e.kind != "execution"
    ]
    return Facts(header.status, known(result), error, list(EFFECTS), rows if shape.same else sorted(rows, key=repr))
