"""An execution id by a JMESPath. jmespath comes with boto3."""

from __future__ import annotations

import json
from typing import Any

import jmespath
import jmespath.exceptions


def found_by(path: str, event: Any, what: str) -> str:
    """Raises ValueError if the event has nothing at this path. A number becomes its text."""
    try:
        found = jmespath.search(path, event)
    except RecursionError:
        raise ValueError(f"{what} is the JMESPath {path!r}, and the event is nested too deeply for it") from None
    except jmespath.exceptions.JMESPathError as error:
        raise ValueError(f"{what} is the JMESPath {path!r}, which fails for this event: {error}") from error
    if found is None:
        shown = (
            f"its keys: {', '.join(map(str, list(event)[:10]))[:200]}" if isinstance(event, dict) else "it is no object"
        )
        raise ValueError(f"{what} is the JMESPath {path!r}, and the event has nothing there ({shown})")
    return found if isinstance(found, str) else json.dumps(found)
