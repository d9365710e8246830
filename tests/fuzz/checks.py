"""What must hold for each case."""

from __future__ import annotations

import dataclasses
import json
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from durable_fn.log import failures
from durable_fn.log.events import CANCELLED, FAILED, RAISED, SUCCEEDED, Event, Segment, moves, parse_body
from durable_fn.log.kinds import CODE
from tests.fuzz.ledger import Log
from tests.fuzz.life import ID, Life
from tests.fuzz.nodes import FANS, Block, Case, case, timeless
from tests.fuzz.reading import Read, Reader, cuts
from tests.fuzz.traces import Trace, difference
from tests.fuzz.world import Hang, Loop

THEIRS = frozenset(
    {"StepError", "BatchError", "ExceptionGroup", "BaseExceptionGroup", "LookupError", "CancelledError", "ExecutionTimedOut",
     "ExecutionCancelled", "TimeoutError", "StepTimeout", "StepInterrupted"}
)  # fmt: skip
"""Errors that a program may end with. A native cancellation: up to Python 3.12 a TaskGroup that failed leaves a count in its
task, by which a timeout around it does not know its own cancellation again."""
_TIMES = ("timer", "sleep")
_UNHAPPY = ("FAILED", "CANCELLED", "TIMED_OUT")
MOST_BEGINNINGS = 25


@dataclass
class Tally:
    """How much was run."""

    lives: int = 0
    turns: int = 0
    readings: int = 0
    deaths: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        self.lives += other.lives
        self.turns += other.turns
        self.readings += other.readings
        self.deaths.update(other.deaths)


def problems(case: Case, front: str, *, most: int = MOST_BEGINNINGS, tally: Tally | None = None) -> list[str]:
    """Of one life of it; nothing, if all is well. `most`: beginnings of its log that are read."""
    return Check(case, front, tally).run(most)


def problems_of_seed(
    seed: int, front: str, deaths: int, tally: Tally, beginnings: int = MOST_BEGINNINGS
) -> tuple[Case, list[str]]:
    """What is wrong with a life of its program, or with one of as many lives with a death at some point."""
    of = case(seed, native=front == "async")
    check = Check(of, front, tally)
    wrong = check.run(beginnings)
    if wrong:
        return of, wrong
    chance = random.Random(f"{seed} deaths")
    places = range(1, check.points + 1)
    for dies_at in sorted(chance.sample(places, min(deaths, check.points))):
        dying = dataclasses.replace(of, dies_at=dies_at)
        wrong = Check(dying, front, tally).run(beginnings if dies_at % 4 == 0 else 0)
        if wrong:
            return dying, wrong
    return of, []


def problems_everywhere(of: Case, front: str) -> list[str]:
    """Of a life without a death, and of one for each point at which the process may die, on one of both journals."""
    for local in (True, False):
        check = Check(dataclasses.replace(of, local=local), front)
        wrong = check.run(MOST_BEGINNINGS)
        for dies_at in range(1 + local, check.points + 1, 2):
            wrong = wrong or Check(dataclasses.replace(of, local=local, dies_at=dies_at), front).run(3)
        if wrong:
            return [f"{'embedded' if local else 'remote'} journal: {problem}" for problem in wrong]
    return []


def differs_in_many_turns(seed: int, front: str, tally: Tally | None = None) -> list[str]:
    """A program that does not depend on time ends the same in one turn and in many."""
    of, ends, found = timeless(seed, native=front == "async"), [], []
    for always in (False, True):
        check = Check(dataclasses.replace(of, always_suspend=always), front, tally)
        found += check.run(5)
        ends.append(check.end)
    if not found and ends[0] != ends[1]:
        found.append(f"in one turn {ends[0]}, in many {ends[1]}")
    return found


def _life(case: Case, native: bool) -> tuple[Life, Loop | None]:
    loop = Loop() if native else None
    return Life(case, native=native, loop=loop), loop


