"""DynamoDB: one table with a sparse index, and the requests that a journal makes of it."""

from __future__ import annotations

import bisect
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

from botocore.exceptions import ClientError

from durable_fn.testing.moto_wire import item_bytes
from tests.torture.emulator.expressions import Invalid, Item, Parsed, parsed

_ITEM_BYTES: Final = 400 * 1024
_PAGE_BYTES: Final = 1024 * 1024
_TRANSACTION_BYTES: Final = 4 * 1024 * 1024
_MOST_PARTS: Final = 100
_LONG: Final = ("b", "input", "result", "error", "custom")
_SMALL: Final = 1024
"""What the other fields of an item may have together."""
_TOKEN_MS: Final = 600_000
"""A transaction that comes again with its token within ten minutes is done once."""
_NONE: Final[frozenset[str]] = frozenset()
_FAILED: Final = "ConditionalCheckFailed"


def refused(code: str, operation: str, message: str = "", **more: Any) -> ClientError:
    said: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": 400}, **more}
    return ClientError(said, operation)


class Partition:
    """Items by sort key, in its order."""

    __slots__ = ("items", "keys")

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.items: dict[str, Item] = {}

    def put(self, sk: str, item: Item) -> None:
        if sk not in self.items:
            bisect.insort(self.keys, sk)
        self.items[sk] = item

    def remove(self, sk: str) -> None:
        if self.items.pop(sk, None) is not None:
            self.keys.remove(sk)


