"""What goes over the wire to moto, made safe, strict and countable.

moto's DynamoDB is not isolated between threads, it accepts what AWS rejects, it always reports one unit of capacity, and
its SQS looks at the real clock. Here every request is serialised, checked against the limits of AWS, counted with the
capacity it would consume, and SQS lives on the clock it is given.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final
from unittest import mock
from xml.sax.saxutils import unescape

from moto.core import responses, utils
from moto.core.models import botocore_stubber
from moto.core.serialize import ResponseSerializer
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.dynamo_type import DynamoType

from ..backends.ports import Clock
from .permissions import Permission, Place, needed

_ITEM_BYTES: Final = 400 * 1024
_TRANSACTION_BYTES: Final = 4 * 1024 * 1024
_MESSAGE_BYTES: Final = 256 * 1024
_WRITES: Final = frozenset({"PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"})
_AT: Final = re.compile(r"at\(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\)")
_NAME: Final = re.compile(r"[0-9a-zA-Z\-_.]{1,64}")
_KEYS: Final = re.compile(rb"<Key>(.*?)</Key>")
_acting: ContextVar[str | None] = ContextVar("durable_fn_acting")


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it went over the wire; botocore's own retries are requests too. `units`: write or read units of the
    table; `index_units`: write units of its indices, of which `listing_units` are those of the one for lists."""

    service: str
    action: str
    units: float = 0
    index_units: float = 0
    status: int = 200
    listing_units: float = 0

    @property
    def is_write(self) -> bool:
        return self.action in _WRITES

    @property
    def is_message(self) -> bool:
        return self.action in ("SendMessage", "SendMessageBatch", "CreateSchedule")


class Wire:
    """Between botocore and moto. `requests` is what the code under test sent; not what AWS does by itself. `permissions` is
    what it needs in IAM, and what AWS does in the name of a function's role."""

    def __init__(self, clock: Clock, place: Place) -> None:
        self._clock = clock
        self._place = place
        self._lock = threading.RLock()
        self._silent = threading.local()
        self._caller: str | None = "client"
        self.hops: dict[str, int] | None = None
        """Within an invocation: how often each function was invoked in the chain that led to it, itself included. Lambda counts
        so to detect loops, by the trace header that botocore passes on."""
        self.lineage: dict[str, dict[str, int]] = {}
        """Of each message that was sent within an invocation, by its id."""
        self.requests: list[Request] = []
        self.permissions: set[Permission] = set()

    @contextlib.contextmanager
    def open(self) -> Iterator[Wire]:
        process = botocore_stubber.process_request
        seconds = lambda *_: self._clock.now() / 1000
        with (
            mock.patch.object(botocore_stubber, "process_request", lambda request: self._pass(process, request)),
            mock.patch.object(ResponseSerializer, "_serialize_structure_member", _member),
            mock.patch.object(responses, "method_names_from_class", _method_names),
            mock.patch.object(responses, "camelcase_to_underscores", _underscores),
            mock.patch("moto.sqs.models.unix_time", seconds),
            mock.patch("moto.sqs.models.unix_time_millis", lambda *_: float(self._clock.now())),  # noqa: PT008
        ):
            yield self

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Requests that AWS's own parts make: not counted."""
        before = getattr(self._silent, "on", False)
        self._silent.on = True
        try:
            with self.acting(None):
                yield
        finally:
            self._silent.on = before

    @contextlib.contextmanager
    def acting(self, caller: str | None) -> Iterator[None]:
        """Requests need the permissions of this caller's role; None: of nobody's. Threads that were started without the
        context, as asyncio's executor does, belong to the latest caller."""
        token = _acting.set(caller)
        before, self._caller = self._caller, caller
        try:
            yield
        finally:
            self._caller = before
            _acting.reset(token)

    def _pass(self, process: Callable[[Any], Any], request: Any) -> Any:
        service, action, body = _parsed(request)
        with self._lock:
            caller = _acting.get(self._caller)
            if caller is not None:
                pairs = needed(self._place, service, action, body, request.method, request.url)
                self.permissions.update(Permission(caller, *pair) for pair in pairs)
            problem = _problem(action, body)
            if problem is not None:
                reply: Any = (400, {}, json.dumps({"__type": "ValidationException", "message": problem}))
                units = index_units = listing_units = 0.0
            else:
                before = _items(action, body)
                reply = process(request)
                units, index_units, listing_units = _capacity(action, body, before, _items(action, body), reply)
                if self.hops is not None:
                    self.lineage.update((id, dict(self.hops)) for id in _sent(action, reply))
            if not getattr(self._silent, "on", False) and reply is not None:
                self.requests.append(Request(service, action, units, index_units, reply[0], listing_units))
            return reply


