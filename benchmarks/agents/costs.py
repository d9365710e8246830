"""Write units per run of an agent: in each framework, and in LangGraph with its own checkpoints in DynamoDB.

python -m benchmarks.agents.costs [--json]

Exits with 1 if one of ours costs more than a third of these checkpoints, compressed or not.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import boto3
from moto import mock_aws

from durable_fn import DurableFunction
from durable_fn.testing.cloud import LocalCloud
from durable_fn.testing.moto_wire import item_bytes
from handlers_demo.systems import DIRECTORY_VARIABLE, effects

from . import task

SAVER = "LangGraph, DynamoDBSaver"
SMALL_SAVER = f"{SAVER}, compressed"
TABLE = "checkpoints"


@dataclass(frozen=True)
class Cost:
    """Of one run. `units`: of the table and of its index."""

    what: str
    writes: int
    units: float


def handlers() -> dict[str, DurableFunction[Any, Any]]:
    from . import by_langgraph, by_openai_agents, by_pydantic_ai

    return {
        "Pydantic AI": by_pydantic_ai.handler,
        "OpenAI Agents SDK": by_openai_agents.handler,
        "LangGraph": by_langgraph.handler,
    }


def measure() -> list[Cost]:
    return [_durable(what, handler) for what, handler in handlers().items()] + [
        _saver(SAVER, False),
        _saver(SMALL_SAVER, True),
    ]


def _durable(what: str, handler: DurableFunction[Any, Any]) -> Cost:
    def run(cloud: LocalCloud) -> None:
        cloud.attach(handler)
        assert cloud.invoke(handler, {})["status"] == "SUCCEEDED"
        assert effects((task.LEDGER,)) == task.expected()

    return _counted(what, run)


def _saver(what: str, compressed: bool) -> Cost:
    """The same graph, with a checkpoint after every round, as LangGraph does it."""
    from langchain_core.messages import HumanMessage
    from langgraph_checkpoint_aws import DynamoDBSaver  # type: ignore[import-untyped]

    from . import by_langgraph

    writes: list[list[dict[str, Any]]] = []

    def seen(params: dict[str, Any], **_: Any) -> None:
        requests = [row for rows in params.get("RequestItems", {}).values() for row in rows]
        items = [row["PutRequest"]["Item"] for row in requests] or [params.get("Item")]
        writes.append([item for item in items if item is not None])

    with mock_aws(), _no_step():
        session = boto3.Session("testing", "testing", region_name="eu-west-1")
        _make_table(session)
        saver = DynamoDBSaver(table_name=TABLE, session=session, enable_checkpoint_compression=compressed)
        saver.client.meta.events.register("provide-client-params.dynamodb", seen)
        graph = by_langgraph.builder.compile(checkpointer=saver)
        config: Any = {"configurable": {"thread_id": "1"}, "recursion_limit": 100}
        state = graph.invoke({"messages": [HumanMessage("Why?", id="h")]}, config, durability="sync")
        assert state["messages"][-1].text == "Done."
    done = [items for items in writes if items]
    return Cost(what, len(done), sum(-(-item_bytes(item) // 1024) for items in done for item in items))


def _counted(what: str, run: Callable[[LocalCloud], None]) -> Cost:
    with tempfile.TemporaryDirectory() as directory, LocalCloud() as cloud:
        os.environ[DIRECTORY_VARIABLE] = directory
        try:
            run(cloud)
        finally:
            del os.environ[DIRECTORY_VARIABLE]
        writes = [request for request in cloud.requests if request.is_write]
        return Cost(what, len(writes), sum(request.units + request.index_units for request in writes))


def _make_table(session: boto3.Session) -> None:
    """As DynamoDBSaver wants it."""
    keys = [{"AttributeName": "PK", "KeyType": "HASH"}, {"AttributeName": "SK", "KeyType": "RANGE"}]
    kinds = [{"AttributeName": name, "AttributeType": "S"} for name in ("PK", "SK")]
    session.client("dynamodb").create_table(
        TableName=TABLE, BillingMode="PAY_PER_REQUEST", KeySchema=keys, AttributeDefinitions=kinds
    )


@contextlib.contextmanager
def _no_step() -> Iterator[None]:
    """Outside of a durable run there is no idempotency key: the ledger is left out."""
    book = task._book
    task._book = lambda what: None
    try:
        yield
    finally:
        task._book = book


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agents.costs")
    parser.add_argument("--json", action="store_true")
    as_json, costs = parser.parse_args().json, measure()
    if as_json:
        print(json.dumps([asdict(cost) for cost in costs], indent=2))
    else:
        print(f"{len(task.TURNS) + 1} answers of the model, {sum(task.TURNS)} tools")
        for cost in costs:
            print(f"{cost.what:38} {cost.writes:4} writes {cost.units:7g} write units")
    least = min(cost.units for cost in costs if cost.what in (SAVER, SMALL_SAVER))
    sys.exit(any(cost.units * 3 > least for cost in costs if cost.what not in (SAVER, SMALL_SAVER)))


if __name__ == "__main__":
    main()
