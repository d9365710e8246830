"""Messages in a queue that another service put there: an SNS notification, an event of EventBridge, an S3 notification, also one
in another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import SerializationError
from . import is_test_event
from .bodies import of_text, parsed

if TYPE_CHECKING:
    from ..core.function import DurableFunction


def content(function: DurableFunction[Any, Any], body: dict[str, Any]) -> tuple[Any, ...]:
    """What the payload can mean, from the inside out; () for a message that nobody wrapped."""
    if _is_notification(body):
        readings = of_text(function, body["Message"], "the Message")
        inner = readings[0]
        return (*content(function, inner), *readings) if isinstance(inner, dict) else readings
    if _is_event(body):
        return (body["detail"],)
    record = _s3_record(body)
    return () if record is None else (record,)


def notification(body: object) -> dict[str, Any] | None:
    """The topic's message that lies in a queue."""
    try:
        message = parsed(body, "the body of the message") if isinstance(body, str) else None
    except (ValueError, SerializationError):
        return None
    return message if isinstance(message, dict) and _is_notification(message) else None


def is_test(body: str) -> bool:
    try:
        message = parsed(body, "the body of the message")
        if isinstance(message, dict) and _is_notification(message):
            message = parsed(message["Message"], "the Message")
    except ValueError:
        return False
    return is_test_event(message)


def _is_notification(body: dict[str, Any]) -> bool:
    return body.get("Type") == "Notification" and all(
        isinstance(body.get(name), str) for name in ("MessageId", "TopicArn", "Message")
    )


def _is_event(body: dict[str, Any]) -> bool:
    return "detail" in body and all(isinstance(body.get(name), str) for name in ("id", "source", "detail-type"))


def _s3_record(body: dict[str, Any]) -> Any:
    """S3 sends one record in each notification."""
    records = body.get("Records")
    record = records[0] if isinstance(records, list) and len(records) == 1 else None
    return record if isinstance(record, dict) and record.get("eventSource") == "aws:s3" else None