class Table:
    """`lag_ms`: how late the index may be. `torn`: the chance that a query meets a transaction of which it sees one half: a
    query is isolated from a transaction item by item only. `watch` is told each item that is put or changed."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self.lock = threading.RLock()
        self.partitions: dict[str, Partition] = {}
        self.chance = random.Random(0)
        self.lag_ms = 0
        self.torn = 0.0
        self.watch: list[Callable[[Item | None, Item | None], None]] = []
        self._index: dict[tuple[str, str], Item] = {}
        self._coming: list[tuple[int, tuple[str, str], Item | None]] = []
        self._tokens: dict[str, int] = {}
        self._unseen: Item | None = None

    # -- items -----------------------------------------------------------------------------------------------------

    def find(self, key: Item) -> Item | None:
        partition = self.partitions.get(key["pk"]["S"])
        return None if partition is None else partition.items.get(key["sk"]["S"])

    def _store(self, key: Item, item: Item | None) -> None:
        pk, sk = key["pk"]["S"], key["sk"]["S"]
        partition = self.partitions.get(pk)
        if partition is None:
            partition = self.partitions[pk] = Partition()
        before = partition.items.get(sk)
        if item is None:
            partition.remove(sk)
        else:
            partition.put(sk, item)
        for watcher in self.watch:
            watcher(before, item)
        if (before and "due" in before) or (item and "due" in item):
            self._index_later((pk, sk), item)

    def _index_later(self, key: tuple[str, str], item: Item | None) -> None:
        """DynamoDB shows no item whose keys of the index are not numbers, because it takes none."""
        row = item if item and all("N" in item.get(name, ()) for name in ("due", "shard")) else None
        if self.lag_ms:
            self._coming.append((self._now() + self.chance.randrange(self.lag_ms), key, row))
        else:
            self._show(key, row)

    def _show(self, key: tuple[str, str], row: Item | None) -> None:
        if row is None:
            self._index.pop(key, None)
        else:
            self._index[key] = row

    def index(self) -> list[Item]:
        """As it is shown now. Changes of one item come in their order."""
        now, late = self._now(), set()
        waiting = self._coming
        self._coming = []
        for at, key, row in waiting:
            if at > now or key in late:
                late.add(key)
                self._coming.append((at, key, row))
            else:
                self._show(key, row)
        return list(self._index.values())

    def every(self) -> Iterator[Item]:
        for partition in list(self.partitions.values()):
            for sk in list(partition.keys):
                yield partition.items[sk]

    # -- writes ----------------------------------------------------------------------------------------------------

    def put_item(self, **arguments: Any) -> dict[str, Any]:
        return self._write("PutItem", "Put", arguments)

    def update_item(self, **arguments: Any) -> dict[str, Any]:
        after = self._write("UpdateItem", "Update", arguments)["after"]
        return {"Attributes": dict(after)} if arguments.get("ReturnValues") == "ALL_NEW" else {}

    def delete_item(self, **arguments: Any) -> dict[str, Any]:
        return self._write("DeleteItem", "Delete", arguments)

    def _write(self, operation: str, kind: str, arguments: dict[str, Any]) -> dict[str, Any]:
        with self.lock:
            try:
                key, before, holds, after = self._planned(kind, arguments)
            except Invalid as error:
                raise refused("ValidationException", operation, str(error)) from None
            if not holds:
                shown = _shown(arguments, before)
                raise refused("ConditionalCheckFailedException", operation, "The conditional request failed", **shown)
            self._store(key, after)
            return {"after": after}

    def transact_write_items(self, TransactItems: list[dict[str, Any]], ClientRequestToken: str = "") -> dict[str, Any]:
        with self.lock:
            if self._tokens.get(ClientRequestToken, 0) > self._now():
                return {}
            if len(TransactItems) > _MOST_PARTS:
                raise refused("ValidationException", "TransactWriteItems", "at most 100 items")
            try:
                plans = [self._planned(*next(iter(part.items()))) for part in TransactItems]
                self._check(plans)
            except Invalid as error:
                raise refused("ValidationException", "TransactWriteItems", str(error)) from None
            if not all(holds for _, _, holds, _ in plans):
                raise refused(
                    "TransactionCanceledException",
                    "TransactWriteItems",
                    CancellationReasons=_reasons(TransactItems, plans),
                )
            for part, (key, _, _, after) in zip(TransactItems, plans, strict=True):
                if "ConditionCheck" not in part:
                    self._store(key, after)
            if ClientRequestToken:
                self._tokens[ClientRequestToken] = self._now() + _TOKEN_MS
            if self.torn and self.chance.random() < self.torn:
                self._unseen = next((after for _, before, _, after in plans if before is None and after), None)
            return {}

    @staticmethod
    def _check(plans: list[Any]) -> None:
        keys = [(key["pk"]["S"], key["sk"]["S"]) for key, _, _, _ in plans]
        if len(keys) != len(set(keys)):
            raise Invalid("Transaction request cannot include multiple operations on one item")
        if sum(_weight(after) for _, _, _, after in plans if after) > _TRANSACTION_BYTES:
            raise Invalid("Transaction request size limit exceeded")

    def _planned(self, kind: str, arguments: dict[str, Any]) -> tuple[Item, Item | None, bool, Item | None]:
        """The key, what stands there, whether the condition holds, and what is to stand there."""
        key = {name: (arguments.get("Key") or arguments["Item"])[name] for name in ("pk", "sk")}
        before = self.find(key)
        values, names = arguments.get("ExpressionAttributeValues"), arguments.get("ExpressionAttributeNames")
        condition, update = arguments.get("ConditionExpression"), arguments.get("UpdateExpression")
        of_condition = parsed(condition, names) if condition else None
        of_update = parsed(update, names, update=True) if update else None
        _check_used(names, values, of_condition, of_update)
        if of_condition is not None and not of_condition.run(before or {}, values or {}):
            return key, before, False, None
        if kind == "Put":
            after = dict(arguments["Item"])
        elif kind == "Update":
            after = of_update.run(before or key, values or {}) if of_update else dict(before or key)
        else:
            after = before if kind == "ConditionCheck" else None
        written = after is not None and kind != "ConditionCheck"
        if written and _weight(after) > _ITEM_BYTES - _SMALL and item_bytes(after) > _ITEM_BYTES:
            raise Invalid("Item size has exceeded the maximum allowed size")
        return key, before, True, after

    # -- reads -----------------------------------------------------------------------------------------------------

    def get_item(self, Key: Item, **_: Any) -> dict[str, Any]:
        with self.lock:
            item = self.find(Key)
            return {} if item is None else {"Item": dict(item)}

    def batch_get_item(self, RequestItems: dict[str, Any], **_: Any) -> dict[str, Any]:
        ((table, asked),) = RequestItems.items()
        with self.lock:
            found = [item for key in asked["Keys"] if (item := self.find(key)) is not None]
            return {"Responses": {table: [dict(item) for item in found]}}

    def query(self, **arguments: Any) -> dict[str, Any]:
        with self.lock:
            names, values = arguments.get("ExpressionAttributeNames"), arguments["ExpressionAttributeValues"]
            test = parsed(arguments["KeyConditionExpression"], names).run
            if arguments.get("IndexName", "due") != "due":  # a table without the index for lists: they scan
                raise refused("ValidationException", "Query", "The table does not have the specified index")
            if "IndexName" in arguments:
                rows = [item for item in self.index() if test(item, values)]
                rows.sort(key=lambda item: (int(item["due"]["N"]), item["pk"]["S"], item["sk"]["S"]))
                return _page(rows, arguments, ("pk", "sk", "shard", "due"))
            partition = self.partitions.get(values[":pk"]["S"])
            items = [] if partition is None else [partition.items[sk] for sk in partition.keys]
            rows = [item for item in items if item is not self._unseen and test(item, values)]
            self._unseen = None
            return _page(rows if arguments.get("ScanIndexForward", True) else rows[::-1], arguments, ())

    def scan(self, **arguments: Any) -> dict[str, Any]:
        with self.lock:
            test = parsed(arguments["FilterExpression"], arguments.get("ExpressionAttributeNames")).run
            found = [item for item in self.every() if test(item, arguments["ExpressionAttributeValues"])]
            return {"Items": [dict(item) for item in found]}

    # -- the rest of what a cloud asks -----------------------------------------------------------------------------

    def create_table(self, **_: Any) -> None:
        return None

    def update_time_to_live(self, **_: Any) -> None:
        return None

    def first_due(self) -> int | None:
        """When something is due, as far as the index shows it by then."""
        shown = [int(item["due"]["N"]) for item in self.index()]
        coming = [max(at, int(row["due"]["N"])) for at, _, row in self._coming if row is not None]
        return min(shown + coming, default=None)

    def reap(self, now: int, *, chance: float = 1.0) -> None:
        """DynamoDB's TTL removes some of what it may remove."""
        with self.lock:
            for item in list(self.every()):
                over = "ttl" in item and int(item["ttl"]["N"]) * 1000 < now
                if over and (chance >= 1 or self.chance.random() < chance):
                    self._store(item, None)


