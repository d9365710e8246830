"""What a user of sessions of the OpenAI Agents SDK sees, a function each; `test_openai_agents.py` runs them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from agents import Agent, SQLiteSession
from moto import mock_aws

from durable_fn.ext.openai_agents import DynamoDBSession
from durable_fn.testing.crashes import crash_at
from tests.ext.agents.openai_cases import agent, handling, ran
from tests.ext.agents.openai_shapes import Scripted, look, looks


@contextmanager
def conversations() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("dynamodb", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x")
        client.create_table(
            TableName="talk",
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[
                {"AttributeName": "session", "KeyType": "HASH"},
                {"AttributeName": "position", "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[
                {"AttributeName": "session", "AttributeType": "S"},
                {"AttributeName": "position", "AttributeType": "S"},
            ],
        )
        yield client


def said(client: Any, id: str = "c-7") -> list[Any]:
    items = asyncio.run(DynamoDBSession(id, table_name="talk", client=client).get_items())
    return [item.get("output") or item.get("content") or item["type"] for item in items]


def a_conversation_goes_on_over_executions() -> None:
    with conversations() as client:
        session = DynamoDBSession("c-7", table_name="talk", client=client, ttl=3600)
        for what in ("a", "b"):
            ran(
                Agent(name="a", model=Scripted("model", looks(what), before=what == "b"), tools=[look]), session=session
            )
        found = said(client)
        assert [item for item in found if isinstance(item, str)] == [
            "go", "function_call", "look a", "go", "function_call", "look b",
        ]  # fmt: skip
        assert len(found) == 8
        rows = client.scan(TableName="talk")["Items"]
        assert all("expires" in row for row in rows)
        assert said(client, "another") == []


def an_append_happens_once_wherever_the_process_dies() -> None:
    with conversations() as client:
        first: list[list[Any]] = []

        def setup() -> None:
            asyncio.run(DynamoDBSession("c-7", table_name="talk", client=client).clear_session())

        def check(execution: Any) -> None:
            first.append(said(client))
            assert first[-1] == first[0]
            setup()

        session = DynamoDBSession("c-7", table_name="talk", client=client)
        handler = handling(agent(looks("a")), session=session)
        report = crash_at(lambda point: point % 2 == 0, handler, "go", check=check, setup=setup)
        assert report.ok, report
        assert len(first) > 5
        assert len(first[0]) == 4


def a_session_can_be_read_in_part_and_taken_back() -> None:
    async def talk(client: Any) -> list[Any]:
        session = DynamoDBSession("c", table_name="talk", client=client)
        await session.add_items([{"role": "user", "content": f"{n}"} for n in range(3)])
        await session.add_items([{"role": "user", "content": "last"}])
        newest = [item["content"] for item in await session.get_items(2)]  # type: ignore[typeddict-item]
        popped = [await session.pop_item(), await session.pop_item()]
        left = len(await session.get_items())
        await session.clear_session()
        return [newest, [item and item["content"] for item in popped], left, await session.pop_item()]  # type: ignore[typeddict-item]

    with conversations() as client:
        assert asyncio.run(talk(client)) == [["2", "last"], ["last", "2"], 2, None]


def two_who_talk_at_once_lose_nothing() -> None:
    async def talk(client: Any) -> list[Any]:
        session = DynamoDBSession("c", table_name="talk", client=client)
        await session.append([{"role": "user", "content": "a"}], 0, "one")
        await session.append([{"role": "user", "content": "b"}], 0, "two")
        await session.append([{"role": "user", "content": "b"}], 0, "two")
        last, items = await session.read()
        assert last == 1
        return [item["content"] for item in items]  # type: ignore[typeddict-item]

    with conversations() as client:
        assert asyncio.run(talk(client)) == ["a", "b"]


def what_does_not_fit_a_table_is_refused() -> None:
    async def talk(client: Any) -> Any:
        session = DynamoDBSession("c", table_name="talk", client=client)
        await session.add_items([{"role": "user", "content": "x" * 200_000} for _ in range(3)])
        assert len(await session.get_items()) == 3
        with pytest.raises(ValueError, match="does not fit into the conversation"):
            await session.add_items([{"role": "user", "content": "x" * 400_000}])

    with conversations() as client:
        asyncio.run(talk(client))
        assert len(client.scan(TableName="talk")["Items"]) == 3
    with pytest.raises(ValueError, match="needs an id"):
        DynamoDBSession("", table_name="talk")


def what_is_over_is_not_read() -> None:
    async def talk(client: Any) -> list[Any]:
        session = DynamoDBSession("c", table_name="talk", client=client, ttl=-5)
        await session.add_items([{"role": "user", "content": "old"}])
        return await session.get_items()

    with conversations() as client:
        assert asyncio.run(talk(client)) == []


def another_session_is_kept_in_steps() -> None:
    session = SQLiteSession("s")
    assert ran(agent(looks("a")), session=session) == "done, look a"
    assert len(asyncio.run(session.get_items())) == 4
