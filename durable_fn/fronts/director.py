"""What happens when an async turn has nothing ready: replay goes on, time passes, or the execution suspends."""

from __future__ import annotations

import asyncio
import collections
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from ..core.journal import Record
from ..core.scope import Branch
from ..core.turn import Suspension
from .loop import DurableLoop, just_after
from .session import Session

_LONGEST_HOLD: Final = 0.1
"""Seconds that a late timer waits for the tasks to come to rest: one may go round and round."""
_LONGEST_WRITE: Final = 5.0
"""Seconds that a late timer waits for what is being written: its thread may have to wait for those of bodies."""
_MOMENT: Final = 1.0
"""Seconds for a foreign thread to wake the loop, when nothing that is known of can."""
_NOT_THEIRS: Final = (asyncio.__file__.rpartition("__init__")[0], __file__.rpartition("director")[0])
_PATIENCE: Final = 10.0
"""Seconds without any I/O after which a replay that waits for an entry nobody asks for is a mismatch."""


class Waiting(NamedTuple):
    """What a parked operation waits for. `due`: epoch milliseconds; `wake`: an inbox key, or the prefix of some."""

    due: int | None
    wake: str | None
    branch: Branch


class TurnDirector:
    """Loop time is `base` plus the seconds since the execution started. It stands at the journal's time until replay is over."""

    def __init__(self, session: Session, loop: DurableLoop) -> None:
        self.session = session
        self.loop = loop
        self.turn = session.turn
        self.clock = session.clock
        self.busy = 0  # step bodies and appends under way: the loop must not suspend over them
        self.parked: dict[asyncio.Future[None], Waiting] = {}
        self.waiting: dict[str, list[asyncio.Future[None]]] = {}  # recorded operations whose turn has not come, by id
        self.perishing: dict[str, list[asyncio.Future[None]]] = {}  # operations that were cancelled when recorded
        self.gate: list[
            asyncio.Future[None]
        ] = []  # live bodies, held back until replay is over and late timers have fired
        self.line: collections.deque[asyncio.Future[None]] = collections.deque()  # live results in the log's order
        self.arrived: set[asyncio.Future[None]] = set()  # those that are durable and wait for their turn
        self.struck: dict[asyncio.Future[None], BaseException] = {}  # operations at which a cancellation was raised
        self.losers: dict[Branch, Callable[[], None]] = {}  # branches of fans that are over, and how to end them
        self.give_up: Callable[[BaseException], None] | None = None  # raises an error in the handler
        self.live = False
        self.yielding = False
        self.closing = False
        self.base = 0.0  # loop time at the start of the turn
        self._offset = 0.0
        self._floor = 0.0
        self._patient = False
        self._limited = False
        self._passed = 0  # recorded results whose time is over
        self._restless = 0.0  # real time since which a late timer waits for the tasks to come to rest
        self._writing = 0.0  # and since which one waits for a write
        self.unsettled = False  # a timer has fired, and what it set off has not come to rest
        self._settling: list[asyncio.Future[None]] = []

    # -- time ------------------------------------------------------------------------------------------------------

    def time(self) -> float:
        if self.live:
            return time.monotonic() + self._offset
        return self.stands()

    def stands(self) -> float:
        """What `time` gives in a replay: where the log stands, or the last timer that fired since."""
        return max(self._floor, self.base + (self.turn.at - self.turn.started) / 1000)

    def go_live(self) -> None:
        """Replay is over, or handler code waits for something that is not ours: time runs, from the real present on."""
        if self.live:
            return
        present = self.base + (self.clock.now() - self.turn.started) / 1000
        self._offset = max(self.time(), present) - time.monotonic()
        self.live = True
        self._open_gate()
        self.news()

    def _open_gate(self) -> bool:
        held, self.gate = self.gate, []
        for future in held:
            _wake(future)
        return bool(held)

    # -- the loop would block --------------------------------------------------------------------------------------

    def block(self, timeout: float | None) -> float | None:
        if self.closing:
            raise asyncio.CancelledError  # nobody waits for what the tasks of a closed turn still want
        if self._rested():
            return 0
        if self._strike() or self._next_in_line() or (self.live and self._open_gate()) or self._hand_out():
            return 0
        if self._end_losers() or self._catch_up(timeout):
            return 0
        if self.busy:
            return self._until_parked(timeout)
        if self.yielding:
            self.turn.closed = Suspension("too little Lambda time is left", self.clock.now())
            raise self.turn.closed
        if self.waiting or self.perishing:
            self._patient = True
            return _PATIENCE if timeout is None else min(timeout, _PATIENCE)
        if self.parked:
            return self._wait_parked(timeout)
        return timeout if timeout is not None else self._limit()

    def late(self, timeout: float | None) -> float | None:
        """What is recorded came before a timer that has not fired, and so does what is being written: a replay, whose time
        stands where the log is, hands that out first. Timers fire one at a time."""
        if self.closing:
            raise asyncio.CancelledError
        if self._rested() or self._next_in_line() or self._hand_out():
            self._writing = 0.0
            return 0
        if self.line:
            now = time.monotonic()
            self._writing = self._writing or now
            left = self._writing + _LONGEST_WRITE - now
            if left > 0:
                return left if timeout is None else min(left, timeout)
        self._fire()
        return 0

    def restless(self) -> None:
        """Not for ever."""
        now = time.monotonic()
        self._restless = self._restless or now
        if now - self._restless > _LONGEST_HOLD:
            self._rested()
            if self.loop.held:
                self._fire()

    def _fire(self) -> None:
        self._restless = self._writing = 0.0
        self.unsettled = True
        moment = self.loop.fire()
        self._floor = max(self._floor, moment + just_after(moment))

    async def settled(self) -> None:
        """Until what a timer set off has come to rest: a result that is recorded meanwhile would stand in the log before the
        cancellations that the timer brought."""
        future = self.loop.create_future()
        self._settling.append(future)
        await future

    def _rested(self) -> bool:
        self._restless, self.unsettled = 0.0, False
        settling, self._settling = self._settling, []
        for future in settling:
            _wake(future)
        return bool(settling)

    def first_in_line(self, place: asyncio.Future[None]) -> bool:
        while self.line and self.line[0].done():
            self.line.popleft()
        return bool(self.line) and self.line[0] is place

    def _next_in_line(self) -> bool:
        """Lets the first live result through, if it is durable."""
        while self.line and self.line[0].done():
            self.line.popleft()
        if not self.line or self.line[0] not in self.arrived:
            return False
        _wake(self.line.popleft())
        return True

    def _hand_out(self) -> bool:
        """The next recorded result, if it is asked for."""
        record = self.turn.journal.next_record()
        if self._pass():
            return True
        if record is None or record.id not in self.waiting:
            return False
        for future in self.waiting[record.id]:
            _wake(future)
        return True

    def _pass(self) -> bool:
        """Time goes on over results that are not handed out again, because what they were part of was cancelled."""
        deliveries, before = self.turn.journal.deliveries, self.turn.at
        while self._passed < len(deliveries) and deliveries[self._passed].handed_out:
            record = deliveries[self._passed]
            assert record.done is not None
            self.turn.at = max(self.turn.at, record.done.at, record.resumed)
            self._passed += 1
        return self.turn.at > before and not self.live

    def _strike(self) -> bool:
        """A cancellation of the execution is raised where it struck, if it did not arrive there by way of the branch: from a
        task that is shielded, or that nobody awaits, no way leads there."""
        struck, self.struck = self.struck, {}
        for future, error in struck.items():
            if not future.done():
                future.set_exception(error)
        return bool(struck)

    def _end_losers(self) -> bool:
        """Branches whose fan is over, and that wait for something in memory: nobody waits for them to get it."""
        if self.busy or self.yielding or not self.losers:
            return False
        losers, self.losers = self.losers, {}
        for end in losers.values():
            end()
        return True

    def _catch_up(self, timeout: float | None) -> bool:
        """While anything of the past is left: False when nothing is."""
        record = self.turn.journal.next_record()
        if record is not None and record.id in self.perishing and timeout is not None:
            self._jump(timeout)  # to the loop timer that cancelled it
        elif not self.live:
            self._to_present(timeout)
        else:
            return False
        return True

    def _to_present(self, timeout: float | None) -> None:
        """From the journal's time to the present. What became due meanwhile is due in its order: loop timers before the
        first waiting operation fire first, then that operation goes on, at the present time."""
        timer = None if timeout is None else self.time() + timeout
        present = self.base + (self.clock.now() - self.turn.started) / 1000
        first = self._first_due()
        due = present if first is None else self.base + (first - self.turn.started) / 1000
        if timer is not None and timer < min(due, present):
            self._jump(timeout or 0.0)
        else:
            self.go_live()
            self._wake_due()

    def blocked(self, events: int) -> None:
        patient, self._patient = self._patient, False
        limited, self._limited = self._limited, False
        if limited and not events:
            self._give_up()
        if patient and not events and not self.busy:
            self._mismatch()
        if self.live and not (self.clock.virtual and self.busy):  # virtual time stands while a body runs
            self._wake_due()

    def _jump(self, seconds: float) -> None:
        """To the next loop timer."""
        if self.live:
            self._offset += seconds
        else:
            moment = self.time() + seconds
            self._floor = moment + just_after(moment)

    def _until_parked(self, timeout: float | None) -> float | None:
        """A branch whose time comes goes on without waiting for the bodies of its siblings."""
        due = self._first_due()
        if due is None or self.clock.virtual:
            return timeout
        delay = max(0.001, (due - self.clock.now()) / 1000)
        return delay if timeout is None else min(timeout, delay)

    def _wait_parked(self, timeout: float | None) -> float | None:
        """In place if the nearest time is near, else by suspending. A loop timer counts like a due time, and so does the
        execution's deadline."""
        now = self.clock.now()
        if self.turn.late and not self.turn.branch.raised and self.turn.branch.doom is None:
            self.turn.notice()
            self.news()
            return 0
        timer = None if timeout is None else now + max(1, round(timeout * 1000))
        times = [time for time in (self._first_due(), timer, self.turn.next_deadline) if time is not None]
        due = min(times, default=None)
        delay = None if due is None else due - now
        if delay is not None and delay <= 0:
            return 0
        if delay is None or not self.session.fits_in_place(delay):
            self.turn.closed = Suspension("waits for a time" if delay is not None else "waits for the outside", due)
            raise self.turn.closed
        if not self.clock.virtual:
            return delay / 1000
        self.clock.sleep(delay / 1000)
        self._offset += delay / 1000
        return 0

    def _first_due(self) -> int | None:
        return min((waiting.due for waiting in self.parked.values() if waiting.due is not None), default=None)

    def _wake_due(self) -> None:
        """The earliest only: what it does may matter to the others, also when they are all late."""
        due = self._first_due()
        if due is not None and due <= self.clock.now():
            for future, waiting in self.parked.items():
                if waiting.due == due:
                    _wake(future)

    def news(self) -> None:
        """Something came, or a branch is to end: whoever waits for that goes on."""
        inbox = self.turn.inbox
        for future, waiting in self.parked.items():
            if waiting.branch.doomed or (waiting.wake is not None and inbox.waits_for(waiting.wake)):
                _wake(future)

    def _limit(self) -> float:
        """No operation waits, no body runs, no timer is set: handler code waits for something in memory, or for I/O of its
        own. For as long as such I/O may bring something; else only a moment, in which a foreign thread may."""
        self._limited = True
        return self.session.time_left() if self.loop.expects_something else _MOMENT

    def _give_up(self) -> None:
        """Raised in the handler; out of the loop if the handler goes on waiting."""
        record = self.turn.journal.next_record()
        places = ", ".join(sorted(waiting_places(self.loop)))
        if record is not None:
            raise self.turn.mismatch(
                f"{record.kind} {record.id!r}",
                f"nothing: it waits at {places}",
                record.position,
                record.id.rpartition("/")[0],
                "an operation was removed, or what the handler waits for depends on something that is not recorded",
            )
        error = RuntimeError(
            f"nothing can wake the handler of execution {self.turn.header.id!r}: no durable operation waits, no step runs and "
            f"no timer is set, and it waits at {places}. What an event, a queue or a lock waits for must come from a branch "
            "that still runs; what comes from outside comes by a signal, a callback or a step"
        )
        give_up, self.give_up = self.give_up, None
        if give_up is None:
            raise error
        give_up(error)

    def _mismatch(self) -> None:
        """Every branch waits for its turn, and the entry whose turn it is was never asked for."""
        record: Record | None = self.turn.journal.next_record()
        stuck = next(iter(self.waiting or self.perishing))
        error = self.turn.mismatch(
            f"{record.kind} {record.id!r}" if record else None,
            f"{stuck!r}",
            record.position if record else 0,
            "",
            "an operation of a concurrent branch was removed, or the branches depend on something that is not recorded",
        )
        for futures in (*self.waiting.values(), *self.perishing.values()):
            for future in futures:
                if not future.done():
                    future.set_exception(error)


def waiting_places(loop: DurableLoop) -> set[str]:
    """Where the handler's tasks wait: function, file and line."""
    return {_place(task.get_coro()) for task in asyncio.all_tasks(loop)}


def _place(coroutine: Any) -> str:
    """Of the innermost frame that is not asyncio's own or ours."""
    place = "an unknown place"
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None)
        if frame is not None and not frame.f_code.co_filename.startswith(_NOT_THEIRS):
            file = frame.f_code.co_filename.replace("\\", "/").rpartition("/")[2]
            place = f"{frame.f_code.co_name} ({file}, line {frame.f_lineno})"
        coroutine = getattr(coroutine, "inner", None) or getattr(coroutine, "cr_await", None)
    return place


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
