"""When a message was made, by the clock of the execution: Pydantic AI takes the machine's, which is another in each replay.

A model's answers and what is in them are recorded, and need nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pydantic_ai.messages import ModelMessage, ModelRequest


def stamp(messages: Sequence[ModelMessage], run_id: str | None, now: datetime) -> None:
    """The newest message, if the run made it and it is a request."""
    newest = messages[-1] if messages else None
    if not isinstance(newest, ModelRequest) or newest.run_id != run_id:
        return
    newest.timestamp = now
    for part in newest.parts:
        if hasattr(part, "timestamp"):
            part.timestamp = now
