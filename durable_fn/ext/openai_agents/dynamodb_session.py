"""Conversations in a DynamoDB table of the user's: what one execution said, the next one reads."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any, Final, NamedTuple
from uuid import uuid4

from agents import TResponseInputItem
from agents.memory import SessionABC, SessionSettings

from ...types import Duration

_MOST: Final = 350_000
"""Bytes of JSON in an item of the table, which takes 400 KB."""


class Newest(NamedTuple):
    """The last entry of a conversation: where it stands, and what is in it."""

    position: str
    items: list[Any]


class DynamoDBSession(SessionABC):
    """A conversation, by its id, in a table with the partition key `session` and the sort key `position`, both strings.

        session = DynamoDBSession("customer-7", table_name="conversations", ttl=timedelta(days=30))
        result = await Runner.run(agent, "And the other order?", session=session)

    In a durable run an append is idempotent: it is written at a place that follows from what the run has read, under a name of
    its own. So two runs that talk at once lose nothing, and whoever has read an entry stands behind it. `ttl`: how long an entry
    is kept; switch TTL on for the attribute `expires`. `client`: boto3's for DynamoDB, in place of one by the environment. Needs
    `dynamodb:Query`, `PutItem` and `DeleteItem` on the table. ValueError for an item that does not fit the table.
    """

    def __init__(
        self,
        session_id: str,
        *,
        table_name: str,
        client: Any = None,
        ttl: Duration | None = None,
        session_settings: SessionSettings | None = None,
    ) -> None:
        if not session_id:
            raise ValueError("a conversation needs an id that is not empty")
        self.session_id = session_id
        self.session_settings = session_settings
        self._table = table_name
        self._given = client
        self._ttl = ttl if ttl is None or isinstance(ttl, int | float) else ttl.total_seconds()

    # -- as the SDK asks for it

    async def get_items(self, limit: int | None = None) -> list[TResponseInputItem]:
        return (await self.read(limit))[1]

    async def add_items(self, items: list[TResponseInputItem]) -> None:
        last, _ = await self.read(1)
        await self.append(items, last, uuid4().hex)

    async def pop_item(self) -> TResponseInputItem | None:
        newest = await self.newest()
        if newest is None:
            return None
        await self.shorten(newest)
        item: TResponseInputItem = newest.items[-1]
        return item

    async def clear_session(self) -> None:
        await asyncio.to_thread(self._clear)

    # -- in parts, each of which may be done again

    async def read(self, limit: int | None = None) -> tuple[int, list[TResponseInputItem]]:
        """The number of the last entry, and the newest items, as many as are asked for, in their order."""
        most = limit
        if most is None and self.session_settings is not None:
            most = self.session_settings.limit
        return await asyncio.to_thread(self._read, most)

    async def append(self, items: list[TResponseInputItem], after: int, by: str) -> int:
        """Behind the entry with this number; returns the number of the last one. `by` names who writes: again changes nothing."""
        return await asyncio.to_thread(self._append, items, after, by)

    async def newest(self) -> Newest | None:
        return await asyncio.to_thread(self._newest)

    async def shorten(self, entry: Newest) -> None:
        """Takes the last item out of this entry."""
        if len(entry.items) > 1:
            await asyncio.to_thread(self._put, entry.position, json.dumps(entry.items[:-1]))
        else:
            await asyncio.to_thread(self._delete, entry.position)

    # -- requests

    @property
    def _client(self) -> Any:
        if self._given is None:
            import boto3

            self._given = boto3.client("dynamodb")
        return self._given

    def _read(self, limit: int | None) -> tuple[int, list[Any]]:
        items: list[Any] = []
        last = 0
        for row in self._rows():
            last = last or _number(row["position"]["S"])
            items[:0] = json.loads(row["items"]["S"])
            if limit is not None and len(items) >= limit:
                break
        return last, items if limit is None else items[len(items) - min(limit, len(items)) :]

    def _newest(self) -> Newest | None:
        row = next(self._rows(), None)
        return None if row is None else Newest(row["position"]["S"], json.loads(row["items"]["S"]))

    def _append(self, items: list[Any], after: int, by: str) -> int:
        for text in _entries(items):
            after += 1
            self._put(f"{after:012d}#{by}", text)
        return after

    def _put(self, position: str, text: str) -> None:
        item = {"session": {"S": self.session_id}, "position": {"S": position}, "items": {"S": text}}
        if self._ttl is not None:
            item["expires"] = {"N": str(int(time.time() + self._ttl))}
        self._client.put_item(TableName=self._table, Item=item)

    def _clear(self) -> None:
        for row in self._rows():
            self._delete(row["position"]["S"])

    def _delete(self, position: str) -> None:
        key = {"session": {"S": self.session_id}, "position": {"S": position}}
        self._client.delete_item(TableName=self._table, Key=key)

    def _rows(self) -> Iterator[dict[str, Any]]:
        """The newest first; without those whose time is over, which DynamoDB removes when it comes to it."""
        wanted: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "#session = :session",
            "ExpressionAttributeNames": {"#session": "session"},
            "ExpressionAttributeValues": {":session": {"S": self.session_id}},
            "ScanIndexForward": False,
            "ConsistentRead": True,
        }
        while True:
            page = self._client.query(**wanted)
            for row in page["Items"]:
                if float(row.get("expires", {}).get("N", "inf")) > time.time():
                    yield row
            if "LastEvaluatedKey" not in page:
                return
            wanted["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def _number(position: str) -> int:
    return int(position.partition("#")[0])


def _entries(items: list[Any]) -> Iterator[str]:
    """As few as they fit in."""
    texts: list[str] = []
    size = 0
    for item in items:
        text = json.dumps(item)
        if len(text) > _MOST:
            raise ValueError(
                f"an item of {len(text):,} bytes does not fit into the conversation, which takes {_MOST:,}: put large files and "
                "pictures somewhere else, and say where"
            )
        if size + len(text) > _MOST:
            yield f"[{','.join(texts)}]"
            texts, size = [], 0
        texts.append(text)
        size += len(text) + 1
    if texts:
        yield f"[{','.join(texts)}]"
