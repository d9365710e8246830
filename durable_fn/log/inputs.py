"""The input of an execution: validated once, by the first process that knows the annotation, and stored as validated."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from ..errors import SerializationError
from ..values import documents, tagged
from ..values.adapters import Adapter
from ..values.plain import to_plain_json
from ..values.terms import STRICT, Terms


class Input(NamedTuple):
    """`text`: as it is stored; `value`: as the handler will see it; `sent`: what the caller sent, which is equal for two
    deliveries of the same event, whatever defaults each drew: JSON data, or an object as it is stored."""

    text: str
    value: Any
    sent: str
    is_data: bool = True

    @property
    def payload(self) -> Any:
        """What was sent, as JSON shows it."""
        return documents.loads(self.sent) if self.is_data else tagged.plain(self.text)


def arrived(adapter: Adapter, event: object, what: str, terms: Terms = STRICT) -> Input:
    """A raw Lambda event, validated. Raises SerializationError."""
    if not adapter.typed and not tagged.is_json(event):  # called in a script or a test, with what JSON does not have
        return _object(adapter, event, what, terms)
    try:
        sent = documents.dumps(event)
    except (TypeError, ValueError, RecursionError) as error:
        raise SerializationError(f"{what} is not JSON: {error}") from error
    return Input(*adapter.receive(sent, what, terms), sent)


def admitted(adapter: Adapter, payload: object, what: str, terms: Terms = STRICT) -> Input:
    """A payload from code: the object, or plain JSON data that validates as it. Raises SerializationError."""
    if tagged.is_json(payload):
        return arrived(adapter, payload, what, terms)
    try:
        return _object(adapter, payload, what, terms)
    except SerializationError as error:
        if not adapter.typed or type(payload) not in (dict, list):
            raise
        try:  # plain data but for a datetime in it, say
            return arrived(adapter, json.loads(to_plain_json(payload, what)), what, terms)
        except SerializationError:
            raise error from None


def _object(adapter: Adapter, payload: object, what: str, terms: Terms) -> Input:
    text, value = adapter.keep(payload, what, terms)
    return Input(text, value, text, is_data=False)


def unseen(payload: object) -> Input:
    """A payload for a function whose types are unknown here: the invocation that runs it validates it."""
    sent = to_plain_json(payload)
    return Input(documents.outside(sent), None, sent)