def _length(value: dict[str, Any]) -> int:
    """A damaged item may have a value of any type."""
    inside = next(iter(value.values()))
    return len(inside) if isinstance(inside, str | bytes) else len(str(inside))


def _weight(item: Any) -> int:
    """Characters of what may be long: a quarter of what it costs to count bytes. Whoever comes near a limit has them counted."""
    return _SMALL + sum(_length(item[name]) * 3 for name in _LONG if name in item)


def _check_used(names: Any, values: Any, *used: Any) -> None:
    """As AWS: what is named has to be used, and nothing may be empty."""
    if names == {} or values == {}:
        raise Invalid("ExpressionAttributeNames and ExpressionAttributeValues must not be empty")
    wanted_names, wanted_values = _wanted(*used)
    if (names or {}).keys() != wanted_names:
        raise Invalid(f"names unused or undefined in expressions: {sorted(names or ())}")
    if (values or {}).keys() != wanted_values:
        raise Invalid(f"values unused or undefined in expressions: {sorted(values or ())}")


def _wanted(condition: Parsed | None, update: Parsed | None) -> tuple[frozenset[str], frozenset[str]]:
    if condition is None or update is None:
        one = condition or update
        return (_NONE, _NONE) if one is None else (one.names, one.values)
    return condition.names | update.names, condition.values | update.values


def _shown(arguments: dict[str, Any], before: Item | None) -> dict[str, Any]:
    wanted = arguments.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
    return {"Item": dict(before)} if wanted and before is not None else {}


def _reasons(parts: list[dict[str, Any]], plans: list[Any]) -> list[dict[str, Any]]:
    reasons = []
    for part, (_, before, holds, _) in zip(parts, plans, strict=True):
        (arguments,) = part.values()
        reasons.append({"Code": "None"} if holds else {"Code": _FAILED, **_shown(arguments, before)})
    return reasons


def _page(rows: list[Item], arguments: dict[str, Any], index: tuple[str, ...]) -> dict[str, Any]:
    start = arguments.get("ExclusiveStartKey")
    if start is not None:
        names = ("due", "pk", "sk") if index else ("sk",)
        rows = rows[_behind(rows, start, names, arguments.get("ScanIndexForward", True)) :]
    limit, size, taken = arguments.get("Limit") or len(rows), 0, []
    for item in rows[:limit]:
        taken.append(item)
        size += _weight(item)
        if size > _PAGE_BYTES:
            break
    reply: dict[str, Any] = {}
    if taken and (len(taken) < len(rows) or len(taken) == arguments.get("Limit")):
        reply["LastEvaluatedKey"] = {name: taken[-1][name] for name in index or ("pk", "sk")}
    projection = arguments.get("ProjectionExpression")
    fields = index or (projection.replace(" ", "").split(",") if projection else None)
    return {
        **reply,
        "Items": [dict(item) if fields is None else {f: item[f] for f in fields if f in item} for item in taken],
    }


def _behind(rows: list[Item], start: Item, names: tuple[str, ...], forward: bool) -> int:
    """The place of the first row behind this key, which need not be there any more."""

    def place(item: Item) -> tuple[Any, ...]:
        return tuple(int(item[name]["N"]) if name == "due" else item[name]["S"] for name in names)

    last = place(start)
    return sum(place(item) <= last if forward else place(item) >= last for item in rows)
