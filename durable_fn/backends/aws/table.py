"""The table: the requests that the journal is made of, whatever they are about."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

from .items import MARKS, Item, number, text
from .requests import ConditionFailed, request


class Table:
    """Methods that write raise ConditionFailed where the condition among their arguments does not hold."""

    def __init__(self, client: Any, name: str, sleep: Callable[[float], None]) -> None:
        self.client = client
        self.name = name
        self._sleep = sleep

    def request(self, action: str, **arguments: Any) -> dict[str, Any]:
        where = f"the DynamoDB table {self.name!r} (DURABLE_FN_TABLE)"
        return request(getattr(self.client, action), self._sleep, where, arguments)

    def get(self, key: Item) -> Item | None:
        """Strongly consistent."""
        item: Item | None = self.request("get_item", TableName=self.name, Key=key, ConsistentRead=True).get("Item")
        return item

    def put(self, item: Item) -> None:
        """Over whatever stands there."""
        self.request("put_item", TableName=self.name, Item=item)

    def put_new(self, item: Item) -> Item | None:
        """None, or what stands there already: then nothing was put."""
        try:
            self.request("put_item", TableName=self.name, **new(item))
        except ConditionFailed as failure:
            there = failure.items[0]
            assert there is not None, "a condition that wants nothing there failed, and nothing is there"
            return there
        return None

    def update(self, **arguments: Any) -> dict[str, Any]:
        return self.request("update_item", TableName=self.name, **arguments)

    def delete(self, key: Item, **arguments: Any) -> None:
        self.request("delete_item", TableName=self.name, Key=key, **arguments)

    def transact(self, *parts: dict[str, dict[str, Any]]) -> None:
        """All or none of the parts. Each is the kind of its write with its arguments."""
        writes = [{kind: {"TableName": self.name, **arguments} for kind, arguments in part.items()} for part in parts]
        self.request("transact_write_items", TransactItems=writes, ClientRequestToken=uuid.uuid4().hex)

    def partition(self, id: str) -> Iterator[Item]:
        """All items of an execution but the marks of signals, in the order of their keys, strongly consistent page by page."""
        return self.pages(
            "query",
            KeyConditionExpression="pk = :pk AND sk < :marks",
            ExpressionAttributeValues={":pk": text(id), ":marks": text(MARKS)},
            ConsistentRead=True,
        )

    def rows(self, partition: str) -> Iterator[Item]:
        """All items of a partition that is no execution's."""
        return self.pages(
            "query",
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": text(partition)},
            ConsistentRead=True,
        )

    def keys(self, id: str) -> Iterator[Item]:
        """Of all items of an execution, marks included."""
        return self.pages(
            "query",
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": text(id)},
            ProjectionExpression="pk, sk",
            ConsistentRead=True,
        )

    def pages(self, action: str, **arguments: Any) -> Iterator[Item]:
        """The items of a query or a scan, a page when it is needed."""
        while True:
            page = self.request(action, TableName=self.name, **arguments)
            yield from page["Items"]
            if not page.get("LastEvaluatedKey"):
                return
            arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def over(item: Item) -> dict[str, Any]:
    """The arguments of a put where something has to stand already."""
    return {"Item": item, "ConditionExpression": "attribute_exists(pk)"}


def new(item: Item) -> dict[str, Any]:
    """The arguments of a put where nothing may stand yet."""
    return {
        "Item": item,
        "ConditionExpression": "attribute_not_exists(pk)",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def new_for_now(item: Item, now: int) -> dict[str, Any]:
    """As `new`, of an item that counts until its ttl: whether that is over is looked at here, for the table removes it later."""
    return {
        "Item": item,
        "ConditionExpression": "attribute_not_exists(pk) OR #ttl <= :now",
        "ExpressionAttributeNames": {"#ttl": "ttl"},
        "ExpressionAttributeValues": {":now": number(now // 1000)},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
