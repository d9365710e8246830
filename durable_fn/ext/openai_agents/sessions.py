"""What a session does as steps."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from agents import Session, TResponseInputItem
from agents.memory import SessionABC

from ... import current_step
from .dynamodb_session import DynamoDBSession, Newest
from .tools import Steps


class StepSession(SessionABC):
    """Each call of a session is a step, which may run again if its process dies in it. `DynamoDBSession` bears that."""

    def __init__(self, session: Session, steps: Steps) -> None:
        self.session_id = session.session_id
        self.session_settings = session.session_settings
        self._session = session
        self._steps = steps
        self._last: int | None = None  # number of the last entry of a DynamoDBSession

    async def get_items(self, limit: int | None = None) -> list[TResponseInputItem]:
        session = self._session
        if not isinstance(session, DynamoDBSession):
            items: list[TResponseInputItem] = await self._step("read", lambda: session.get_items(limit))
            return items
        last, items = await self._step("read", lambda: _listed(session.read(limit)))
        self._last = max(last, self._last or 0)
        return [*items]

    async def add_items(self, items: list[TResponseInputItem]) -> None:
        session = self._session
        if not isinstance(session, DynamoDBSession):
            await self._step("append", lambda: session.add_items(items))
            return
        if self._last is None:
            await self.get_items(1)
        after = self._last or 0
        self._last = await self._step("append", lambda: session.append(items, after, current_step().idempotency_key))

    async def pop_item(self) -> TResponseInputItem | None:
        session = self._session
        item: TResponseInputItem | None
        if not isinstance(session, DynamoDBSession):
            item = await self._step("pop", session.pop_item)
            return item
        newest = await self._step("newest", lambda: _listed(session.newest()))
        if newest is None:
            return None
        await self._step("pop", lambda: session.shorten(Newest(*newest)))
        item = newest[1][-1]
        return item

    async def clear_session(self) -> None:
        await self._step("clear", self._session.clear_session)

    async def _step(self, what: str, body: Callable[[], Awaitable[Any]]) -> Any:
        name = f"{self._steps.name}.session.{what}"
        return await self._steps.run.step(name, self._steps.run.next(name), body, self._steps.settings)


async def _listed(made: Awaitable[tuple[Any, ...] | None]) -> list[Any] | None:
    """As JSON has it."""
    found = await made
    return None if found is None else list(found)
