"""Executions of another format: the error that says so, and what can be shown of one nevertheless."""

from __future__ import annotations

from ..errors import FormatError, SerializationError
from ..types import ErrorInfo
from . import failures
from .formats import JOURNAL
from .header import Header


def foreign(header: Header) -> FormatError | None:
    """Why this version cannot read its journal, if it cannot."""
    if not header.foreign:
        return None
    who, way = (
        ("An older version wrote it", "deploy that version again until it has ended")
        if header.format < JOURNAL
        else ("A newer version wrote it", "deploy that version again")
    )
    return FormatError(
        f"the journal of execution {header.id!r} of durable function {header.fn!r} has format {header.format}; this version of "
        f"durable_fn reads and writes format {JOURNAL}. {who}: {way}, or terminate the execution, purge it, and start it anew",
        execution_id=header.id,
        written=header.format,
        expected=JOURNAL,
    )


def require_own(header: Header) -> None:
    """Raises FormatError for an execution whose journal this version does not read."""
    error = foreign(header)
    if error is not None:
        raise error


def recorded_error(header: Header) -> ErrorInfo | None:
    """The error in the header. For another format only if every version writes it in the same form; else a note on the
    format."""
    error = foreign(header)
    if error is None:
        return None if header.error is None else failures.info(failures.decode(header.error))
    try:
        return failures.info(failures.decode(header.error or ""))
    except SerializationError:
        ended_well = header.ended and header.error is None
        return None if ended_well else failures.info(failures.capture(error))
