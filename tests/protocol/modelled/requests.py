"""The requests of the model: each is one atomic change of an execution, with the condition that it has on it.

A reply is "ok" or the name of what failed. A rule that may be taken away (rules.py) is asked for by its name.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from .handler import Line, view
from .rules import HANDS_OUT, RULES
from .shapes import Shape
from .world import FREE, HELD, LEASE, NOW, OVER, TIMER, Execution, World


class Requests:
    """Of one shape, without some rules."""

    def __init__(self, shape: Shape, without: Collection[str] = ()) -> None:
        unknown = set(without) - set(RULES)
        if unknown:
            raise ValueError(f"no such rules: {sorted(unknown)}")
        self.shape = shape
        self.without = frozenset(without)
        self.lagging = False  # whether the index lags
        ops = (op for program in shape.program for gen in program for op in gen)
        self.timers = {wait[1] for op in ops for wait in op[1:] if isinstance(wait, tuple) and wait[0] == "timer"}
        self.calls = any(op[0] == "call" for gen in shape.program[0] for op in gen)
        self.apart = shape.front == "def" or HANDS_OUT in self.without

    def rule(self, name: str) -> bool:
        assert name in RULES, name
        return name not in self.without

    # -- helpers ---------------------------------------------------------------------------------------------------

    def same(self, one: int, other: int) -> bool:
        """Whether two writers are one, as a request can tell."""
        return one == other or not self.rule("every invocation has a writer id of its own")

    def knows_itself(self) -> bool:
        return self.rule("a writer knows its own earlier success")

    def ex(self, w: World, i: int, **changes: Any) -> World:
        old = w.exs[i]
        if changes.get("due", old.due) != old.due:
            changes["passed"] = False
        new = old._replace(**changes)
        if not self.lagging:
            new = new._replace(shown=new.due)
        return w._replace(exs=(*w.exs[:i], new, *w.exs[i + 1 :]))

    def bad(self, w: World, what: str) -> World:
        return w if w.bad else w._replace(bad=what)

    def reached(self, e: Execution, due: str) -> bool:
        return due == NOW or (due == TIMER and e.tick) or (due == LEASE and e.lease != HELD)

    # -- an invocation ---------------------------------------------------------------------------------------------

    def acquire(self, w: World, me: int, i: int, _: Any) -> tuple[World, str]:
        e = w.exs[i]
        if not e.live and (not e.status or self.rule("acquire needs a live execution")):
            return w, "gone"
        if e.lease == HELD and self.same(e.owner, me) and self.knows_itself():
            return w, "ok"
        if e.lease == HELD and self.rule("acquire needs a lease that is over"):
            return w, "held"
        if self.rule("acquire needs a due time that has come") and not self.reached(e, e.due):
            return w, "early"
        if not e.live:
            w = self.bad(w, "FINAL a finished execution is taken again")
        due = e.due if self.rule("acquire keeps the due time") else ""
        return self.ex(w, i, status="RUNNING", owner=me, lease=HELD, died=e.lease == OVER, due=due), "ok"

    def append(self, w: World, me: int, i: int, arg: Any) -> tuple[World, str]:
        gen, k, lines = arg
        e = w.exs[i]
        if gen != e.gen:
            return w, "ok"  # a log that nobody reads any more
        if len(e.log) > k:
            if self.same(e.log[k][0], me) and self.knows_itself():
                return w, "ok"
            if self.rule("a segment is put only where none stands"):
                return w, "taken"
            w = self.bad(w, "LINEAR a committed segment is overwritten")
        if not e.live:
            w = self.bad(w, "FINAL a line is written behind the end")
        w = self._watch(w, i, lines)
        return self.ex(w, i, log=(*e.log[:k], (me, lines), *e.log[k + 1 :])), "ok"

    def _watch(self, w: World, i: int, lines: tuple[Line, ...]) -> World:
        """What is being committed, as an onlooker sees it."""
        e = w.exs[i]
        there, taken = e.lines, e.taken
        if any(line in there for line in lines if line[0] == "r"):
            w = self.bad(w, "DUP a second result for one operation")
        for line in lines:
            if line[0] == "use":
                if any(key == line[2] for key, _, _ in taken):
                    w = self.bad(w, "ONCE a signal is handed out twice")
                taken |= {(line[2], e.gen, line[1])}
            elif line[0] == "back":
                taken = frozenset(row for row in taken if row[0] != line[1])
            elif line[0] == "late" and line[1] in e.inbox:
                w = self.bad(w, "ACCEPTED a timeout is written over an answer")
            elif line[0] == "end" and line[1] in self.timers and not e.tick:
                w = self.bad(w, "EARLY a timer ends before its time")
        return self.ex(w, i, taken=taken) if taken != e.taken else w

    def decide(self, w: World, me: int, i: int, arg: Any) -> tuple[World, str]:
        """That no signal came in time: a segment, on the condition that nothing has come which is not in hand."""
        gen, k, lines, seen = arg
        e = w.exs[i]
        if gen == e.gen and len(e.log) > k and self.same(e.log[k][0], me):
            return w, "ok"
        if not e.live or gen != e.gen or not self.same(e.owner, me):
            return w, "fenced"
        if e.n != seen and self.rule("nothing is decided over something unseen"):
            return w, "moved"
        used = view(self.shape.program[i][gen], e.lines, self.apart).used
        if any(key not in used for key in e.inbox if key.startswith("sig")):
            w = self.bad(w, "ACCEPTED a wait times out over a signal that came before")
        return self.append(w, me, i, (gen, k, lines))

    def expire(self, w: World, me: int, i: int, arg: Any) -> tuple[World, str]:
        """A timeout takes the write-once key of the answer itself."""
        e = w.exs[i]
        if not e.live or not self.same(e.owner, me):
            return w, "fenced"
        if arg in e.inbox or f"late {arg}" in e.inbox:
            return w, "ok" if f"late {arg}" in e.inbox else "moved"
        return self.ex(w, i, inbox=e.inbox | {f"late {arg}"}, n=e.n + 1), "ok"

    def suspend(self, w: World, me: int, i: int, arg: Any) -> tuple[World, str]:
        """`seen` None: a yield, or one who cannot go on. `lease`: as it is left."""
        gen, due, seen, lease = arg
        e = w.exs[i]
        if not e.live or e.gen != gen:
            return w, "fenced"
        if not self.same(e.owner, me) and self.rule("only the owner suspends"):
            return w, "fenced"
        if e.lease == lease and e.owner == me:
            return w, "ok" if self.knows_itself() else "fenced"
        if seen is not None and e.n != seen and self.rule("nobody parks over something unseen"):
            return w, "moved"
        if e.owner != me:
            w = self.bad(w, "FENCE suspended by one who is not the owner")
        due = due if self.rule("a suspend writes the due time") else ""
        hinted = due if due == TIMER else e.hinted
        return self.ex(w, i, status="SUSPENDED", lease=lease, due=due, hinted=hinted), "ok"

    def complete(self, w: World, me: int, i: int, arg: Any) -> tuple[World, str]:
        gen, status, told = arg
        e = w.exs[i]
        if not e.live:
            return w, "ok" if self.same(e.owner, me) and self.knows_itself() else "fenced"
        if gen != e.gen or (not self.same(e.owner, me) and self.rule("only the owner completes")):
            return w, "fenced"
        if "cancel" in e.inbox and not told:
            if self.rule("nobody completes over a cancellation unseen"):
                return w, "moved"
            w = self.bad(w, "ACCEPTED finished over a cancellation")
        if e.owner != me:
            w = self.bad(w, "FENCE completed by one who is not the owner")
        if e.revived and status == "CANCELLED":
            w = self.bad(w, "ACCEPTED a redrive is passed over")
        if i == 1 and self.calls and self.rule("an end and its notice are one request"):
            parent = w.exs[0]
            if parent.live and "kid" not in parent.inbox:
                w = self.notify(w, me, i, None)[0]
            elif not self.rule("an end does without a parent that is over"):
                return w, "parent is over"
        return self.ex(self._received(w, i), i, status=status, lease=FREE, due=""), "ok"

    def notify(self, w: World, me: int, i: int, _: Any) -> tuple[World, str]:
        """The end of the called execution, in the inbox of the one that waits."""
        parent = w.exs[0]
        if not parent.live or "kid" in parent.inbox:
            return w, "ok"
        due = NOW if self.rule("a notice makes it due") else parent.due
        return self.ex(w, 0, inbox=parent.inbox | {"kid"}, n=parent.n + 1, due=due), "ok"

    def _received(self, w: World, i: int) -> World:
        """At the end of a generation every signal that its log consumed has reached the handler."""
        e = w.exs[i]
        seen = view(self.shape.program[i][e.gen], e.lines, self.apart)
        return (
            w if seen.used == seen.received else self.bad(w, "LOST a signal was consumed by a wait that did not get it")
        )

    def call(self, w: World, me: int, i: int, _: Any) -> tuple[World, str]:
        """The header of another execution, by an id that is derived."""
        if w.exs[1].status:
            if self.rule("a start wants the id free"):
                return w, "ok"
            w = self.bad(w, "START the header of a called execution is made anew")
        due = NOW if self.rule("a start makes it due") else ""
        return self.ex(w, 1, status="PENDING", due=due, input=1), "ok"

    def delete(self, w: World, me: int, i: int, arg: Any) -> tuple[World, str]:
        """Of a consumed signal, before the generation changes. A stale owner may have written into a log that is gone."""
        gen, key = arg
        e = w.exs[i]
        mine = e.live and e.gen == gen and self.same(e.owner, me)
        if not mine and self.rule("only the owner deletes what was consumed"):
            return w, "fenced"
        marks = e.marks if self.rule("a mark outlives its entry") else frozenset()
        return self.ex(w, i, inbox=e.inbox - {key}, marks=marks), "ok"

    def renew(self, w: World, me: int, i: int, arg: Any) -> tuple[World, str]:
        gen, seen, gone = arg
        e = w.exs[i]
        if e.gen == gen + 1 and e.owner == me:
            return w, "ok"
        if not e.live or e.gen != gen or not self.same(e.owner, me):
            return w, "fenced"
        if e.n != seen:
            return w, "moved"
        w = self._received(w, i)
        return self.ex(
            w, i, status="PENDING", gen=gen + 1, gone=gone, log=((me, ()),), lease=FREE, died=False, due=NOW
        ), "ok"
