"""Runs of one handler, side by side: what differs that must not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from ..backends.ports import every
from ..errors import SerializationError
from ..log import failures
from ..log.header import ENDED, LIVE, Header
from ..log.kinds import BRANCH, OUTSIDE, SLEEP
from ..types import ErrorInfo, HistoryEvent
from ..values.plain import plain
from .ledger import Body, Ledger
from .plain import same
from .replays import walk_again
from .runner import Execution, LocalRunner

_OPERATIONS: Final = "the operations that succeeded"
_WAITS: Final = OUTSIDE | {SLEEP}
UNDETERMINED: Final = "not deterministic: "
_HINT: Final = "; drawn outside a step?"


class Facts(NamedTuple):
    """How a run came out. `winners`: of fans that were over before all their branches had ended, the branches that had.
    `interrupted`: steps that ended as StepInterrupted. `unanswered`: waits that had begun and were not over.
    `problems`: in words."""

    compared: dict[str, Any]
    ended: bool
    winners: dict[str, frozenset[str]]
    interrupted: frozenset[str]
    unanswered: frozenset[str]
    ledger: Ledger
    problems: list[str]


def facts_of(run: LocalRunner[Any, Any], execution: Execution[Any], ledger: Ledger) -> Facts:
    info, history = run.client.describe(execution.id), execution.history
    succeeded = Counter(e.id for e in history if e.status == "SUCCEEDED" and e.kind != "execution")
    compared = {
        "the status": info.status,
        "the result": _decoded(execution, run._header(execution.id)),
        "the error": _in_words(info.error),
        "the custom status": info.custom_status,
        _OPERATIONS: dict(succeeded),
    }
    ended = info.status not in LIVE
    waits = {e.id for e in history if e.kind in _WAITS and e.status == "STARTED"} - succeeded.keys()
    return Facts(
        compared,
        ended,
        _winners(history),
        frozenset(ledger.interrupted),
        frozenset(waits),
        ledger,
        list(ledger.problems),
    )


def _decoded(execution: Execution[Any], header: Header) -> Any:
    if header.status != "SUCCEEDED":
        return None
    try:
        return execution.result
    except SerializationError:
        return plain(header.result or "null")


def _in_words(error: ErrorInfo | None) -> str | None:
    return None if error is None else f"{error['error_type']}: {error['message']}"


def _winners(history: list[HistoryEvent]) -> dict[str, frozenset[str]]:
    branches = [event for event in history if event.kind == BRANCH and event.status != "STARTED"]
    lost = {_fan(e.id) for e in branches if e.error and e.error["error_type"].endswith(".ExecutionCancelled")}
    return {fan: frozenset(e.id for e in branches if e.status == "SUCCEEDED" and _fan(e.id) == fan) for fan in lost}


def _fan(branch: str) -> str:
    return branch.rpartition("/")[0]


# -- without a crash -----------------------------------------------------------------------------------------------


def undetermined(first: Facts, second: Facts) -> list[str]:
    """What differs between two runs under the same conditions. Where a body, a signal or an answer itself said something else,
    what follows may be another as well: that is no fault of the handler's."""
    one, other = first.ledger, second.ledger
    if any(_asked_alike(one, other, key) and other.told.get(key, text) != text for key, text in one.told.items()):
        return []
    wrong = [
        f"step {key.operation!r} was called with {text} and {other.asked[key]}"
        for key, text in one.asked.items()
        if other.asked.get(key, text) != text
    ]
    wrong += [
        f"execution {id!r} was started with {text} and {other.given[id, life]}"
        for (id, life), text in one.given.items()
        if other.given.get((id, life), text) != text
    ]
    for what, value in first.compared.items():
        if not same(value, second.compared[what]):
            wrong.append(_told(what, value, second.compared[what]))
    return [f"{UNDETERMINED}{told}{_HINT}" for told in wrong]


def _asked_alike(one: Ledger, other: Ledger, key: Body) -> bool:
    return one.asked.get(key) == other.asked.get(key)


