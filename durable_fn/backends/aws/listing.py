"""The executions of a table, for people."""

from __future__ import annotations

import heapq
import logging
from collections.abc import Iterator
from typing import Any

from ...types import ExecutionStatus
from .items import FUNCTIONS, HEADER, Item, number, text, to_header
from .table import Table

_log = logging.getLogger("durable_fn")


def newest(
    table: Table, name: str | None, status: ExecutionStatus | None, started_after: int | None, limit: int | None
) -> list[Item]:
    """Headers, the newest first. A scan: an index over starts would cost every execution a write, and is wanted only here."""
    items = filter(_is_whole, _headers(table, name, status, started_after))
    if limit is None:
        return sorted(items, key=_age, reverse=True)
    return heapq.nlargest(limit, items, key=_age)


def _age(item: Item) -> tuple[int, str]:
    return int(item["started"]["N"]), item["pk"]["S"]


def _headers(table: Table, name: str | None, status: str | None, started_after: int | None) -> Iterator[Item]:
    wanted: list[tuple[str, str, dict[str, Any]]] = [
        ("sk", "=", text(HEADER)),
        ("pk", "<>", text(FUNCTIONS)),  # a function may be called "H"
    ]
    wanted += [("fn", "=", text(name))] if name is not None else []
    wanted += [("status", "=", text(status))] if status is not None else []
    wanted += [("started", ">=", number(started_after))] if started_after is not None else []
    return table.pages(
        "scan",
        FilterExpression=" AND ".join(f"#{field} {sign} :{field}" for field, sign, _ in wanted),
        ExpressionAttributeNames={f"#{field}": field for field, _, _ in wanted},
        ExpressionAttributeValues={f":{field}": value for field, _, value in wanted},
    )


def _is_whole(item: Item) -> bool:
    """One damaged header, which this version did not write, must not hide the other executions."""
    try:
        to_header(item)
    except Exception as error:
        _log.warning("execution %r is left out: its header cannot be read: %r", item.get("pk", {}).get("S"), error)
        return False
    return True
