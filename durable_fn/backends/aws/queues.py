"""Which queue wakes which function, and whether a URL can be such a queue at all.

A function's queue is told by this process's own variables (`DURABLE_FN_QUEUES`, a JSON object of name to URL, and
`DURABLE_FN_QUEUE_URL` for the functions that run here), or else by the row that each function writes into the table's registry.
A row is remembered for a minute. A queue that does not exist any more is passed over for a minute, so that a queue which was
replaced is found by itself: in the registry, where the variable is old, or by reading the row again.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from ...errors import UnknownFunction
from .dynamodb import DynamoStore

_log = logging.getLogger("durable_fn")

QUEUE_URL: Final = "DURABLE_FN_QUEUE_URL"
QUEUES: Final = "DURABLE_FN_QUEUES"
_REMEMBERED_S: Final = 60.0


class Queues:
    """Of one process. `own`: where the functions that it serves are woken; `told`: by name, of the others; `region`: of the
    client that sends; `monotonic`: seconds that never go back."""

    def __init__(
        self,
        store: DynamoStore,
        *,
        own: str | None,
        told: Mapping[str, str] | None = None,
        region: Callable[[], str] = lambda: "",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._own = own
        self._told = {} if told is None else told
        self._region = region
        self._monotonic = monotonic
        self._served: dict[str, str] = {}  # with their rules for ids
        self._rules: dict[str, tuple[str, float]] = {}
        self._rows: dict[str, tuple[str, float]] = {}
        self._gone: dict[str, float] = {}
        self._lock = threading.Lock()

    def serve(self, fn: str, id_rule: str = "") -> None:
        """Also writes the function's row in the registry, once per process and only in Lambda, so that clients and the
        sweeper find its queue. A failure to do so is logged: the function itself needs no registry."""
        if self._own is None or fn in self._served:
            return
        with self._lock:
            if fn in self._served:
                return
            self._served[fn] = id_rule
        if os.environ.get("AWS_LAMBDA_FUNCTION_NAME"):
            try:
                self._store.register(fn, self._own, id_rule)
            except Exception:
                _log.warning("the queue of durable function %r could not be registered", fn, exc_info=True)

    def find(self, fn: str) -> str:
        """Raises UnknownFunction; RuntimeError for a queue that cannot be used."""
        last: str | None = None
        for look in (self._of_variables, self._of_registry):
            url = look(fn)
            if url is not None and not self._is_gone(url):
                break
            last = url or last
        else:
            url = last  # it is gone, as far as anybody knows; whoever sends to it looks again
        if url is None:
            raise unknown_function(fn, self.known())
        check_queue_url(url, self._region(), f"the queue of durable function {fn!r}")
        return url

    def elsewhere(self, fn: str, gone: str) -> str | None:
        """`find`, after this queue took no message. None where nobody knows another one."""
        with self._lock:
            self._gone[gone] = self._monotonic()
            self._rows.pop(fn, None)
        url = self.find(fn)
        return None if url == gone else url

    def other(self, fn: str) -> str | None:
        """The registered queue of a function whose message came to this process, unless it is this one's."""
        url = self._told.get(fn) or self._of_registry(fn)
        return None if url == self._own else url

    def id_rule(self, fn: str) -> str | None:
        """The function's own rule, or that of the registry row, which is remembered for a minute."""
        if fn in self._served:
            return self._served[fn]
        now, row = self._monotonic(), self._rules.get(fn)
        if row is not None and now - row[1] < _REMEMBERED_S:
            return row[0]
        rule = self._store.id_rule(fn)
        if rule is not None:
            self._rules[fn] = (rule, now)
        return rule

    def known(self) -> tuple[str, ...]:
        """Names of functions. Without those of the registry where it may not be read."""
        try:
            registered = self._store.functions()
        except Exception:
            _log.info("the registry of durable functions could not be listed", exc_info=True)
            registered = []
        return tuple(sorted({*self._told, *self._served, *registered}))

    def _of_variables(self, fn: str) -> str | None:
        return self._own if fn in self._served else self._told.get(fn)

    def _of_registry(self, fn: str) -> str | None:
        now, row = self._monotonic(), self._rows.get(fn)
        if row is not None and now - row[1] < _REMEMBERED_S:
            return row[0]
        url = self._store.locate(fn)
        if url is not None:
            self._rows[fn] = (url, now)
        return url

    def _is_gone(self, url: str) -> bool:
        since = self._gone.get(url)
        return since is not None and self._monotonic() - since < _REMEMBERED_S


