"""Hands out the lines of an async turn, one at a time, each to the operation or timer that waits for it, when the handler
rests."""

from __future__ import annotations

import collections
import contextvars
from collections.abc import Callable
from typing import TYPE_CHECKING

from ...core.effects import Decide
from ...log.events import Event, is_keyed
from ...log.kinds import CONSEQUENCES
from ..session import Session
from .agenda import Agenda
from .bodies import Bodies
from .commits import Commits
from .line import Line
from .loop import DurableLoop
from .mismatches import Mismatches
from .operation import RunningOperation
from .stuck import Patience

if TYPE_CHECKING:
    from .waiting import Decider, Runnable, Target


class Delivery:
    """For one turn; `Pump` extends it. `ready`: callbacks of the handler that can run; if empty, the handler rests."""

    def __init__(self, session: Session, loop: DurableLoop) -> None:
        self.session = session
        self.loop = loop
        self.turn = session.turn
        self.line = Line(self.turn.journal)
        self.targets: dict[str, Target] = {}
        self.ready: collections.deque[Runnable] = collections.deque()
        self.agenda = Agenda(self.turn.inbox, self.ready.append)
        self.bodies = Bodies(self)
        self.mismatches = Mismatches(self.turn, loop, self.line, self.targets, self.agenda, self.bodies)
        self.commits = Commits(session, loop, self.line, self.stir, self.bodies.may_share)
        self.over = False
        self.decided: Event | None = None  # the last line in whose place another one could have come
        self.threads = 0  # calls in other threads that the handler awaits
        self._on_time: Event | None = None  # the last line of a wait whose due time is in the log
        self._live = (
            session.turn.took_over or not self.turn.journal.records
        )  # whether the code that runs now runs for the first time
        self._foreign = False  # something that has no line woke the handler
        self._rounds = 0
        self._patience = Patience(loop, self._schedule)
        self._apart = contextvars.Context()  # for SDK code that runs inside a task of the handler

    # -- what the pump does ----------------------------------------------------------------------------------------

    def stir(self, work: Callable[[], object]) -> None:
        """Runs `work`, which is not the handler's, and then the handler."""
        raise NotImplementedError

    def die(self, death: BaseException) -> None:
        """Ends the turn like a crash: nothing more is committed, by `finally` blocks neither."""
        raise NotImplementedError

    def _schedule(self) -> None:
        """Runs the handler soon."""
        raise NotImplementedError

    def _stimulate(self) -> bool:
        """No line waits to be handed out: makes the next one if something has come. False: nothing has."""
        raise NotImplementedError

    # -- lines -----------------------------------------------------------------------------------------------------

    def enqueue(self, event: Event, target: Target, *, held: bool) -> None:
        """A new line, which is pending already. `held`: it is durable before the handler sees it."""
        self.targets[event.id] = target
        self.line.append(event, self.commits.position, held=held)

    def new_line(self, event: Event, target: Target) -> None:
        """A new line that belongs to no operation. The next write includes it."""
        self.turn.pending.append(event)
        self.enqueue(event, target, held=False)

    def expect(self, id: str, target: Target) -> None:
        """The line of this id, recorded or future, is for `target`."""
        self.targets[id] = target
        self.line.ask(id)

    def await_line(self, id: str, target: Target) -> None:
        """The recorded line of this id is for `target`. One that a redrive kept by its id alone becomes a new line."""
        self.targets[id] = target
        if self.line.places:
            self.line.ask(id)
        record = self.turn.journal.records[id]
        if record.aside and record.done is not None:
            record.aside = False
            done, now = record.done, self.turn.time()
            event = Event(
                id, done.kind, done.position, done.status, done.attempt, now, done.due, done.value, done.asked
            )
            self.turn.pending.append(event)
            self.line.append(event, self.commits.position, held=False)

    def decide(self, decision: Decide, operation: Decider) -> None:
        """A new line for a decision from absence, which is written on the condition that nothing has come."""
        self.targets[decision.event.id] = operation
        self.line.append(decision.event, self.commits.position, held=True)
        self.commits.decide(decision, operation)

    def _deliver(self) -> bool:
        """Hands out the next line, or looks for the next that could be one. False: there is nothing now."""
        line = self.line
        if line.replaying and not line.aside:
            head = line.events[line.cursor]
            if head.id in self.targets:
                return self._hand_out(head)
        event = self._next() if line.replaying or line.aside else line.head
        if self.session.read_only and (event is None or event.id not in line.known):
            return False  # a new line is no part of the recorded history
        if event is None:
            return self._stimulate()
        if event.id in line.held and not self.commits.covers(event):
            if not self.commits.flush():
                return False
            if line.head is not event:
                return True  # the condition of a decision failed
        return self._hand_out(event)

    def goes_on(self, waited: object) -> bool:
        """A branch's task is about to wait. If nothing else of the handler can run, and the next recorded line is what the task
        waits for, this hands it out at once and the task need not be suspended: nothing could have come between."""
        line = self.line
        if not line.replaying or line.aside or self.ready or self._foreign or self.over or self.turn.closed is not None:
            return False
        head = line.events[line.cursor]
        target = self.targets.get(head.id)
        if target is not waited or not isinstance(target, RunningOperation):
            return False
        self._apart.run(self._hand_out, head)
        return target.ended

    def _hand_out(self, event: Event) -> bool:
        line, turn = self.line, self.turn
        before = turn.at
        if event.at > before:
            turn.at = event.at
        target = self.targets.pop(event.id, None)
        handed = self._nobody_asks(event) if target is None else target.hand(event)
        if handed is None:
            turn.at = before
            if target is not None:
                self.targets[event.id] = target
            return False
        if event.id not in line.known:
            if not self._live or turn.said is not None:
                self._goes_live()
            self._weigh(event)
        line.handed(event)
        self._rounds, self._patience.until = 0, None
        return True

    def _goes_live(self) -> None:
        """The replay is over: from now on the handler's code runs for the first time."""
        self._live = True
        if self.turn.said is not None:
            self.turn.say_again()

    def _next(self) -> Event | None:
        """The next line. Lines of operations with keys come when the code waits for them, wherever they stand."""
        line, mismatches = self.line, self.mismatches
        early = line.asked()
        if early is not None and early.id in line.aside:
            return early
        while (head := line.head) is not None and line.replaying and not mismatches.is_asked(head):
            if early is not None:
                return early
            if not is_keyed(head.id):
                break
            line.lay_aside()
        return head

    def _nobody_asks(self, event: Event) -> bool | None:
        if self.mismatches.is_skipped(event):
            return False
        if self._patience.lasts():
            return None
        raise self.mismatches.unasked(event)

    def _weigh(self, event: Event) -> None:
        """Notes a live line that is not durable yet if, after a crash, another one could come in its place. That is not so for
        what stands behind a consequence of earlier lines, which is a consequence too; and another due time cannot come first if
        this one is in the log."""
        if event.id in self.line.held:
            return
        others = self.agenda.listening if event is self._on_time else not self.agenda.empty
        at_work = self.bodies.at_work or self.bodies.waiting or self.threads
        behind = event.kind not in CONSEQUENCES and self.line.events[-1] is not event
        if others or at_work or behind:
            self.decided = event
