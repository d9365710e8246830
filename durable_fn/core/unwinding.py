"""What unwinds a handler without being its own doing: no error, so no `except Exception` of the handler's sees it."""

from __future__ import annotations

from ..errors import SerializationError


class Suspension(BaseException):
    """Unwinds a handler that waits, or whose invocation has to stop early. Not an Exception: user code must not catch it."""

    def __init__(self, why: str, due: int | None = None) -> None:
        super().__init__(why)
        self.due = due


class Renewed(Suspension):
    """The handler goes on as the next generation, with another payload."""

    walked_again = False

    def __init__(self, payload: object) -> None:
        super().__init__("continues as new")
        self.payload = payload


class Fenced(BaseException):
    """Another invocation owns the execution now. Nothing more is committed here."""


class Held(BaseException):
    """This code cannot read something recorded that the handler has seen before. The handler does not see this error, because
    it would take another path: the execution waits for code or a configuration that can read it. Nothing more is committed
    here."""

    def __init__(self, error: SerializationError) -> None:
        super().__init__(str(error))
        self.error = error