class Check:
    """One life of a case. `end`: how it ended; `points`: how many places there were at which the process could have died."""

    def __init__(self, case: Case, front: str, tally: Tally | None = None) -> None:
        self.case = case
        self.native = front == "async"
        self.tally = tally or Tally()
        self.end: Any = None
        self.points = 0
        self.unwalked = tuple(_unwalked(case.program, ""))

    def run(self, most: int) -> list[str]:
        life, loop = _life(self.case, self.native)
        with life:
            try:
                life.live()
                wrong = [*life.problems, *life.ledger.problems, *life.handlers.problems]
                self._count(life)
                if not wrong:
                    wrong = self._of_life(life, most)
            except Hang as hang:
                wrong = [f"it hangs: {hang}"]
            finally:
                if loop is not None:
                    loop.close()
        return [f"{problem}{f'; it died {life.world.died}' if life.world.died else ''}" for problem in wrong]

    def _count(self, life: Life) -> None:
        self.points = life.world.points
        self.tally.lives += 1
        self.tally.turns += life.invocations
        if life.world.died:
            self.tally.deaths[life.world.died.partition(" (")[0].partition(" /")[0]] += 1

    # -- an execution that has ended -------------------------------------------------------------------------------

    def _of_life(self, life: Life, most: int) -> list[str]:
        header = life.header
        error = failures.decode(header.error) if header.error is not None else None
        told = None if error is None else error.error_type.rpartition(".")[2]
        self.end = [header.status, header.result, told]
        if told is not None and told not in THEIRS:
            return [f"it ended {header.status} with {told}: {error.message if error else ''}"]
        wrong = self._signals(life)
        if self.native:
            wrong += self._traces(life) + self._revoked(life)
        reader = Reader(self.case, native=self.native)
        try:
            wrong += self._read_again(life, reader, most)
        finally:
            self.tally.readings += reader.count
            reader.close()
        return wrong

    def _signals(self, life: Life) -> list[str]:
        """Each that was accepted is handed out at most once, and is handed out or still unread at the end."""
        accepted = {key for key, id in life.ledger.signals.items() if id == ID}
        handed = Counter(key for log in life.ledger.generations(ID) for key in log.signals())
        wrong = [f"a signal was handed out {n} times: {key}" for key, n in handed.items() if n > 1]
        wrong += [f"a signal that nobody sent was handed out: {key}" for key in handed if key not in accepted]
        unread = life.unread() - set(handed)
        return wrong + [f"a signal was lost: {key}" for key in sorted(accepted - set(handed) - unread)]

    # -- async: the lines that moved the handler -------------------------------------------------------------------

    def _traces(self, life: Life) -> list[str]:
        wrong, before = [], None
        for trace in life.handlers.traces:
            if before is not None and before.gen == trace.gen:
                found = difference(before, trace, trace.recorded, self.unwalked)
                if found is not None:
                    wrong.append(f"a later turn saw something else {found}")
            before = trace
        return wrong

    def _revoked(self, life: Life) -> list[str]:
        """A body began after lines that the log does not have: a death revoked what led to it."""
        logs = life.ledger.generations(ID)
        wrong, lines = [], {log.header.gen: log.line() for log in logs}
        renewed = {log.header.gen for log in logs if log.renewed is not None}
        last = {trace.gen: trace for trace in life.handlers.traces}
        for trace in life.handlers.traces:
            final = lines.get(trace.gen, [])
            for n, event in enumerate(trace.line[: trace.began]):
                there = final[n] if n < len(final) else None
                if there is not None and there.id == "$end":
                    break  # no write goes before a body only because a cancellation might come
                if there is None and trace.gen in renewed and (event.kind in _TIMES or trace is last[trace.gen]):
                    break  # what a renewal forgets need not be written: it renewed by this, or the same time is the first again
                if there is None or (there.id, there.status, there.value) != (event.id, event.status, event.value):
                    wrong.append(f"a body began after line {n}, {event}, and the log has {there} there")
                    break
        return wrong

    # -- readings --------------------------------------------------------------------------------------------------

    def _read_again(self, life: Life, reader: Reader, most: int) -> list[str]:
        wrong, finished = [], life.header.finished
        for log in life.ledger.generations(ID):
            segments = log.segments if log.renewed is not None else log.whole(finished)
            whole = reader.read(log, segments)
            wrong += self._whole(life, log, whole) or self._beginnings(log, segments, whole, reader, most)
        return wrong

    def _whole(self, life: Life, log: Log, read: Read) -> list[str]:
        wrong = [f"in a reading {problem}" for problem in read.problems]
        value = read.value if read.end == "SUCCEEDED" else None
        error = read.value.rpartition(".")[2] if read.value and read.end in _UNHAPPY else None
        if log.renewed is None and [read.end, value, error] != self.end:
            wrong.append(f"it ended with {self.end}, and reads as {read.end} {read.value}")
        if log.renewed is not None and read.end not in ("RENEWED", "SUSPENDED"):
            wrong.append(f"it was renewed, and reads as {read.end} {read.value}")
        if self.native and log.renewed is None and not self.unwalked and read.trace is not None:
            wrong += self._status(life, log, read.trace)
        if read.bodies:
            wrong.append(f"{read.bodies} bodies began in a reading")
        if (
            not self.unwalked
            and not _forgot(life, log)
            and not any(e.id == "$end" or e.status == RAISED for e in log.events())
        ):
            started = {op for id, gen, op in life.ledger.started if (id, gen) == (ID, log.header.gen)}
            for op in sorted(started - read.entered):
                if not self.native and _in_a_loser(op, log):
                    continue  # which is not walked again
                wrong.append(f"the body of {op} began, and the log does not lead to it")
        if self.native:
            live = [trace for trace in life.handlers.traces if trace.gen == log.header.gen]
            if live and read.trace is not None:
                found = difference(live[-1], read.trace, len(log.line()), self.unwalked)
                if found is not None:
                    wrong.append(f"the reading saw something else {found}")
        elif log.renewed is None and life.handlers.walks:
            wrong += _walks_differ(life.handlers.walks[-1], read.walk)
        return wrong

    @staticmethod
    def _status(life: Life, log: Log, trace: Trace) -> list[str]:
        """What was said last. A generation that says nothing has the one of the generation before."""
        said = [text[:-7] for _, text in trace.items if text.endswith("status = None")][-1:]
        if said == json.loads(f"[{life.header.custom or ''}]") or (not said and log.header.gen > 1):
            return []
        return [f"the status is {life.header.custom}, and was last set at {said}"]

    def _beginnings(self, log: Log, whole_log: list[Segment], whole: Read, reader: Reader, most: int) -> list[str]:
        chance = random.Random(f"{self.case.chance} beginnings")
        every = list(cuts(whole_log))
        for segments in every if len(every) <= most else chance.sample(every, most):
            read = reader.read(log, segments)
            place = f"of {len(segments)} segments, {sum(s.body.count(chr(10)) + 1 for s in segments)} lines"
            if read.end not in ("SUSPENDED", whole.end) or read.bodies or read.problems:
                return [f"a reading {place} gives {read.end} {read.value}, {read.bodies} bodies, {read.problems}"]
            if read.trace is not None and whole.trace is not None and not _left_later(log, segments):
                lines = sum(moves(event) for s in segments for event in parse_body(s.body) if event.id)
                found = difference(whole.trace, read.trace, lines, self.unwalked)
                if found is not None:
                    return [f"a reading {place} saw something else {found}"]
        return []


