"""A history as a tree of operations with times: what the dashboard draws.

The log says when a wait, a call or a branch began, and when a step ended. When a step began it does not say, for that would be a
write more; so it is drawn from the last thing that was recorded before it where it stands, or from the pause before its attempt.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ..log.events import parse
from ..log.kinds import CALL, KINDS, SEND, Kind

Row = dict[str, Any]

MARKERS: Final = frozenset({"redrive", "fork", "generation", "cancel"})
_WAITS: Final = frozenset({"sleep", "callback", "signal", "call", "poll", "timer"})
CUT: Final = 2_000
"""Characters of a value that are shown at once; the whole is asked for."""


def drawn(document: Row) -> Row:
    """Of `DurableClient.document`: `operations` from the outside in, each behind the one that holds it, `markers` for what
    happened to the whole, and `invocations` with their times."""
    tree = _Tree(document)
    for event in document["events"]:
        tree.add(event)
    operations = list(tree.ordered())
    return {
        "operations": operations,
        "markers": [_marker(event) for event in document["events"] if event["kind"] in MARKERS],
        "invocations": _invocations(document, operations),
    }


class _Tree:
    def __init__(self, document: Row) -> None:
        self._start = document["execution"]["started_at"]
        self._waits = {wait["id"]: wait for wait in document["waits"]}
        self._over = document["execution"]["finished_at"]
        self._rows: dict[str, Row] = {}
        self._children: dict[str, list[str]] = {"": []}
        self._clock: dict[str, str] = {}  # of each scope: its newest entry

    def add(self, event: Row) -> None:
        kind, id = event["kind"], event["id"]
        scope = id.rpartition("/")[0]
        if kind in MARKERS:
            self._clock.clear()
            self._start = event["at"]
        elif kind != "execution":
            row = self._row(id, kind)
            self._note(row, event, scope)
            if scope or event["status"] != "STARTED":
                self._clock[scope] = event["at"]

    def _row(self, id: str, kind: str) -> Row:
        """A scope of which nothing is recorded itself is a branch."""
        missing = []
        outer = id.rpartition("/")[0]
        while outer and outer not in self._rows:
            missing.append(outer)
            outer = outer.rpartition("/")[0]
        for scope in reversed(missing):
            self._make(scope, "branch")
        row = self._rows.get(id) or self._make(id, kind)
        if row["kind"] == "branch":
            row["kind"] = kind
        return row

    def _make(self, id: str, kind: str) -> Row:
        parent, _, name = id.rpartition("/")
        row: Row = {
            "id": id, "kind": kind, "name": name, "parent": parent or None,
            "depth": 0 if not parent else self._rows[parent]["depth"] + 1, "from": None, "to": None,
            "status": "RUNNING", "attempts": [], "due": None, "forgotten": True,
        }  # fmt: skip
        self._rows[id] = row
        self._children.setdefault(parent, []).append(id)
        self._children[id] = []
        return row

    def _note(self, row: Row, event: Row, scope: str) -> None:
        forgotten = event.get("forgotten", False)
        if not forgotten and row["forgotten"]:
            row.update(forgotten=False, status="RUNNING", to=None)
        if event["status"] == "STARTED":
            row["from"] = row["from"] or event["at"]
            row["due"] = event.get("due")
            row["status"] = "WAITING" if row["kind"] in _WAITS else "RUNNING"
            row["since"] = event["at"]
        else:
            self._ended(row, event, scope)
        child = _child(event)
        if child is not None:
            row["child"] = child
        for name in ("by", "reason"):
            if event.get(name):
                row[name] = event[name]

    def _ended(self, row: Row, event: Row, scope: str) -> None:
        attempts, at = row["attempts"], event["at"]
        begin = event.get("began") or row.pop("since", None)
        if begin is None and attempts:
            begin = attempts[-1].get("due") or attempts[-1]["to"]
        if begin is None:
            begin = None if self._is_fan(scope) else self._clock.get(scope)
            begin = begin or self._begin_of(scope)
        attempt = {"number": event["attempt"], "from": min(begin, at), "to": at, "status": event["status"]}
        for name in ("error", "due", "invocation", "forgotten"):
            if event.get(name):
                attempt[name] = event[name]
        attempts.append(attempt)
        again = event["status"] == "FAILED" and "due" in event
        row.update(
            status="RETRYING" if again else event["status"],
            to=None if again else at,
            due=event.get("due"),
            error=event.get("error"),
            result=event.get("result"),
        )
        row["from"] = row["from"] or attempt["from"]

    def _begin_of(self, scope: str) -> str:
        """Branches of a fan begin with it, not one after the other."""
        while scope:
            row = self._rows[scope]
            if row["from"] is not None:
                return str(row["from"])
            scope = scope.rpartition("/")[0]
            if scope in self._clock and not self._is_fan(scope):
                return self._clock[scope]
        return str(self._start)

    def _is_fan(self, scope: str) -> bool:
        return bool(scope) and _kind(self._rows[scope]["kind"]).fan

    def ordered(self) -> Iterator[Row]:
        """Without recursion: names may nest as deep as they like."""
        self._close()
        left = list(reversed(self._children[""]))
        while left:
            id = left.pop()
            row = self._rows[id]
            row["children"] = len(self._children[id])
            row["shown"] = cut(row.pop("result", None))
            row.pop("since", None)
            wait = self._waits.get(id)
            if wait is not None and row["status"] in ("WAITING", "RUNNING", "RETRYING"):
                row["on"], row["due"] = wait["on"], wait["until"]
            yield row
            left += reversed(self._inside(id))

    def _inside(self, id: str) -> list[str]:
        """Branches of a fan by their numbers, all else as it came."""
        inside = self._children[id]
        if self._is_fan(id) and all(self._rows[one]["name"].isdecimal() for one in inside):
            return sorted(inside, key=lambda one: int(self._rows[one]["name"][:9]))
        return inside

    def _close(self) -> None:
        """What nothing is recorded of has the times of what is in it, and what is open at the end was left there."""
        for id in reversed(self._rows):
            row = self._rows[id]
            inside = [self._rows[child] for child in self._children[id]]
            begins = [one["from"] for one in inside if one["from"]]
            row["from"] = row["from"] or min(begins, default=str(self._start))
            if self._over and row["status"] in ("RUNNING", "WAITING", "RETRYING"):
                ends = [one["to"] for one in inside if one["to"]]
                quiet = bool(inside) and not row["attempts"] and row["kind"] == "branch"
                row["status"] = "SUCCEEDED" if quiet else "LEFT"
                row["to"] = max([row["from"], *ends]) if quiet and ends else self._over


def _kind(name: str) -> Kind:
    """One of another version is like any other operation."""
    return KINDS.get(name, Kind())


def _child(event: Row) -> str | None:
    """The execution that a call or a send started."""
    if event["kind"] not in (CALL, SEND) or not event.get("entry"):
        return None
    if event["kind"] == SEND:
        return event["result"] if isinstance(event.get("result"), str) else None
    try:
        value = parse(event["entry"]).value
    except ValueError:
        return None
    return value if event["status"] == "STARTED" and value else None


def _marker(event: Row) -> Row:
    names = ("kind", "at", "id", "by", "reason", "result")
    return {name: event[name] for name in names if event.get(name)}


def _invocations(document: Row, operations: list[Row]) -> list[Row]:
    """`replayed`: how many entries there were before, which it read instead of doing them again."""
    begins: dict[str, str] = {}
    for row in operations:
        for attempt in row["attempts"]:
            own = attempt.get("invocation")
            if own is not None and row["kind"] not in _WAITS:
                begins[own] = min(begins.get(own, attempt["from"]), attempt["from"])
    before, found = 0, []
    for each in document["invocations"]:
        first = begins.get(each["invocation"], each["first_entry_at"])
        found.append(
            {**each, "from": min(first, each["first_entry_at"]), "to": each["last_entry_at"], "replayed": before}
        )
        before += each["entries"]
    return found


def cut(value: Any, most: int = CUT) -> Any:
    """A value as the page gets it: `{"json": ...}`, or the beginning of its text with its size."""
    if value is None:
        return None
    from json import dumps

    text = dumps(value, ensure_ascii=False, default=str)
    return {"json": value} if len(text) <= most else {"cut": text[:most], "size": len(text)}
