"""What the page reads."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from itertools import islice
from typing import Any, Final

from .. import __version__
from ..errors import ExecutionNotFound
from ..log.header import Header
from ..types import ExecutionFilter, ExecutionInfo
from .filters import chosen
from .messages import Answer, Refused, Request, as_json
from .timeline import cut, drawn
from .world import World

_MOST_ROWS: Final = 200
_COUNTED: Final = 100
"""Of each that wants attention: more are "100+", so that counting stays cheap whatever there is."""
_TEXT: Final = 300
"""Characters of a message or a custom status in a list."""


def meta(world: World, request: Request) -> Answer:
    """What the page has to know before anything else."""
    return as_json(
        200,
        {
            "version": __version__,
            "backend": world.label,
            "kind": world.backend.kind,
            "read_only": world.read_only,
            "poll_s": world.poll_s,
            "by": request.by,
            "now": world.now().isoformat(),
            "functions": world.client.functions(),
            "served": world.served(),
        },
    )


def executions(world: World, request: Request) -> Answer:
    """A page of the list."""
    limit = _limit(request)
    found = world.client.page(
        chosen(request.query, world.now()), cursor=request.query.get("cursor") or None, limit=limit
    )
    return as_json(
        200,
        {
            "executions": [row(info) for info in found.executions],
            "cursor": found.cursor,
            "read_units": found.read_units,
            "scanned": found.scanned,
            "now": world.now().isoformat(),
        },
    )


def _limit(request: Request) -> int:
    text = request.query.get("limit", "50")
    if not text.isdecimal() or not 1 <= int(text[:6]) <= _MOST_ROWS:
        raise Refused(400, f"limit is 1 to {_MOST_ROWS}")
    return int(text)


def attention(world: World, request: Request) -> Answer:
    """What somebody should look at: how many each, at most 100."""
    day = chosen({"updated_after": "7d"}, world.now()).updated_after
    wanted = {
        "failed": ExecutionFilter(status=("FAILED", "TIMED_OUT"), updated_after=day),
        "held": ExecutionFilter(held=True),
        "overdue": ExecutionFilter(overdue=True),
    }
    return as_json(200, {name: _count(world, each) for name, each in wanted.items()})


def _count(world: World, wanted: ExecutionFilter) -> int:
    return len(world.client.page(wanted, limit=_COUNTED + 1).executions)


def execution(world: World, request: Request) -> Answer:
    """One, with its timeline. 304 where nothing has changed since the page looked."""
    id = _id(request)
    version = _version(world, id)
    if version in request.headers.get("if-none-match", ""):
        return Answer(304, b"", {"etag": version})
    document = world.client.document(id)
    return as_json(
        200,
        {
            "execution": whole(document["execution"]),
            "waits": document["waits"],
            **drawn(document),
            "now": world.now().isoformat(),
        },
        etag=version,
    )


def _version(world: World, id: str) -> str:
    """Changes with whatever the page shows of it: the header, and the end of the log, which grows without it."""
    store = world.backend.store
    header = store.head(id)
    if header is None:
        raise ExecutionNotFound(f"there is no execution {id!r}")
    facts = _facts(header)
    text = repr((facts, store.tail(header) if header.live else 0))
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def _facts(header: Header) -> tuple[Any, ...]:
    return (header.key, header.status, header.own, header.lease, header.n, header.gone, header.due, header.turns,
            header.strikes, header.tries, header.doubtful, header.cancel, header.finished, header.timer)  # fmt: skip


def history(world: World, request: Request) -> Answer:
    """The versioned document, as `durable-fn history --json` has it."""
    return as_json(200, world.client.document(_id(request)))


def value(world: World, request: Request) -> Answer:
    """A value that was too long for the timeline: of the execution, or of one operation (`op`)."""
    document = world.client.document(_id(request))
    what, op = request.query.get("what", "result"), request.query.get("op")
    if op is None:
        if what not in ("input", "result", "custom_status"):
            raise Refused(400, "what is input, result or custom_status")
        return as_json(200, {"json": document["execution"][what]})
    found = [event["result"] for event in document["events"] if event["id"] == op and "result" in event]
    if not found:
        raise Refused(404, f"operation {op!r} has no result")
    return as_json(200, {"json": found[-1]})


def children(world: World, request: Request) -> Answer:
    """Executions that wait for their end to be told to this one, or whose id begins with it, as those of calls and sends do."""
    id = _id(request)
    found: dict[str, ExecutionInfo] = {}
    for wanted in (ExecutionFilter(id_prefix=f"{id}/"), ExecutionFilter(parent=id)):
        found |= {info.id: info for info in islice(world.client.page(wanted, limit=_MOST_ROWS).executions, _MOST_ROWS)}
    return as_json(200, {"executions": [row(info) for info in found.values()]})


def _id(request: Request) -> str:
    id = request.query.get("id", "")
    if not id:
        raise Refused(400, "which execution? id=...")
    return id


def row(info: ExecutionInfo) -> dict[str, Any]:
    """Of a list: without values, and with texts that fit a line."""
    found = info.to_json()
    for name in ("input", "result", "waiting_for"):
        del found[name]
    for name in ("error", "held"):
        if found[name] is not None:
            found[name] = {"error_type": found[name]["error_type"], "message": found[name]["message"][:_TEXT]}
    found["custom_status"] = cut(found["custom_status"], _TEXT)
    return found


def whole(execution: dict[str, Any]) -> dict[str, Any]:
    values = {name: cut(execution[name], 20_000) for name in ("input", "result", "custom_status")}
    return {**execution, **values}


VIEWS: Final[dict[str, Callable[[World, Request], Answer]]] = {
    "meta": meta,
    "executions": executions,
    "attention": attention,
    "execution": execution,
    "history": history,
    "value": value,
    "children": children,
}
