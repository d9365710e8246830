"""Logs that cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import DurableError, JournalDamaged


@contextmanager
def reading(id: str) -> Iterator[None]:
    """While a pure function reads what is stored of execution `id`, which can fail only because of what is there. Raises
    JournalDamaged for whatever goes wrong."""
    try:
        yield
    except DurableError:
        raise
    except Exception as error:
        raise JournalDamaged(
            f"the journal of execution {id!r} is damaged: {type(error).__name__}: {error}. Restore it from a backup"
        ) from error
