"""Journals of another format, made by changing what stands there."""

from __future__ import annotations

from typing import Any

from durable_fn.backends.packed import PackedStore
from durable_fn.backends.ports import Backend
from durable_fn.backends.sqlite import SQLiteStore
from durable_fn.log.formats import JOURNAL

OLDER, NEWER = None, JOURNAL + 1
"""Numbers in a header; the older version wrote none."""
JUNK = "\x02?!:not what this version wrote"


def inner(backend: Backend) -> Any:
    """The store behind the packing."""
    return backend.store.store if isinstance(backend.store, PackedStore) else backend.store


def renumber(backend: Backend, id: str, number: int | None, *, junk: bool = False) -> None:
    """Gives an execution's header this number, and all of its values and lines a form that nobody here can read."""
    store = inner(backend)
    if isinstance(store, SQLiteStore):
        with store.database.transaction() as db:
            db.execute("UPDATE executions SET format = ? WHERE id = ?", (number, id))
            if junk:
                db.execute("UPDATE executions SET input = ?, custom = ? WHERE id = ?", (JUNK, JUNK, id))
                db.execute("UPDATE segments SET body = ? WHERE id = ?", (JUNK, id))
                db.execute("UPDATE inbox SET body = ? WHERE id = ?", (JUNK, id))
        return
    client, name = store.table.client, store.table.name
    for item in list(store.table.partition(id)):
        key = {"pk": item["pk"], "sk": item["sk"]}
        if item["sk"]["S"] != "H":
            if junk:
                client.put_item(TableName=name, Item={**item, "b": {"S": JUNK}, "another": {"S": "field"}})
            continue
        header = {field: value for field, value in item.items() if field != "format"}
        if number is not None:
            header["format"] = {"N": str(number)}
        if junk:
            header |= {"input": {"S": JUNK}, "custom": {"S": JUNK}}
        client.put_item(TableName=name, Item={**header, **key})


def log_of(backend: Backend, id: str) -> list[Any]:
    """All that is stored of an execution but its header."""
    store = inner(backend)
    if isinstance(store, SQLiteStore):
        return [*store.database.read("SELECT * FROM segments WHERE id = ?", (id,)), *store.database.read(
            "SELECT * FROM inbox WHERE id = ?", (id,)
        )]  # fmt: skip
    return [item for item in store.table.partition(id) if item["sk"]["S"] != "H"]
