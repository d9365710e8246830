"""Recorded histories as tests of today's code."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeVar

from ..backends.clocks import VirtualClock
from ..backends.ports import Backend, Loaded
from ..backends.sqlite import PollingWakeups, SQLiteStore
from ..core.function import DurableFunction
from ..core.turn import Turn
from ..errors import CallTimeout, NonDeterminismError, SerializationError
from ..log import failures
from ..log.durations import moment
from ..log.events import Segment, parse_body
from ..log.header import Header
from ..log.history import last_sleeps
from ..runtime.invocation import Invocation
from ..types import HistoryEvent
from ..values import documents
from ..values.terms import Terms
from ..wiring import using
from .handlers import decorated
from .lambda_context import FakeLambdaContext

R = TypeVar("R")

_TIMEOUT_S: Final = 900
_NO_ENTRIES: Final = frozenset({"execution", "redrive", "fork", "generation", "cancel"})
"""Kinds that are for who reads: what a replay needs of them stands elsewhere."""


class _Reading(Invocation):
    read_only = True
    seed: str | None = None  # of a history that has none: other draws than the first time

    def _turn(self, loaded: Loaded) -> Turn:
        turn = super()._turn(loaded)
        turn.seed = self.seed
        turn.terms = Terms(encrypted=True)  # nothing is stored
        return turn


def replay(handler: DurableFunction[Any, R], history: Iterable[HistoryEvent | dict[str, Any]]) -> R:
    """Runs today's code over a recorded history, without effects. Put production histories in CI.

    ```python
    replay(order, json.loads(Path("histories/order-1001.json").read_text())["events"])
    ```

    Args:
        handler: The code of today.
        history: What `DurableClient.history` gives, or its `to_json()` rows.

    Returns:
        What the handler returns.

    Raises:
        NonDeterminismError: Code and history differ.
        CallTimeout: The history ends before its execution did, and agrees so far.
        ValueError: These rows are no history.
        Exception: What the handler raises.
    """
    decorated("replay", handler)
    rows = [row.to_json() if isinstance(row, HistoryEvent) else row for row in history]
    recorded = _read(rows)
    store = SQLiteStore(":memory:", synchronous="off")
    try:
        return _run(handler, store, recorded)
    finally:
        store.close()


class _Recorded(NamedTuple):
    """What a history has for a replay. Times are in milliseconds; `text`: the event."""

    id: str
    text: str
    started: int
    latest: int
    lines: list[str]
    seed: str | None
    ended: bool


def _read(rows: list[dict[str, Any]]) -> _Recorded:
    try:
        start = next(row for row in rows if row["kind"] == "execution" and row["status"] == "STARTED")
        lines = [str(row["entry"]) for row in rows if row["kind"] not in _NO_ENTRIES and not row.get("forgotten")]
        origin = _origin(start)
        for before, line in reversed(origin.get("asides", [])):
            lines.insert(int(before), str(line))
        ended = any(row["kind"] == "execution" and row["status"] != "STARTED" for row in rows)
        started = moment(datetime.fromisoformat(start["at"]), "the start")
        latest = max([started, *(int(line.split("\t")[5]) for line in lines)])
        text = start.get("entry") or documents.outside(json.dumps(start.get("result")))
        seed = origin.get("seed")
        return _Recorded(str(start["id"]), text, started, latest, lines, None if seed is None else str(seed), ended)
    except (StopIteration, LookupError, TypeError, ValueError) as error:
        raise ValueError(
            "this is no history: give what DurableClient.history(id) returns, or a list of its to_json() rows "
            f"(with the row of kind 'execution' that has the input); {type(error).__name__}: {error}"
        ) from None


def _origin(start: dict[str, Any]) -> dict[str, Any]:
    """What a history has besides its entries; nothing, if it is of an earlier version."""
    origin = json.loads(start.get("origin") or "{}")
    if not isinstance(origin, dict):
        raise TypeError(f"its origin is no object: {start['origin']!r}")
    return origin


def _run(handler: DurableFunction[Any, R], store: SQLiteStore, recorded: _Recorded) -> R:
    clock = VirtualClock(recorded.latest)
    header = Header(
        recorded.id, handler.name, "0" * 16, "replay", "SUSPENDED", recorded.started, 0, "", input=recorded.text,
        due=recorded.latest, turns=1,
    )  # fmt: skip
    store.create(header)
    for seq, line in enumerate(recorded.lines):
        store.append(header, Segment(seq, "history", line))
    invocation = _Reading(
        handler, Backend(store, PollingWakeups(), clock, "sqlite"), FakeLambdaContext(clock, timeout=_TIMEOUT_S)
    )
    invocation.seed = recorded.seed
    invocation.resume(header.id)
    after = store.get(header.id)
    assert after is not None
    return _verdict(handler, invocation, after, ended=recorded.ended)


class Walked(NamedTuple):
    """What code made of its own log."""

    header: Header
    raised: BaseException | None


def walk_again(handler: DurableFunction[Any, Any], header: Header, segments: list[Segment]) -> Walked:
    """The code of an execution that has ended, once more over all that it recorded. Nothing is run or told: code that draws
    nothing outside its steps comes to the same end."""
    assert header.finished is not None
    again = replace(
        header,
        status="SUSPENDED", result=None, error=None, finished=None, parent=None, lease=0, prev_lease=0, own="", doubtful=0,
        due=header.finished, turns=1, n=0, gone=0, edition="", copied=0, tries=0, strikes=0, timer=None,
    )  # fmt: skip
    clock = VirtualClock(header.finished)
    store = SQLiteStore(":memory:", synchronous="off")
    try:
        store.create(again)
        events = [event for segment in segments for event in parse_body(segment.body)]
        bodies = [*(segment.body for segment in segments), *(e.line() for e in last_sleeps(events, header.finished))]
        for seq, text in enumerate(bodies):
            store.append(again, Segment(seq, "history", text))
        backend = Backend(store, PollingWakeups(), clock, "sqlite")
        invocation = _Reading(
            handler, backend, FakeLambdaContext(clock, timeout=_TIMEOUT_S, function_name=handler.name)
        )
        invocation.hooks, invocation.in_order = (), True
        with using(backend):
            invocation.resume(again.id)
        after = store.get(again.id)
        assert after is not None
        return Walked(after, invocation.raised)
    finally:
        store.close()


def _verdict(handler: DurableFunction[Any, R], invocation: Invocation, after: Header, *, ended: bool) -> R:
    if after.status == "SUCCEEDED":
        result: R = handler.result_adapter.decode(after.result or "null", f"the result of {handler.name!r}")
        return result
    if invocation.raised is not None:
        raise invocation.raised
    if after.error is not None:
        failure = failures.decode(after.error)
        if not isinstance(failure.data, dict) or failure.data.keys() != {"recorded", "attempted", "position"}:
            raise SerializationError(failure.message)
        raise NonDeterminismError(
            failure.message, **(failure.data or {"recorded": None, "attempted": None, "position": 0})
        )
    if ended:
        raise NonDeterminismError(
            f"the code of {handler.name!r} goes on where the recorded execution {after.id!r} ended: an operation was added at "
            "its end, or a condition changed",
            recorded="the end of the handler",
            attempted="another operation",
            position=-1,
        )
    raise CallTimeout(
        f"the history of {after.id!r} ends before the execution did; the code agrees with it so far",
        execution_id=after.id,
        status="SUSPENDED",
    )
