"""What both drivers need from the backend while a turn runs: commits, requests, and checks of the clocks before a body
begins."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, TypeVar

from ..backends.ports import Backend, BlobRefused
from ..core.effects import Decide, Launch, Post
from ..core.turn import Progress, Turn
from ..core.unwinding import Fenced, Suspension
from ..errors import DurableError, JournalDamaged, SerializationError
from ..log import failures
from ..log.events import BEGUN, FAILED, SUCCEEDED, Event, Segment, body, fence, handover
from ..log.header import Header, Refusal
from ..log.inbox import NO_HEARTBEAT, entry
from ..log.kinds import STEP
from .activity import Activity

if TYPE_CHECKING:
    from ..hooks import Hooks

T = TypeVar("T")

IN_PLACE_MS: Final = 1000
"""The invocation sleeps through a wait this short: suspending would cost more Lambda time than it saves."""

_MOST_BODY = 390_000  # a segment item with its keys stays below DynamoDB's 400 KB


RECORDED_END: Final = "the recorded history ends here"
NEWS_S: Final = 5.0
"""How old the owner's knowledge of the inbox may be when a body begins."""


LEAST_TIME: Final = 1.0
"""The least that `time_left` returns, in seconds."""


_GATHER_S: Final = 0.02
"""The longest that a commit waits for others to share it; a write to DynamoDB takes about 5 ms."""
_QUIET: Final = 12
"""After this many checks in a row without a new thread `_gather` stops: as long as a write to DynamoDB takes."""


class Outage(BaseException):
    """The journal could not be written. Not an Exception: a handler must not take it for a failed step."""


