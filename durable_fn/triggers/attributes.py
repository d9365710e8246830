"""Message attributes, for a handler that annotates its event with `durable_fn.types.Message`. They are a part of its input then:
every replay sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def of_sqs(record: dict[str, Any]) -> dict[str, str]:
    """The text of each attribute of a queue's message; base64 text of a binary one."""
    return _texts(record.get("messageAttributes"), "stringValue", "binaryValue")


def of_notification(notification: Any) -> dict[str, str]:
    """Of a topic's message, as Lambda brings it or as it lies in a queue."""
    found = notification.get("MessageAttributes") if isinstance(notification, dict) else None
    return _texts(found, "Value")


def _texts(attributes: Any, *fields: str) -> dict[str, str]:
    """What is no attribute is left out: anybody may have written it."""
    found = {}
    for name, attribute in attributes.items() if isinstance(attributes, dict) else ():
        values = [attribute.get(field) for field in fields] if isinstance(attribute, dict) else []
        text = next((value for value in values if isinstance(value, str)), None)
        if text is not None:
            found[name] = text
    return found


def messages(readings: tuple[Any, ...], attributes: Mapping[str, str]) -> tuple[Any, ...]:
    """The readings of a body as those of a `Message`."""
    return tuple({"body": reading, "attributes": dict(attributes)} for reading in readings)
