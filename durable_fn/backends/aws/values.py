"""Inputs, results and errors that are too large for the header, in items of their own."""

from __future__ import annotations

from ...errors import ExecutionNotFound
from ...log.header import Header
from .items import Item, body_of, damaged, from_value, is_large, large_values, to_header, value_key
from .table import Table


class LargeValues:
    """A value goes into the table before the header that refers to it. It is written over by whoever owns the run: that is one
    invocation."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def put(self, header: Header, **values: str | None) -> None:
        """Those that are large, by the names of their fields. They live as long as the header's other items."""
        for name, value in values.items():
            if value is not None and is_large(value):
                self._table.put(from_value(header, name, value))

    def filled(self, item: Item) -> Header:
        """The header with its large values. Raises ExecutionNotFound where one is not there any more. One of another
        format is left as it is."""
        header = to_header(item)
        if header.foreign:
            return header
        for name, called in large_values(item).items():
            found = self._table.get(value_key(header.key, called))
            if found is None:
                raise lost(header.id, name)
            try:
                setattr(header, name, body_of(found))
            except (KeyError, TypeError, ValueError) as error:
                raise damaged(found, error) from error
        return header


def lost(id: str, name: str) -> ExecutionNotFound:
    """Not None, which would be a value: an execution must not be taken for one with the input or the result null."""
    return ExecutionNotFound(
        f"the {name} of execution {id!r} is not there any more: its item was removed, though the execution still is. Its "
        "retention is over, or something else deletes from the table"
    )
