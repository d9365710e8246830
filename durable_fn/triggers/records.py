"""Records of event sources: what each kind has as its own id, as its payload, and as the name it is reported under."""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Any

from ..backends.ports import Backend
from ..errors import ExecutionConflict, SerializationError
from ..log.foreign import recorded_error
from ..log.header import Header
from ..runtime.executions import check_annotations, terms_of
from ..runtime.invocation import is_reported
from ..runtime.lambda_time import remaining_ms
from ..types import LambdaContext
from .attributes import messages, of_notification, of_sqs
from .bodies import of_base64, of_text, takes_bytes, takes_message
from .incoming import Incoming, run_later, run_now, wanted_header
from .messages import told

if TYPE_CHECKING:
    from ..core.function import DurableFunction
    from .incoming import Started

_log = logging.getLogger("durable_fn")

_LONGEST_ID = 512


def accept(
    function: DurableFunction[Any, Any],
    backend: Backend,
    context: LambdaContext,
    record: Any,
    source: str,
    *,
    enough: float,
    bare: bool = False,
) -> Started:
    """One execution for one record. With less than `enough` milliseconds left it is only written down, and a wake message runs
    it: a turn could be cut off in the middle, and the record is safe either way. `bare`: it came in a list, not in an event.

    Raises what makes the record fail. How the execution ends is not part of that: it is in the table, to be redriven. But where
    the handler says so itself, or fails before it did anything durable, the record comes again, as without a decorator.
    """
    check_annotations(function, terms_of(backend))
    incoming = _incoming(function, record, source, bare=bare)
    wanted = wanted_header(function, backend, incoming)
    if remaining_ms(context) < enough:
        return run_later(function, backend, incoming, wanted)
    started = run_now(function, backend, context, incoming, wanted, of_record=True)
    header, raised = started
    if is_reported(header):
        raise _Reported(header, raised)
    if not header.live and header.status != "SUCCEEDED":
        error = recorded_error(header) or {}
        _log.warning(
            "execution %r of %r ended %s: %s", header.id, function.name, header.status, error.get("error_type")
        )
    return started


class _Reported(Exception):
    """The record is handed back by its handler."""

    def __init__(self, header: Header, raised: BaseException | None) -> None:
        error = recorded_error(header) or {}
        super().__init__(f"execution {header.id!r}: {error.get('error_type')}: {error.get('message')}")
        self.__cause__ = raised


def report(function: DurableFunction[Any, Any], record: Any, error: BaseException) -> None:
    """Says in the log why a record failed, without its content. What is wrong with the record itself needs no traceback."""
    what = f"{_source(record)} record {item_id(record)!r}"
    if isinstance(error, _Reported):
        _log.warning("%s failed in durable function %r; it comes again: %s", what, function.name, error)
    elif isinstance(error, (SerializationError, ExecutionConflict, ValueError)):
        _log.error(
            "%s is refused by durable function %r, now and whenever it comes again: %s",
            what,
            function.name,
            told(error),
        )
    else:
        _log.error("%s failed in durable function %r; it comes again", what, function.name, exc_info=error)


def item_id(record: Any) -> str:
    """What Lambda knows a record by (ReportBatchItemFailures). "" for a record that has no such thing, which Lambda takes for a
    failure of the whole batch."""
    if not isinstance(record, dict):
        return ""
    source = _source(record)
    if source == "aws:kinesis":
        found = _dict(record.get("kinesis", record)).get("sequenceNumber")
    elif source == "aws:dynamodb":
        found = _dict(record.get("dynamodb")).get("SequenceNumber")
    elif source == "aws:sns":
        found = _dict(record.get("Sns")).get("MessageId")
    elif source == "aws:s3":
        found = _dict(_dict(record.get("s3")).get("object")).get("key")
    else:
        found = record.get("messageId")
    return found if isinstance(found, str) else ""


