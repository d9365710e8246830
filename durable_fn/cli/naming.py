"""What a dashboard calls its backend, and who acts in it."""

from __future__ import annotations

import getpass
import os
from typing import Any

from ..backends.ports import Backend
from ..client.executions import ACTOR


def label(backend: Backend) -> str:
    """What the page calls the backend."""
    if backend.kind == "sqlite":
        return label_of_url(os.environ.get("DURABLE_FN_BACKEND", ""))
    store: Any = backend.store
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or ""
    return f"{store.store.table.name} {region}".strip()  # of a PackedStore around a DynamoStore


def label_of_url(url: str) -> str:
    return url.partition("?")[0].removeprefix("sqlite:///")


def me() -> str:
    """Who acts here, for the history: DURABLE_FN_ACTOR, else the user of this machine."""
    given = os.environ.get(ACTOR)
    if given:
        return given
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "dashboard"