class Session:
    """One turn with its backend. `lease_end` is epoch milliseconds."""

    def __init__(
        self, turn: Turn, backend: Backend, lease_end: int, remaining_ms: int, hooks: tuple[Hooks, ...] = ()
    ) -> None:
        self.turn = turn
        self.hooks = hooks
        self.backend = backend
        self.store = backend.store
        self.clock = backend.clock
        self._wall = self.clock.now()
        self._mono = self.clock.monotonic()
        self._lease_ms = lease_end - self._wall
        self._remaining_ms = remaining_ms
        # Time kept back for the suspend itself; a quarter of a short function's time, at most 1.5 s.
        self._margin_ms = min(1500, remaining_ms // 4)
        self._looked = self._mono
        self._changed = threading.Condition()
        self._writing = False
        self._arrivals = 0  # threads that called `commit` since a batch was taken
        self._taken = self._written = 0  # batches
        self.activity = Activity()
        self.read_only = False  # a recorded history is walked: no body runs
        self._begun: dict[str, int] = {}  # operations that began in this turn, for hooks
        self.always_suspend = False  # for tests: one operation per turn
        turn.deadline = self._wall + remaining_ms
        turn.lock = turn.journal.lock = threading.RLock()

    # -- clocks ----------------------------------------------------------------------------------------------------

    def elapsed_ms(self) -> float:
        """Time since the lease was taken, by the faster of two clocks: the monotonic one may stop while Lambda freezes the
        environment, and the wall clock may be set back."""
        return max((self.clock.monotonic() - self._mono) * 1000, self.clock.now() - self._wall)

    def look_at_lease(self) -> None:
        """Raises Fenced when another invocation may already own the execution."""
        self._check_lease(self.elapsed_ms())

    def _check_lease(self, elapsed: float) -> None:
        if elapsed > self._lease_ms - self.store.skew_ms:
            raise self.turn.close(Fenced(f"the lease on {self.turn.header.id!r} is over"))

    def admits(self, timeout: float | None, *, begun: bool) -> bool:
        """Whether a body may begin now. `begun`: its marker is written, so it must not be put off. Raises Fenced if the
        execution may be another invocation's by now."""
        elapsed = self.elapsed_ms()
        self._check_lease(elapsed)
        return begun or not self.must_yield(timeout, elapsed)

    def must_yield(self, timeout: float | None, elapsed: float | None = None) -> bool:
        """Whether too little Lambda time is left for a body. Never in a turn that has done nothing: a step longer than
        a whole Lambda would loop."""
        if self.read_only:
            return True
        if self.turn.progress is not Progress.WORKED:
            return False
        if self.always_suspend:
            return True
        need = self._margin_ms + (timeout or 0) * 1000
        return self._remaining_ms - (self.elapsed_ms() if elapsed is None else elapsed) < need

    def time_left(self) -> float:
        """Seconds of Lambda time, without the time that a suspend needs."""
        return max(LEAST_TIME, (self._remaining_ms - self._margin_ms - self.elapsed_ms()) / 1000)

    def fits_in_place(self, delay_ms: float) -> bool:
        return (
            not self.always_suspend
            and delay_ms <= IN_PLACE_MS
            and self._remaining_ms - self.elapsed_ms() - delay_ms > self._margin_ms
        )

    # -- commits ---------------------------------------------------------------------------------------------------

    def commit(self) -> None:
        """Writes what is pending. Threads that call this at the same time share a segment: one writes for all, and all return
        together."""
        with self._changed:
            ticket = self._taken  # the next batch that is taken includes what is pending now
            self._arrivals += 1
            while self._writing and self._written <= ticket:
                self._changed.wait()
            if self._written > ticket:
                return
            self._check()
            self._writing = True
        try:
            if self.activity.count > 1 and not self.store.local and self.turn.pending:
                self._gather()
            with self._changed:
                batch, self._arrivals, self._taken = self.take(), 0, self._taken + 1
            self.write(batch)
            self._written = self._taken
        finally:
            self._let_go()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """A block in which no other thread writes."""
        with self._changed:
            while self._writing:
                self._changed.wait()
            self._check()
            self._writing = True
        try:
            yield
        finally:
            self._let_go()

    def _let_go(self) -> None:
        with self._changed:
            self._writing = False
            self._changed.notify_all()

    def _check(self) -> None:
        if self.turn.closed is not None and not isinstance(self.turn.closed, Suspension):
            raise self.turn.closed

    def _gather(self) -> None:
        """Waits a moment for other running branches to commit as well, because a shared write costs no more than one. It waits
        as long as they keep coming, but not much longer than a write takes, and not for bodies that have run longer than
        that."""
        end = time.perf_counter() + _GATHER_S
        seen, quiet = self._arrivals, 0
        while seen < self.activity.may_come() and quiet < _QUIET and time.perf_counter() < end:
            time.sleep(_GATHER_S / 50)
            arrived = self._arrivals
            seen, quiet = arrived, 0 if arrived > seen else quiet + 1

    def gate(self) -> None:
        """Called before a body or a request: commits decisions that a crash could change, such as which branch of a fan was
        first."""
        chosen = tuple(self.turn.chosen)
        if chosen:
            self.commit()
            self.turn.chosen.difference_update(chosen)

    def take(self, count: int | None = None) -> list[Event]:
        """Takes the pending entries, or the first `count`, for the caller to write. Safe beside other threads' `record`."""
        pending = self.turn.pending
        with self.turn.lock:
            batch = pending[:count]
            del pending[: len(batch)]
            self.turn.flying = batch
        return batch

    def write(self, batch: list[Event]) -> None:
        """Appends events as few segments as fit. Raises Fenced, or Outage if the journal cannot be reached. If the blob store
        refuses a step's result, the step has failed: its event says so when this returns."""
        for part in _parts(batch, self.store.fits):
            try:
                self.append(body(part))
            except BlobRefused:
                for event in part:  # one by one, so that only the event with the refused value fails
                    self._append_alone(event)
        self.report(batch)

    def _append_alone(self, event: Event) -> None:
        try:
            self.append(event.line())
        except BlobRefused as refused:
            if event.kind != STEP or event.status != SUCCEEDED:
                raise self._outage(refused) from refused
            event.status, event.value = (
                FAILED,
                failures.encode(failures.capture(unstored(event.name, refused), own=True)),
            )
            self.append(event.line())

    def report(self, batch: list[Event]) -> None:
        """These entries are durable now: reports them to the hooks."""
        self.turn.flying = []
        self.turn.chosen.difference_update(batch)
        if self.hooks:
            from .hooking import recorded

            self._begun.update((event.id, event.at) for event in batch if event.status == BEGUN)
            recorded(self.hooks, self.turn.header.id, batch, self._when_begun)

    def _when_begun(self, id: str) -> int | None:
        at = self._begun.get(id)
        record = self.turn.journal.records.get(id)
        return record.begun.at if at is None and record is not None and record.begun is not None else at

    def append(self, text: str) -> None:
        """One segment at the next sequence number."""
        self._put(text)
        self.turn.made(Progress.WORKED)
        self._progressed()

    def _progressed(self) -> None:
        """Sets the header's `tries` to 0, if it is not 0 already. If that write fails, the sweeper is slower, and nothing
        else."""
        header = self.turn.header
        if not header.tries:
            return
        header.tries = 0
        with contextlib.suppress(Exception):
            self.store.progressed(header, self.turn.writer)

    # -- the inbox and other executions ----------------------------------------------------------------------------

    def decide(self, decision: Decide) -> bool:
        """Commits what is pending and the decision, if nothing has come since. False: the inbox was read again, and what was
        pending still is."""
        with self._alone():
            back = self.decide_on(self.take(), decision)
            if back:
                with self.turn.lock:
                    self.turn.pending[:0] = back
            return back is None

    def decide_on(self, batch: list[Event], decision: Decide) -> list[Event] | None:
        """Writes the batch and the decision, if nothing has come since. None: all is written. Else the inbox was read again,
        and the entries that are returned have still to be written."""
        turn = self.turn
        with turn.lock:  # another branch may have read the inbox again meanwhile
            if turn.inbox.version is not decision.version:
                return batch
            seen = turn.seen
        *first, last = _parts([*batch, decision.event], self.store.fits)
        for part in first:
            self.write(part)
        self.look_at_lease()
        segment = Segment(turn.journal.next_seq, turn.writer, body(last))
        reply = self._asked(lambda: self._decided(segment, seen, alone=len(last) == 1))
        if reply is None:  # the store refused a value beside the decision: that event fails by itself
            self.write(last[:-1])
            return self.decide_on([], decision)
        if isinstance(reply, Header):
            turn.journal.next_seq += 1
            turn.made(Progress.WORKED)
            self._progressed()
            self.report(last)
            return None
        if reply.reason != "moved":
            raise self._fenced(f"could not decide: {reply.reason}")
        self.reload()
        return last[:-1]

    def _decided(self, segment: Segment, seen: int, *, alone: bool) -> Header | Refusal | None:
        """None: a value beside the decision could not be stored, and nothing was written."""
        try:
            return self.store.decide(self.turn.header, segment, seen)
        except BlobRefused:
            if alone:
                raise
            return None

    def expire(self, key: str, body: str) -> None:
        """Writes a timeout, unless a completion was first. The inbox then has whichever it was."""
        turn = self.turn
        self.look_at_lease()
        new = entry(key, turn.writer, body)
        seen = turn.seen if body == NO_HEARTBEAT else None
        reply = self._asked(lambda: self.store.expire(turn.header, turn.writer, new, seen))
        if isinstance(reply, Header):
            with turn.lock:
                turn.inbox.add(new)
            turn.made(Progress.WORKED)
        elif reply.reason == "moved":
            self.reload()
        else:
            raise self._fenced(f"could not write a timeout: {reply.reason}")

    def reload(self) -> None:
        """Reads the inbox again. The turn goes on."""
        turn = self.turn
        loaded = self._asked(lambda: self.store.load(turn.header.key))
        if loaded is None:
            raise self._fenced("the execution is gone")
        with turn.lock:
            turn.header.n, turn.header.gone, turn.header.cancel = (
                loaded.header.n,
                loaded.header.gone,
                loaded.header.cancel,
            )
            turn.inbox.refresh(loaded.inbox)
        turn.notice()

    @property
    def news_are_old(self) -> bool:
        return self.clock.monotonic() - self._looked >= NEWS_S

    def look_for_news(self) -> None:
        """Called before a body: checks every few seconds for a cancellation, or anything else that came meanwhile."""
        if not self.news_are_old:
            return
        self._looked = self.clock.monotonic()
        header = self._asked(lambda: self.store.get(self.turn.header.id))
        if header is not None and header.key == self.turn.header.key and header.n != self.turn.header.n:
            self.reload()

    def launch(self, launch: Launch) -> str | None:
        """Starts another execution, once. Returns its outcome if it has ended already."""
        from .calls import launch as start

        return self._asked(lambda: start(self.backend, self.turn.header, launch))

    def post(self, post: Post) -> bool:
        """Signals another execution, once. False: that one has ended."""
        from .executions import check_fits
        from .signalling import send_signal

        check_fits(self.store, post.text, f"the payload of signal {post.name!r}")
        return self._asked(lambda: send_signal(self.backend, post.id, post.name, post.text, post.signal_id))

    def tell(self, id: str, reason: str) -> None:
        from .calls import cancel_own

        self._asked(lambda: cancel_own(self.backend, self.turn.header, id, reason, self.turn.writer))

    def _asked(self, ask: Callable[[], T]) -> T:
        """Makes a request in the middle of a turn. A DurableError that is the user's mistake is raised as it is; any other
        error ends the turn."""
        try:
            return ask()
        except JournalDamaged as error:
            raise self._outage(error) from error
        except DurableError:
            raise
        except Exception as error:
            raise self._outage(error) from error
        except BaseException as death:
            self.turn.close(death)
            raise

    def _outage(self, error: Exception) -> Outage:
        return self.turn.close(Outage(f"the journal of {self.turn.header.id!r} could not be reached: {error}"))

    def _fenced(self, why: str) -> Fenced:
        return self.turn.close(Fenced(f"{self.turn.header.id!r} {why}"))

    def fence(self, *, dead: bool = True) -> None:
        """A new owner's first write, because the owner before may still have an append under way. `dead`: that one died; else
        it gave the execution back, which does not count towards a stall."""
        now = self.turn.time()
        self.turn.took_over = True
        self.turn.journal.taken_over()
        self._put(fence(now) if dead else handover(now))

    def _put(self, text: str) -> None:
        turn = self.turn
        self.look_at_lease()
        header = turn.header
        segment = Segment(turn.journal.next_seq, turn.writer, text)
        try:
            mine = self.store.append(header, segment)
        except BlobRefused:
            raise  # nothing was written, and the caller may write something else
        except Exception as error:
            raise turn.close(Outage(f"could not write the journal of {header.id!r}: {error}")) from error
        except BaseException as death:
            turn.close(death)  # the process is ending: the rest of the handler must not run
            raise
        if not mine:
            raise turn.close(Fenced(f"another invocation wrote segment {segment.seq} of {header.id!r}"))
        turn.journal.next_seq += 1


def unstored(what: str, refused: BlobRefused) -> SerializationError:
    """The error for a value that the blob store refused."""
    error = SerializationError(
        f"the result of {what!r} could not be stored, and making it again would not help: {refused}"
    )
    error.__cause__ = refused
    return error


def _parts(batch: list[Event], fits: Callable[[str], bool]) -> list[list[Event]]:
    whole = body(batch)
    if len(whole) * 5 <= _MOST_BODY or (len(whole.encode()) <= _MOST_BODY and fits(whole)):
        return [batch] if batch else []
    half = len(batch) // 2
    return _parts(batch[:half], fits) + _parts(batch[half:], fits) if half else [batch]
