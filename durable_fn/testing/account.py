"""What a local cloud needs of whoever answers for AWS."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Protocol

from ..backends.clocks import VirtualClock
from .moto_wire import Request
from .permissions import Permission


class Connection(Protocol):
    """Between the code under test and AWS. `requests` is what that code sent; `hops` and `lineage`: how often each function was
    invoked in the chain that led to an invocation, and to each message that it sent."""

    hops: dict[str, int] | None
    lineage: dict[str, dict[str, int]]
    requests: list[Request]
    permissions: set[Permission]

    def aside(self) -> AbstractContextManager[None]:
        """Requests that AWS's own parts make."""

    def acting(self, caller: str | None) -> AbstractContextManager[None]:
        """Requests that this caller makes."""


class Account(Protocol):
    """One account, with what stands behind its API."""

    def __init__(self, clock: VirtualClock) -> None: ...

    @property
    def wire(self) -> Connection: ...

    def open(self) -> AbstractContextManager[None]: ...

    def client(self, service: str) -> Any:
        """As botocore makes it."""

    def queue(self, url: str) -> Any:
        """As it is kept, with all its `_messages`."""

    def schedules(self) -> list[Any]: ...

    def first_due(self) -> int | None:
        """The earliest due time of any item."""

    def reap(self, now: int) -> None:
        """Removes what DynamoDB's TTL may remove at this time, in milliseconds."""
