"""The shapes of Lambda events, and what is answered."""

from __future__ import annotations

from typing import Any


def is_test_event(event: Any) -> bool:
    """What S3 sends where notifications are set up, to see whether it may."""
    return isinstance(event, dict) and event.get("Event") == "s3:TestEvent" and event.get("Service") == "Amazon S3"
