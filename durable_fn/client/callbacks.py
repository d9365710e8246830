"""Callbacks, as whoever has a token settles them."""

from __future__ import annotations

from ..errors import CallbackError
from ..log.damage import reading
from ..log.foreign import foreign
from ..log.header import Header, Refusal
from ..log.inbox import NO_HEARTBEAT, TIMEOUT, Beat, beat_key, beat_of, callback_key, entry, settled
from ..log.journal import Journal
from ..log.outcomes import Place, place_of
from ..log.tokens import Token, is_genuine, parse
from ..log.waiting import tokens_by_id
from .executions import Executions


class Callbacks:
    """Whatever is wrong with a token, or comes too late, is a CallbackError."""

    def __init__(self, executions: Executions) -> None:
        self._executions = executions

    @classmethod
    def from_env(cls) -> Callbacks:
        """As `DurableClient.from_env`."""
        from ..wiring import backend

        return cls(Executions(backend()))

    def settle(self, token: str, body: str, by: str | None = None) -> None:
        """`by`: who, for the history. The log, which knows the timeout, is read only where there is one, or where an outcome
        is there already."""
        header, found = self._found(token)
        place = self._place(header, found) if found.limited else _unread(found)
        if place.outcome is None:
            self._check_time(place)
            if self._put(header, place, body, by):
                return
            asked, place = place, self._place(header, found)
            if place.outcome is None and place.key != asked.key and self._put(header, place, body, by):
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

    def check(self, token: str) -> None:
        """Whether somebody was given it. The header alone is read."""
        self._found(token)

    def token(self, id: str, operation: str) -> str:
        """Of an open callback, by its operation id: for whoever may steer the execution and was given no token. Raises
        CallbackError."""
        loaded = self._executions.loaded(id)
        header = self._executions.store.unsealed(loaded.header)
        with reading(id):
            token = tokens_by_id(header, Journal(loaded.segments), loaded.inbox).get(operation)
        if token is None:
            raise CallbackError(f"execution {id!r} has no open callback {operation!r}")
        return token

    def beat(self, token: str) -> None:
        """The first one reads the log; the others find what they need in the one before."""
        header, found = self._found(token)
        place = self._after_last(header, found) or self._place(header, found)
        if place.outcome is not None:
            raise CallbackError("the callback has its outcome already: a heartbeat changes nothing")
        self._check_time(place)
        body = Beat(self._executions.clock.now(), place.timeout, place.every, place.key).body()
        reply = self._executions.beat(
            header, entry(beat_key(found.gen, found.operation), self._executions.writer(), body)
        )
        if isinstance(reply, Refusal):
            raise CallbackError("the execution that waited for the callback has ended")

    def _after_last(self, header: Header, token: Token) -> Place | None:
        """Where it stands, by the heartbeat before. None where there is none, or where it is over as far as that one knows: a
        redrive may have asked anew since."""
        store, now = self._executions.store, self._executions.clock.now()
        there = store.entry(header.key, beat_key(token.gen, token.operation))
        if there is None:
            return None
        last = beat_of(there.body)
        due = min((time for time in (last.due, last.at + last.every if last.every else 0) if time), default=None)
        over = (due is not None and now >= due) or store.entry(header.key, last.key) is not None
        return None if over else Place(last.key, None, due, last.due, last.every)

    def _put(self, header: Header, place: Place, body: str, by: str | None) -> bool:
        new = settled(place.key, self._executions.writer(by), body, self._executions.clock.now())
        return isinstance(self._executions.deliver(header, new), Header)

    def _check_time(self, place: Place) -> None:
        """Nobody may have waited when its time was over, so that nobody wrote it down."""
        if place.due is not None and self._executions.clock.now() >= place.due:
            raise CallbackError("the callback timed out before")

    def _found(self, token: str) -> tuple[Header, Token]:
        """What a token stands for. One error for all that is wrong with it: it tells a guesser nothing."""
        found = parse(token)
        header = self._executions.store.head(found.id) if found is not None else None
        if found is None or header is None or header.run != found.run or not self._proves(found, header):
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

    def _proves(self, token: Token, header: Header) -> bool:
        return is_genuine(token, self._executions.store.unsealed(header).proof_secret)

    def _place(self, header: Header, token: Token) -> Place:
        loaded = self._executions.store.load(header.key)
        if loaded is None:
            return _unread(token)
        with reading(header.id):
            return place_of(Journal(loaded.segments), loaded.inbox, token.gen, token.operation)


def _unread(token: Token) -> Place:
    """Where it stands as far as the token itself says."""
    return Place(callback_key(token.gen, token.operation), None, None)