def _told(key: str, one: Any, other: Any) -> str:
    if key != _OPERATIONS:
        return f"{key} was {one!r} and {other!r}"
    rows = [
        f"{id!r} {one.get(id, 0)} and {other.get(id, 0)} times"
        for id in {**one, **other}
        if one.get(id) != other.get(id)
    ]
    return f"these succeeded: {', '.join(rows)}"


def walked_differently(run: LocalRunner[Any, Any]) -> Iterator[str]:
    """What code made of its own log, when it was walked once more, and should not have."""
    for outline in list(every(run.backend.store)):
        function, header = run._functions.get(outline.fn), run._journal.get(outline.id)
        loaded = header and run._journal.load(header.key)
        if function is None or header is None or not loaded or header.status not in ("SUCCEEDED", "FAILED"):
            continue
        after, raised = walk_again(function, header, loaded.segments)
        told = _difference(run, function.name, header, after)
        if told is not None and not isinstance(raised, SerializationError):
            yield f"{UNDETERMINED}walked again over its own log, {told}{_HINT}"


def _difference(run: LocalRunner[Any, Any], fn: str, before: Header, after: Header) -> str | None:
    of = f"of {before.id!r}"
    if after.status not in ENDED:
        held = None if after.error is None else _in_words(failures.info(failures.decode(after.error)))
        return f"{fn!r} {of} went another way: {held or 'it goes on where it had ended'}"
    if before.status != after.status:
        return f"the status {of} was {before.status} and {after.status}"
    if before.status == "FAILED":
        one, other = (_in_words(failures.info(failures.decode(h.error or failures.NOTHING))) for h in (before, after))
        return None if one == other else f"the error {of} was {one} and {other}"
    adapter = run._functions[fn].result_adapter
    texts = [header.result or "null" for header in (before, after)]
    values = [adapter.decode(text, "the result") for text in texts]
    return None if texts[0] == texts[1] or same(*values) else f"the result {of} was {values[0]!r} and {values[1]!r}"


# -- with one ------------------------------------------------------------------------------------------------------


def differences(facts: Facts, *whole: Facts) -> list[str]:
    """Of a run with a death, and those without one, the first of them first. What these do not agree on depends on time, or on
    what bodies say."""
    reference = whole[0]
    wrong = list(facts.problems)
    for key, ran in facts.ledger.bodies.items():
        usual = max(1, *(other.ledger.bodies[key] for other in whole))
        if ran > usual + 1:
            wrong.append(f"the body of step {key.operation!r} of {key.id!r} ran {ran} times in attempt {key.attempt}")
    if facts.interrupted - reference.interrupted or _others_won(facts, reference):
        return wrong if facts.ended or not reference.ended else [*wrong, "the execution did not end"]
    for what, expected in reference.compared.items():
        found = facts.compared[what] if what != _OPERATIONS else _asked_for(facts, reference)
        if all(same(expected, other.compared[what]) for other in whole) and not same(found, expected):
            wrong.append(f"{what} is {found!r} instead of {expected!r}")
    return wrong


def _asked_for(facts: Facts, reference: Facts) -> dict[str, int]:
    """What succeeded, without what nobody waited for any more when a death gave it the time to come."""
    succeeded: dict[str, int] = facts.compared[_OPERATIONS]
    return {id: times for id, times in succeeded.items() if id not in reference.unanswered}


def _others_won(facts: Facts, reference: Facts) -> bool:
    """Whether time, or what a death cost of it, made other branches first. What follows from that may differ."""
    fans = facts.winners.keys() | reference.winners.keys()
    return any(_those_of(facts, fan) != _those_of(reference, fan) for fan in fans)


def _those_of(facts: Facts, fan: str) -> frozenset[str]:
    found = facts.winners.get(fan)
    if found is not None:
        return found
    succeeded = facts.compared[_OPERATIONS]
    return frozenset(id for id in succeeded if _fan(id) == fan)
