"""What the page changes: one function each, from what was sent to what is answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from ..client.callbacks import Callbacks
from ..client.doable import VERBS, Verb, doable
from ..client.executions import Executions
from .filters import chosen
from .messages import Refused
from .world import World

_MOST_AT_ONCE: Final = 100
_MOST_COUNTED: Final = 10_000
"""Ids that one dry run counts. Who has more does it again."""

Given = Mapping[str, Any]


def start(world: World, given: Given, by: str | None) -> Any:
    id = world.client.start(
        _text(given, "name"), given.get("payload"), id=_maybe(given, "id"), delay=_delay(given), if_exists="reject"
    )
    return {"id": id}


def signal(world: World, given: Given, by: str | None) -> Any:
    world.client.signal(_text(given, "id"), _text(given, "name"), given.get("payload"), by=by)
    return {}


def callback(world: World, given: Given, by: str | None) -> Any:
    """By the token, or by the execution and its operation, for whoever may see all has no token."""
    token = _maybe(given, "token")
    if token is None:
        token = Callbacks(Executions(world.backend)).token(_text(given, "id"), _text(given, "operation"))
    how = _text(given, "how")
    if how == "complete":
        world.client.complete_callback(token, given.get("result"), by=by)
    elif how == "fail":
        kind = _maybe(given, "error_type") or "CallbackFailed"
        world.client.fail_callback(token, _text(given, "message"), kind, by=by)
    elif how == "heartbeat":
        world.client.heartbeat_callback(token)
    else:
        raise Refused(400, "how is complete, fail or heartbeat")
    return {}


def cancel(world: World, given: Given, by: str | None) -> Any:
    world.client.cancel(_text(given, "id"), _maybe(given, "reason"), by=by)
    return {}


def terminate(world: World, given: Given, by: str | None) -> Any:
    world.client.terminate(_text(given, "id"), _maybe(given, "reason"), by=by)
    return {}


def redrive(world: World, given: Given, by: str | None) -> Any:
    step = _maybe(given, "from_step")
    return {"cut": world.client.redrive(_text(given, "id"), from_step=step, reason=_maybe(given, "reason"), by=by)}


def fork(world: World, given: Given, by: str | None) -> Any:
    id = world.client.fork(
        _text(given, "id"),
        from_step=_text(given, "from_step"),
        new_id=_maybe(given, "new_id"),
        reason=_maybe(given, "reason"),
        by=by,
    )
    return {"id": id}


def purge(world: World, given: Given, by: str | None) -> Any:
    world.client.purge(_text(given, "id"), reason=_maybe(given, "reason"), by=by)
    return {}


# -- many at once --------------------------------------------------------------------------------------------------


def count(world: World, given: Given, by: str | None) -> Any:
    """The dry run: the very ids that the action would be done to, and how many of the list it passes over. Nothing is changed."""
    verb, wanted = _verb(given), given.get("filter")
    if not isinstance(wanted, dict):
        raise Refused(400, "filter is an object")
    ids: list[str] = []
    passed, cursor = 0, None
    filters = chosen(wanted, world.now())
    while len(ids) < _MOST_COUNTED:
        page = world.client.page(filters, cursor=cursor, limit=min(1000, _MOST_COUNTED - len(ids)))
        matching = [info.id for info in page.executions if doable(verb, info)]
        passed += len(page.executions) - len(matching)
        ids += matching
        cursor = page.cursor
        if cursor is None:
            break
    return {"ids": ids, "passed_over": passed, "more": cursor is not None}


def many(world: World, given: Given, by: str | None) -> Any:
    """Does it to each of the ids that the dry run gave; one that fails keeps none of the others."""
    do = ACTIONS[_verb(given)]
    ids = given.get("ids")
    if not isinstance(ids, list) or len(ids) > _MOST_AT_ONCE:
        raise Refused(400, f"ids is a list of at most {_MOST_AT_ONCE}")
    failed = []
    for id in ids:
        try:
            do(world, {"id": id, "reason": given.get("reason")}, by)
        except Exception as error:
            failed.append({"id": str(id), "error": str(error)})
    return {"done": len(ids) - len(failed), "failed": failed}


# -- what was sent -------------------------------------------------------------------------------------------------


def _text(given: Given, name: str) -> str:
    found = _maybe(given, name)
    if found is None:
        raise Refused(400, f"{name} is missing")
    return found


def _verb(given: Given) -> Verb:
    found = next((verb for verb in VERBS if verb == given.get("action")), None)
    if found is None:
        raise Refused(400, f"action is one of {', '.join(VERBS)}")
    return found


def _maybe(given: Given, name: str) -> str | None:
    found = given.get(name)
    if found is not None and not isinstance(found, str):
        raise Refused(400, f"{name} must be a text")
    return found or None


def _delay(given: Given) -> float | None:
    delay = given.get("delay")
    if delay is None:
        return None
    if isinstance(delay, bool) or not isinstance(delay, int | float):
        raise Refused(400, "delay is a number of seconds")
    return delay


ACTIONS: Final[dict[str, Callable[[World, Given, str | None], Any]]] = {
    "start": start,
    "signal": signal,
    "callback": callback,
    "cancel": cancel,
    "terminate": terminate,
    "redrive": redrive,
    "fork": fork,
    "purge": purge,
    "count": count,
    "many": many,
}