def _forgot(life: Life, log: Log) -> bool:
    """Whether a renewal forgot lines that were handed out, which had not to be written."""
    mine = [trace for trace in life.handlers.traces if trace.gen == log.header.gen]
    return log.renewed is not None and any(trace.end > len(log.line()) for trace in mine)


def _in_a_loser(op: str, log: Log) -> bool:
    """Whether an operation is in a branch that is not walked again: its end is not in the log, for its fan was over before; or it
    was cancelled, or what it returned is there."""
    ended = {event.id for event in log.events() if event.kind == "branch" and _is_walked_again(event)}
    fans = (event.id for event in log.events() if event.kind in FANS)
    return any(op.startswith(f"{fan}/") and _branch(op, fan) not in ended for fan in fans)


def _is_walked_again(end: Event) -> bool:
    return end.status == FAILED or (end.status == SUCCEEDED and not end.value)


def _branch(op: str, fan: str) -> str:
    return f"{fan}/{op[len(fan) + 1 :].partition('/')[0]}"


def _left_later(log: Log, beginning: list[Segment]) -> bool:
    """Whether a child has its end there, and that its caller was gone by then is noted behind: a death between revokes what
    nobody has acted upon, for that note is durable before the next body."""
    ended = {
        e.id
        for s in beginning
        for e in parse_body(s.body)
        if e.id and e.kind in CODE and e.status in (SUCCEEDED, FAILED)
    }
    noted = {e.id for s in beginning for e in parse_body(s.body) if e.id and e.status == CANCELLED}
    return any(e.status == CANCELLED and e.id in ended - noted for e in log.events())


def _walks_differ(live: dict[str, str], read: dict[str, str]) -> list[str]:
    """Of a `def` program: what each place saw."""
    return [
        f"the reading saw {text} at {path}, where the last turn saw {live[path]}"
        for path, text in read.items()
        if path in live and live[path] != text
    ]


def _unwalked(block: Block, path: str) -> Any:
    """Where branches are that need not be walked again."""
    for n, node in enumerate(block):
        where = f"{path}.{n}{node.kind}"
        if node.flag and node.kind in FANS | {"child"}:
            yield where + ("." if node.kind == "child" else "/")
        for m, inner in enumerate(node.blocks):
            yield from _unwalked(inner, f"{where}/{m}")
            if len(node.blocks) == 1:  # most kinds of one block give it no number
                yield from _unwalked(inner, where)