_method_names: Final = functools.cache(utils.method_names_from_class)
_underscores: Final = functools.cache(utils.camelcase_to_underscores)
"""moto asks for the same few again and again."""
_serialize_member: Final = ResponseSerializer._serialize_structure_member


def _member(self: ResponseSerializer, serialized: Any, value: Any, shape: Any, key: str) -> None:
    """moto looks for each of the ten members of an attribute's value under all the names that it may have: a quarter of the
    time of a request."""
    if type(value) is dict and key not in value and shape.parent.name == "AttributeValue":
        return
    _serialize_member(self, serialized, value, shape, key)


def _sent(action: str, reply: Any) -> list[str]:
    """Ids of the messages that were put into queues."""
    if action not in ("SendMessage", "SendMessageBatch") or reply is None or reply[0] != 200:
        return []
    data = json.loads(reply[2])
    return [entry["MessageId"] for entry in data.get("Successful", [data])]


def _parsed(request: Any) -> tuple[str, str, dict[str, Any]]:
    target = request.headers.get("X-Amz-Target", "")
    target = target.decode() if isinstance(target, bytes) else target
    raw = request.body or b""
    raw = b"" if hasattr(raw, "read") else raw  # an object on its way to S3: reading it here would take it away
    try:
        body = json.loads(raw) if raw else {}
    except ValueError:  # DeleteObjects of S3: its keys are the permissions it needs
        body = {"Keys": [unescape(key.decode()) for key in _KEYS.findall(raw)]} if isinstance(raw, bytes) else {}
    if target:
        service, _, action = target.rpartition(".")
        return ("dynamodb" if service.startswith("DynamoDB") else "sqs"), action, body
    if "/schedules/" in request.url and request.method == "POST":
        body = {**body, "Name": request.url.rpartition("/")[2].partition("?")[0]}
        return "scheduler", "CreateSchedule", body
    return request.url.partition("//")[2].partition(".")[0], request.method, body


# -- limits --------------------------------------------------------------------------------------------------------


def _problem(action: str, body: dict[str, Any]) -> str | None:
    """What AWS would reject and moto takes."""
    if action == "SendMessage":
        return _message_problem(body["QueueUrl"], body)
    if action == "SendMessageBatch":
        return _batch_problem(body["QueueUrl"], body["Entries"])
    if action == "CreateSchedule":
        return _schedule_problem(body)
    puts = [body] if action == "PutItem" else [t["Put"] for t in body.get("TransactItems", []) if "Put" in t]
    if any(item_bytes(put["Item"]) > _ITEM_BYTES for put in puts):
        return "Item size has exceeded the maximum allowed size"
    if action == "TransactWriteItems" and len(json.dumps(body)) > _TRANSACTION_BYTES:
        return "Transaction request size limit exceeded"
    return None


def _batch_problem(queue: str, entries: list[dict[str, Any]]) -> str | None:
    if not 1 <= len(entries) <= 10:
        return f"Maximum number of entries per request are 10. You have sent {len(entries)}."
    if len({entry["Id"] for entry in entries}) < len(entries):
        return "Two or more batch entries in the request have the same Id."
    if sum(len(entry["MessageBody"].encode()) for entry in entries) > _MESSAGE_BYTES:
        return "Batch requests cannot be longer than 262144 bytes."
    return next((problem for entry in entries if (problem := _message_problem(queue, entry))), None)


def _message_problem(queue: str, body: dict[str, Any]) -> str | None:
    if queue.endswith(".fifo") and "DelaySeconds" in body:
        delay = body["DelaySeconds"]
        return f"Value {delay} for parameter DelaySeconds is invalid. Reason: it is not valid for this queue type."
    if not 0 <= body.get("DelaySeconds", 0) <= 900:
        delay = body["DelaySeconds"]
        return f"Value {delay} for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900."
    if len(body["MessageBody"].encode()) > _MESSAGE_BYTES:
        return "One or more parameters are invalid. Reason: Message must be shorter than 262144 bytes."
    return None