def _incoming(function: DurableFunction[Any, Any], record: Any, source: str, *, bare: bool) -> Incoming:
    if not isinstance(record, dict) or _source(record) != source:
        raise SerializationError(f"a record in a batch of {source} is none of {source}")
    if source == "aws:sqs":
        readings, id, identity = _sqs(function, record)
    elif source == "aws:sns":
        readings, id, identity = _sns(function, record)
    elif source == "aws:s3":
        readings, id, identity = (record,), _s3_id(record), _dict(record.get("s3"))
    elif source == "aws:kinesis":
        data = (record if bare else _part(record, "kinesis")).get("data")
        readings = of_base64(function, data, "the data") if function.envelope else ()
        id, identity = _required(record, "eventID"), data
    else:
        readings, id, identity = _dynamodb(function, record)
    if function.envelope:
        if takes_message(function):
            readings = messages(readings, _attributes(record, source))
        return Incoming(readings, id, shared=True)
    whole = [record] if bare else {"Records": [record]}
    return Incoming((whole,), id, shared=True, identity={"source": source, "record": identity})


def _attributes(record: dict[str, Any], source: str) -> dict[str, str]:
    if source == "aws:sns":
        return of_notification(record.get("Sns"))
    if source != "aws:sqs":
        return {}
    from .wrapped import notification

    return {**of_notification(notification(record.get("body"))), **of_sqs(record)}


def _sqs(function: DurableFunction[Any, Any], record: dict[str, Any]) -> tuple[tuple[Any, ...], str, Any]:
    """Another receipt and another count come with each delivery of the same message."""
    body = record.get("body")
    readings = _unwrapped(function, body) if function.envelope else ()
    return readings, _required(record, "messageId"), [body, record.get("messageAttributes")]


def _unwrapped(function: DurableFunction[Any, Any], body: object) -> tuple[Any, ...]:
    """What a topic, a bus or a bucket put into the queue is the payload; for a handler whose annotation it does not fit the
    wrapping is."""
    readings = of_text(function, body, "the body of the message")
    if takes_bytes(function) or not isinstance(readings[0], dict):
        return readings
    from .wrapped import content

    return (*content(function, readings[0]), *readings)


def _sns(function: DurableFunction[Any, Any], record: dict[str, Any]) -> tuple[tuple[Any, ...], str, Any]:
    notification = _part(record, "Sns")
    message = notification.get("Message")
    readings = of_text(function, message, "the Message") if function.envelope else ()
    identity = [message, notification.get("Subject"), notification.get("MessageAttributes")]
    return readings, _required(notification, "MessageId"), identity


def _dynamodb(function: DurableFunction[Any, Any], record: dict[str, Any]) -> tuple[tuple[Any, ...], str, Any]:
    """The payload: eventName, and of Keys, NewImage and OldImage those that the stream's view type brings, as plain JSON."""
    change, id = _part(record, "dynamodb"), _required(record, "eventID")
    if not function.envelope:
        return (), id, change
    from .images import plain_item

    images = {
        name: plain_item(change[name]) for name in ("Keys", "NewImage", "OldImage") if change.get(name) is not None
    }
    return ({"eventName": record.get("eventName"), **images},), id, None


def _s3_id(record: dict[str, Any]) -> str:
    """The object, its version, and the event: an object is written, tagged and deleted, with one version and several times.
    Hashed where a key makes it too long."""
    entity = _part(record, "s3")
    stored = _part(entity, "object")
    place = f"{_required(_part(entity, 'bucket'), 'name')}/{_required(stored, 'key')}"
    marks = [stored.get("versionId"), stored.get("sequencer")]
    if not any(marks):
        marks = [record.get("eventTime"), _dict(record.get("responseElements")).get("x-amz-request-id")]
    id = ":".join(mark for mark in (place, *marks, record.get("eventName")) if mark and isinstance(mark, str))
    if len(id.encode("utf-8", "surrogatepass")) <= _LONGEST_ID - 100 and id.isprintable():
        return id
    return f"s3:{hashlib.sha256(id.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _source(record: Any) -> str:
    source = (record.get("eventSource") or record.get("EventSource")) if isinstance(record, dict) else None
    return source if isinstance(source, str) else "unknown"


def _part(record: dict[str, Any], name: str) -> dict[str, Any]:
    part = record.get(name)
    if not isinstance(part, dict):
        raise SerializationError(f"the record has no {name!r}, or not as an object")
    return part


def _required(record: dict[str, Any], name: str) -> str:
    value = record.get(name)
    if not isinstance(value, str) or not value:
        raise SerializationError(f"the record has no {name!r}, or not as a text")
    return value


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