def unknown_function(fn: str, known: tuple[str, ...]) -> UnknownFunction:
    listed = ", ".join(map(repr, known[:20])) or "none"
    return UnknownFunction(
        f"no durable function {fn!r} is known: neither {QUEUES} names its queue, nor has it registered itself in the "
        "table (it does "
        f"when it runs for the first time). Known: {listed}. Correct the name, or add it to {QUEUES} of whoever starts it",
        name=fn,
        known=known,
    )


def told_queues(text: str | None) -> dict[str, str]:
    """Of DURABLE_FN_QUEUES. Raises RuntimeError for what is not a JSON object of texts."""
    if not text:
        return {}
    try:
        found: Any = json.loads(text)
    except ValueError as error:
        raise RuntimeError(f"{QUEUES} is not JSON ({error}): {_EXAMPLE}") from None
    if not isinstance(found, dict) or not all(isinstance(url, str) and url for url in found.values()):
        raise RuntimeError(f"{QUEUES} must be a JSON object of function names to queue URLs: {_EXAMPLE}")
    return found


_EXAMPLE: Final = '{"billing": "https://sqs.REGION.amazonaws.com/ACCOUNT/NAME"}'


class _Place(NamedTuple):
    region: str  # "" where the host does not name one (an emulator)
    account: str
    name: str


_REGION: Final = re.compile(r"(?:^|\.)((?:[a-z]{2}|eusc)(?:-[a-z]+)+-\d)\.")
_PARTITIONS: Final = (
    ("cn-", "aws-cn"), ("us-gov-", "aws-us-gov"), ("us-iso-", "aws-iso"), ("us-isob-", "aws-iso-b"), ("eu-isoe-", "aws-iso-e"),
    ("us-isof-", "aws-iso-f"), ("eusc-", "aws-eusc"),
)  # fmt: skip


def check_queue_url(url: str, region: str, what: str) -> None:
    """Raises RuntimeError for a URL that is no queue's, or of a queue that cannot wake a function: a FIFO queue, or one in
    another region than `region` ("" where that is not known)."""
    place = _place(url, what)
    if place.name.endswith(".fifo"):
        raise RuntimeError(
            f"{what} is the FIFO queue {url!r}: FIFO queues take no delay per message, so no timer could be set. Use a "
            "standard queue "
            "for wake messages (a FIFO queue may be an event source besides)"
        )
    if place.region and region and place.region != region:
        raise RuntimeError(
            f"{what} is {url!r}, in the region {place.region}, but this process works in {region}: a function is woken "
            "by a queue in "
            "its own region. Correct the variable"
        )


def queue_arn(url: str, region: str) -> str:
    """The ARN behind a queue URL; `region` where the host does not name one (an emulator). Raises RuntimeError."""
    place = _place(url, QUEUE_URL)
    region = place.region or region
    partition = next((name for prefix, name in _PARTITIONS if region.startswith(prefix)), "aws")
    return f"arn:{partition}:sqs:{region}:{place.account}:{place.name}"


def _place(url: str, what: str) -> _Place:
    parts = urlsplit(url)
    path = parts.path.strip("/").split("/")
    if not parts.hostname or len(path) < 2 or not path[-2].isdigit():
        raise RuntimeError(f"{what} must be a queue's URL (https://sqs.REGION.amazonaws.com/ACCOUNT/NAME), got {url!r}")
    named = _REGION.search(parts.hostname)
    region = named[1] if named else "us-east-1" if parts.hostname == "queue.amazonaws.com" else ""
    return _Place(region, path[-2], path[-1])
