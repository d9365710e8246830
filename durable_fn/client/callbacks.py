"""Callbacks, as whoever has a token settles them."""

from __future__ import annotations

from ..core.foreign import foreign
from ..core.header import Header, Refusal
from ..core.inbox import NO_HEARTBEAT, TIMEOUT, beat_prefix, callback_key, entry, numbered, settled
from ..core.journal import Journal
from ..core.promises import Place, place_of
from ..core.tokens import Token, is_genuine, parse
from ..errors import CallbackError
from .executions import Executions, writer


class Callbacks:
    """Whatever is wrong with a token, or comes too late, is a CallbackError."""

    def __init__(self, executions: Executions) -> None:
        self._executions = executions

    def settle(self, token: str, body: str) -> None:
        """The log, which knows the timeout, is read only where there is one, or where an outcome is there already."""
        header, found = self._found(token)
        place = self._place(header, found) if found.limited else _unread(found)
        if place.outcome is None:
            self._check_time(place)
            if self._put(header, place, body):
                return
            asked, place = place, self._place(header, found)
            if place.outcome is None and place.key != asked.key and self._put(header, place, body):
                return  # it is asked anew, after a redrive
        there = place.outcome
        if there is None:
            raise CallbackError("the execution that waited for the callback has ended")
        if there.digest == entry("", "", body).digest:
            return
        late = there.body[0] in (TIMEOUT, NO_HEARTBEAT)
        raise CallbackError(
            "the callback timed out before" if late else "the callback was completed before, with another outcome"
        )

    def beat(self, token: str) -> None:
        header, found = self._found(token)
        place = self._place(header, found)
        if place.outcome is not None:
            raise CallbackError("the callback has its outcome already: a heartbeat changes nothing")
        self._check_time(place)
        by = writer()
        key = numbered(beat_prefix(found.gen, found.operation), header.n, by)
        reply = self._executions.deliver(header, entry(key, by, str(self._executions.clock.now())))
        if isinstance(reply, Refusal):
            raise CallbackError("the execution that waited for the callback has ended")

    def _put(self, header: Header, place: Place, body: str) -> bool:
        new = settled(place.key, writer(), body, self._executions.clock.now())
        return isinstance(self._executions.deliver(header, new), Header)

    def _check_time(self, place: Place) -> None:
        """Nobody may have waited when its time was over, so that nobody wrote it down."""
        if place.due is not None and self._executions.clock.now() >= place.due:
            raise CallbackError("the callback timed out before")

    def _found(self, token: str) -> tuple[Header, Token]:
        """What a token stands for. One error for all that is wrong with it: it tells a guesser nothing."""
        found = parse(token)
        header = self._executions.store.head(found.id) if found is not None else None
        if found is None or header is None or header.run != found.run or not is_genuine(found, header.secret):
            raise CallbackError(
                "unknown callback token: it was changed on its way, or its execution is gone; take it again from where it was "
                "handed out"
            )
        error = foreign(header)
        if error is not None:
            raise CallbackError(str(error))
        if header.gen != found.gen:
            raise CallbackError("the execution went on as a new generation, and the callback is closed")
        return header, found

    def _place(self, header: Header, token: Token) -> Place:
        loaded = self._executions.store.load(header.key)
        if loaded is None:
            return _unread(token)
        return place_of(Journal(loaded.segments), loaded.inbox, token.gen, token.operation)


def _unread(token: Token) -> Place:
    """Where it stands as far as the token itself says."""
    return Place(callback_key(token.gen, token.operation), None, None)