def _schedule_problem(body: dict[str, Any]) -> str | None:
    if not _NAME.fullmatch(body["Name"]):
        return f"Schedule name {body['Name']!r} does not match [0-9a-zA-Z-_.]+ with at most 64 characters"
    if not _AT.fullmatch(body["ScheduleExpression"]):
        return f"Invalid Schedule Expression {body['ScheduleExpression']}."
    return None


# -- capacity ------------------------------------------------------------------------------------------------------


def item_bytes(item: dict[str, Any]) -> int:
    """As DynamoDB counts: names and values
    (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html)."""
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def _base64(data: bytes) -> str:
    """As the wire has bytes. moto keeps them as they are, or in base64."""
    return base64.b64encode(data).decode()


def _value_bytes(value: dict[str, Any]) -> int:
    kind, content = next(iter(value.items()))
    if kind == "S":
        return len(content.encode())
    if kind == "B":
        return len(content if isinstance(content, bytes) else base64.b64decode(content))
    if kind == "N":
        return len(content.lstrip("-0.").replace(".", "")) // 2 + 2
    return 1


def _table(name: str) -> Any:
    for regions in dynamodb_backends.values():
        for backend in regions.values():
            if name in backend.tables:
                return backend.tables[name]
    return None


def _items(action: str, body: dict[str, Any]) -> list[dict[str, Any] | None]:
    """The items a write is about, as they stand."""
    if action not in _WRITES:
        return []
    writes = [next(iter(t.values())) for t in body["TransactItems"]] if action == "TransactWriteItems" else [body]
    found: list[dict[str, Any] | None] = []
    for write in writes:
        key = write.get("Key") or write["Item"]
        table = _table(write["TableName"])
        if table is None:
            found.append(None)
            continue
        item = table.items.get(DynamoType(key["pk"]), {}).get(DynamoType(key["sk"]))
        found.append(None if item is None else json.loads(json.dumps(item.to_json()["Attributes"], default=_base64)))
    return found


def _capacity(
    action: str,
    body: dict[str, Any],
    before: list[dict[str, Any] | None],
    after: list[dict[str, Any] | None],
    reply: Any,
) -> tuple[float, float, float]:
    """Units of the table, of its indices, and of the one for lists among them."""
    if action in _WRITES:
        factor = 2 if action == "TransactWriteItems" else 1
        pairs = list(zip(before, after, strict=True))
        units = sum(_units(max(item_bytes(old or {}), item_bytes(new or {})), 1024) for old, new in pairs)
        due, lists = (sum(_index_writes(old, new, keys) for old, new in pairs) for keys in (_DUE, _LISTING))
        return factor * units, factor * (due + lists), factor * lists
    if action in ("Query", "GetItem", "Scan") and reply is not None and reply[0] == 200:
        data = json.loads(reply[2])
        items = data.get("Items") or [data.get("Item") or {}]
        units = _units(sum(item_bytes(item) for item in items), 4096)
        return units if body.get("ConsistentRead") else units / 2, 0, 0
    if action == "BatchGetItem" and reply is not None and reply[0] == 200:
        found = [item for items in json.loads(reply[2])["Responses"].values() for item in items]
        return sum(_units(item_bytes(item), 4096) for item in found) / 2, 0, 0
    return 0, 0, 0


def _units(size: int, unit: int) -> float:
    return max(1, -(-size // unit))


_DUE: Final = ("shard", "due")
_LISTING: Final = ("shard", "shelf")
"""The keys by which an item stands in an index: those of the table stay what they are."""


def _index_writes(old: dict[str, Any] | None, new: dict[str, Any] | None, keys: tuple[str, ...]) -> int:
    """An entry that is moved is deleted and put."""
    before, after = (_entry(item, keys) for item in (old, new))
    return 0 if before == after else (before is not None) + (after is not None)


def _entry(item: dict[str, Any] | None, keys: tuple[str, ...]) -> list[Any] | None:
    found = [(item or {}).get(key) for key in keys]
    return None if None in found else found
