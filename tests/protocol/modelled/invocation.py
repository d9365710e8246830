"""Invocations of the model: what each does, request by request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypeAlias

from .handler import RESULTS, SIGNALS, TIMED, Line, View, view
from .places import put
from .requests import Requests
from .rules import ACQUIRED_FIRST, STILL_MINE, WRITTEN
from .shapes import Fault
from .world import FREE, HELD, NOW, OVER, TIMER, Execution, Invocation, World

Steps: TypeAlias = Iterator[tuple[str, bool, World]]
"""What is done, whether it is sure to come, and what then is."""

_COPIED: Final = frozenset({"acquire", "append", "suspend"})


class Invocations(Requests):
    """The actor that runs handlers."""

    count = 0
    faults: frozenset[Fault] = frozenset()
    gives_back = False

    def dear(self, w: World, fault: Fault) -> World | None:
        """With one fault less, if this one may happen."""
        return w._replace(faults=w.faults - 1) if w.faults and fault in self.faults else None

    def send(self, w: World, i: int, kind: str) -> World:
        """A message. More than two of a kind tell nothing new."""
        if w.queue.count((i, kind)) >= 2:
            return w
        return w._replace(queue=tuple(sorted((*w.queue, (i, kind)))))

    def invoked(self, w: World, v: Invocation) -> Steps:
        dead = self.dear(w, "die")
        if dead is not None:
            yield f"FAULT {v.id} dies at {v.pc}", False, self.over(dead, v, again=self.shape.messages)
        dead = self.dear(w, "gone") if self.shape.messages else None
        if dead is not None:
            yield f"FAULT {v.id} dies at {v.pc}, its message is gone", False, self.over(dead, v)
        if v.pc == "bodies":
            yield from self.bodies(w, v)
        elif v.pc == "branches":
            yield from self.branches(w, v)
        elif v.pc in ("load", "look"):
            yield from self.loads(w, v)
        elif v.pc in ("hint", "hint called", "hint parent"):
            yield self.hints(w, v)
        else:
            yield from self.asked(w, v)

    def over(self, w: World, v: Invocation, *, again: bool = False) -> World:
        """It returned or died; its name is forgotten. `again`: its message comes again."""
        left = {v.id: 0}
        exs = tuple(
            e._replace(owner=left.get(e.owner, e.owner), log=tuple((left.get(by, by), lines) for by, lines in e.log))
            for e in w.exs
        )
        invs = tuple(x for x in w.invs if x.id != v.id)
        late = tuple((kind, i, left.get(by, by), arg) for kind, i, by, arg in w.late)
        after = w._replace(exs=exs, invs=invs, late=late)
        return self.send(after, v.ex, "now") if again else after

    def loads(self, w: World, v: Invocation) -> Steps:
        """One Query in two pages, the header and the log, then the inbox; or the other way round."""
        e, torn = w.exs[v.ex], not self.rule("the header is read before the inbox")
        lost = not e.live or e.owner != v.id
        if v.pc == "load" and lost and {ACQUIRED_FIRST, STILL_MINE}.isdisjoint(self.without):
            yield f"{v.id} loads what is not its own any more", True, self.over(w, v)
            return
        if v.pc == "load":
            read = v._replace(pc="look", gen=e.gen, k=len(e.log), lines=e.lines, gone=e.gone, torn=torn)
            if torn:
                read = read._replace(inbox=e.inbox - e.hidden)
            yield f"{v.id} loads {e.lines}", True, put(w, read)
            return
        inbox = v.inbox if v.torn else e.inbox - e.hidden
        used = view(self.shape.program[v.ex][v.gen], v.lines, self.apart).used
        named = used if self.rule("what the log names counts as in hand") else frozenset()
        in_hand = len(inbox | named) + v.gone
        if v.torn:
            in_hand = e.n
        elif not self.rule("what is in hand counts as seen"):
            in_hand = v.promised or e.n
        elif in_hand < v.promised:
            yield f"{v.id} looks at {sorted(inbox)}, fewer than are counted", True, put(w, v._replace(pc="load"))
            return
        read = v._replace(inbox=inbox, seen=in_hand, torn=False, retry=False, arg=None)
        if not self.rule("acquire comes before the load") and not v.promised and not v.marked:
            yield f"{v.id} looks at {sorted(inbox)}", True, put(w, read._replace(pc="acquire"))
        else:
            yield f"{v.id} looks at {sorted(inbox)}", True, self.goes_on(w, read)

    def bodies(self, w: World, v: Invocation) -> Steps:
        e, seen = w.exs[v.ex], self.view(v)
        if any(line[0] in RESULTS for line in v.pending):
            yield f"{v.id} writes what is done", True, put(w, v._replace(pc="append"))
        for name in seen.names:
            if ("r", name) in v.pending:
                continue
            if not (e.owner == v.id and e.lease == HELD) and self.rule("a look at the lease before a body"):
                yield f"{v.id} sees before {name} that its lease is over", True, self.over(w, v)
                continue
            after = self._begun(w, v, name, seen)
            done = v._replace(pending=(*v.pending, ("r", name)))
            yield f"{v.id} runs {name} after {seen.got}", True, self.goes_on(after, done)

    def _begun(self, w: World, v: Invocation, name: str, seen: View) -> World:
        """What an onlooker sees when a body begins."""
        e = w.exs[v.ex]
        if e.gen == v.gen and ("r", name) in e.lines:
            w = self.bad(w, f"RERUN {name} runs after its result was committed")
        if v.ex == 1 and any(("r", name) in lines for _, lines in w.exs[0].log[: e.input]) and not self.calls:
            w = self.bad(w, f"RERUN a fork runs {name}, which it was to copy")
        if seen.wants == "once" and any(ran == name for ran, _ in e.ran):
            w = self.bad(w, f"TWICE {name} runs a second time")
        if any(ran == name and got != seen.got for ran, got in e.ran):
            w = self.bad(w, f"REPLAY {name} ran before, and began with something else")
        if v.late and ("raise",) not in v.lines + v.pending:
            w = self.bad(w, "ACCEPTED a new body in a turn that began after the cancellation")
        return self.ex(w, v.ex, ran=e.ran | {(name, seen.got)})

    def hints(self, w: World, v: Invocation) -> tuple[str, bool, World]:
        i = {"hint": v.ex, "hint called": 1, "hint parent": 0}[v.pc]
        timer = v.pc == "hint" and v.arg == TIMER and not w.exs[i].tick
        after = self.send(w, i, "timer" if timer else "now")
        if after.queue.count((i, "timer")) > 1 + self.count - w.faults:
            after = self.bad(after, "HINTS messages for one time multiply")
        label = f"{v.id} sends a message for {i}"
        if v.pc == "hint called":
            return label, True, self.goes_on(after, v)
        if v.pc == "hint" and not self.rule("the message goes after the state") and w.exs[i].lease != FREE:
            return label, True, put(after, self._suspending(v, v.arg)._replace(marked="sent"))
        return label, True, self.over(after, v)

    # -- what the handler does next --------------------------------------------------------------------------------

    def view(self, v: Invocation) -> View:
        """Of what has reached the handler: results do when they are durable."""
        handed = tuple(line for line in v.pending if line[0] not in RESULTS)
        return view(self.shape.program[v.ex][v.gen], v.lines + handed, self.apart)

    def goes_on(self, w: World, v: Invocation) -> World:
        """To the next request or choice; what is between is this process's own and cannot be cut in two."""
        v = v._replace(retry=False, arg=None)
        if v.fence:
            return put(w, v._replace(pc="append", pending=(("fence", str(v.k)),)))
        e = w.exs[v.ex]
        while True:
            seen = self.view(v)
            line = self._next_line(e, v, seen)
            if line is None:
                return put(w, self._next(e, v, seen))
            v = v._replace(pending=(*v.pending, line))

    def _next_line(self, e: Execution, v: Invocation, seen: View) -> Line | None:
        if seen.stray and self.gives_back:
            return ("back", seen.stray[0])
        branches = self.apart and seen.wants == "waits"
        if not branches and "cancel" in v.inbox and ("raise",) not in v.lines + v.pending and self._at_rest(v):
            return ("raise",)
        if seen.wants != "waits":
            return None
        lines = [] if branches else [self._end_of(e, v, seen, wait) for wait in seen.waits]
        found = next((line for line in lines if line is not None), None)
        if found is not None:
            return found
        placed = (("placed", name) for kind, name in seen.waits if kind in TIMED)
        return next((line for line in placed if line not in v.lines + v.pending), None)

    def _at_rest(self, v: Invocation) -> bool:
        return not any(line[0] in RESULTS for line in v.pending)

    def _end_of(self, e: Execution, v: Invocation, seen: View, wait: tuple[str, str]) -> Line | None:
        """The line that hands out what this wait waits for, if it is there."""
        kind, name = wait
        if kind in SIGNALS:
            there = min((key for key in v.inbox - seen.used if key.startswith("sig")), default=None)
            return None if there is None else ("use", name, there)
        if kind == "timer":
            said = v.early and not self.rule("the clock says that it is time, not the message")
            return ("end", name) if e.tick or said else None
        return ("end", name) if name in v.inbox or f"late {name}" in v.inbox else None

    def _next(self, e: Execution, v: Invocation, seen: View) -> Invocation:
        if seen.wants == "bodies":
            return self._to_bodies(v, seen)
        if seen.wants == "once":
            return self._to_once(v, seen)
        if seen.wants == "waits" and self.apart:
            return v._replace(pc="branches")
        late = next((wait for wait in seen.waits if wait[0] in ("limited", "patient")), None)
        if late is not None and e.tick:
            return self._too_late(v, late)
        if v.pending:
            return v._replace(pc="append")
        return self._to_end(v, seen)

    def _to_bodies(self, v: Invocation, seen: View) -> Invocation:
        handed = any(line[0] not in RESULTS for line in v.pending)
        if handed and self.rule(WRITTEN):
            return v._replace(pc="append")
        left = [name for name in seen.names if ("r", name) not in v.pending]
        return v._replace(pc="bodies" if left else "append")

    def _to_once(self, v: Invocation, seen: View) -> Invocation:
        (name,) = seen.names
        if v.pending:
            return v._replace(pc="append")
        if v.marked == name or not self.rule("a marker before a body that runs at most once"):
            return v._replace(pc="bodies")
        mark = ("cut", name) if ("began", name) in v.lines else ("began", name)
        return v._replace(pc="append", pending=(mark,), marked=name if mark[0] == "began" else v.marked)

    def _to_end(self, v: Invocation, seen: View) -> Invocation:
        """Nothing is pending, and no body is to begin."""
        if seen.wants == "call":
            (name,) = seen.names
            if v.marked == name or not self.rule("a called execution is there before the line that says so"):
                return v._replace(pc="append", pending=(("called", name),), marked=name)
            return v._replace(pc="call", arg=name)
        if seen.wants == "renew":
            return self._renewing(v, seen)
        if seen.wants == "return":
            status = "CANCELLED" if seen.cancelled else "SUCCEEDED"
            return v._replace(pc="complete", arg=(v.gen, status, ("raise",) in v.lines))
        due = TIMER if any(kind in TIMED for kind, _ in seen.waits) else ""
        if due and not self.rule("the message goes after the state") and v.marked != "sent":
            return v._replace(pc="hint", arg=due)
        return self._suspending(v, due)

    def _suspending(self, v: Invocation, due: str) -> Invocation:
        return v._replace(pc="suspend", arg=(v.gen, due, v.seen, FREE))

    def _yielding(self, v: Invocation) -> Invocation:
        return v._replace(pc="suspend", arg=(v.gen, NOW, None, FREE), retry=False)

    def _renewing(self, v: Invocation, seen: View) -> Invocation:
        there = sorted(v.inbox & seen.used)
        if there and self.rule("consumed signals are deleted before the generation changes"):
            return v._replace(pc="delete", arg=(v.gen, there[0]))
        return v._replace(pc="renew", arg=(v.gen, v.seen, v.gone + len(seen.used)))

    def _too_late(self, v: Invocation, wait: tuple[str, str]) -> Invocation:
        kind, name = wait
        if kind == "patient" and self.rule("a timeout takes the answer's own key"):
            return v._replace(pc="expire", arg=name)
        if kind == "patient":
            return v._replace(pc="append", pending=(*v.pending, ("late", name)))
        return v._replace(pc="decide", pending=(*v.pending, ("late", name)))

    def branches(self, w: World, v: Invocation) -> Steps:
        """Waits on threads: each consumes, and then ends, whenever it comes to it."""
        e, seen = w.exs[v.ex], self.view(v)
        found: list[Line] = []
        all_lines = v.lines + v.pending
        if "cancel" in v.inbox and ("raise",) not in all_lines:
            found.append(("raise",))
        for wait in seen.waits:
            name = wait[1]
            mine = next((line for line in all_lines if line[0] == "use" and line[1] == name), None)
            line: Line | None = ("end", name)
            if mine is None:
                line = self._end_of(e, v, seen, wait)
            elif mine in v.pending:
                line = None  # the value reaches the code when it is durable
            found += [] if line is None else [line]
        for line in found:
            yield f"{v.id} has {line}", True, self.goes_on(w, v._replace(pending=(*v.pending, line)))
        limited = next((wait for wait in seen.waits if wait[0] in ("limited", "patient")), None)
        if v.pending:
            yield f"{v.id} writes", True, put(w, v._replace(pc="append"))
        elif not found and limited is not None and e.tick:
            yield f"{v.id} is late", True, put(w, self._too_late(v, limited))
        elif not found:
            yield f"{v.id} has to wait", True, put(w, self._to_end(v, seen))

    # -- requests and their replies --------------------------------------------------------------------------------

    def asked(self, w: World, v: Invocation) -> Steps:
        """A request: its reply comes, or is lost and it is sent again, or a copy of it stays under way."""
        arg = v.arg
        if v.pc == "append":
            arg = (v.gen, v.k, v.pending)
        elif v.pc == "decide":
            arg = (v.gen, v.k, v.pending, v.seen)
        before = w.exs[v.ex]
        after, reply = getattr(self, v.pc)(w, v.id, v.ex, arg)
        if v.pc == "acquire" and not v.retry:
            fence = before.lease == OVER and self.rule("a takeover writes a fence first")
            v = v._replace(fence=fence, hinted=before.hinted)
        label = f"{v.id} {v.pc} {'' if arg is None else arg} -> {reply}"
        yield label, True, self.replied(after, v, arg, reply)
        if v.pc == "acquire" and reply == "ok" and "held" in self.faults:
            yield f"{label}, and cannot go on", False, put(after, self._held(after.exs[v.ex], v))
        if reply != "ok" or after.exs == w.exs:
            return
        dear = self.dear(after, "lost")
        if dear is not None and not v.retry:
            yield f"FAULT {label}, the reply is lost", False, put(dear, v._replace(retry=True))
        dear = self.dear(after, "copy")
        if dear is not None and v.pc in _COPIED and not w.late:
            copied = dear._replace(late=((v.pc, v.ex, v.id, arg),))
            yield f"FAULT {label}, and a copy stays under way", False, self.replied(copied, v, arg, reply)

    def _held(self, e: Execution, v: Invocation) -> Invocation:
        """Another version, which does not read this journal: it gives the lease back, for later."""
        lease = OVER if e.died and self.rule("who cannot go on leaves the lease as it was") else FREE
        return v._replace(pc="suspend", arg=(e.gen, NOW, None, lease))

    def replied(self, w: World, v: Invocation, arg: Any, reply: str) -> World:
        if reply == "ok":
            return self._succeeded(w, v, arg)
        if reply == "moved":
            pending = () if v.pc == "decide" else v.pending
            return put(w, v._replace(pc="look", promised=0, pending=pending, marked=v.marked or "moved", retry=False))
        if v.pc == "append":
            if v.fence:  # the stale owner was faster: it reads again, and fences again
                return put(w, v._replace(pc="load", pending=(), retry=False))
            return put(w, self._yielding(v))
        return self.over(w, v)

    def _succeeded(self, w: World, v: Invocation, arg: Any) -> World:
        e = w.exs[v.ex]
        if v.pc == "acquire":
            taken = v._replace(promised=e.n, late="cancel" in e.inbox - e.hidden, retry=False)
            if not self.rule("acquire comes before the load"):
                return self.goes_on(w, taken._replace(seen=e.n))
            return put(w, taken._replace(pc="load"))
        if v.pc in ("append", "decide"):
            written = v._replace(k=v.k + 1, lines=v.lines + arg[2], pending=(), fence=False)
            return self.goes_on(w, written)
        if v.pc == "suspend":
            return self._suspended(w, v, arg[1])
        if v.pc == "complete" and v.ex == 1 and self.calls:
            told = self.rule("an end and its notice are one request")
            return put(w, v._replace(pc="hint parent" if told else "notify", retry=False))
        if v.pc == "notify":
            return put(w, v._replace(pc="hint parent", retry=False))
        if v.pc == "call":
            return put(w, v._replace(pc="hint called", marked=arg, retry=False))
        if v.pc == "expire":
            return put(w, v._replace(pc="look", promised=0, marked=v.marked or "moved", retry=False))
        if v.pc == "delete":
            return self.goes_on(w, v._replace(inbox=v.inbox - {arg[1]}))
        if v.pc == "renew":
            return self._suspended(w, v, NOW)
        return self.over(w, v)

    def _suspended(self, w: World, v: Invocation, due: str) -> World:
        e = w.exs[v.ex]
        if not due or not self.shape.messages or not self.rule("the message goes after the state"):
            return self.over(w, v)
        ahead = due == TIMER and v.hinted == TIMER  # a message for this time is out
        if ahead and not self.rule("the clock is read after the suspend"):
            e = e._replace(tick=False)
        if ahead and not e.tick and self.rule("one message for a due time"):
            return self.over(w, v)
        return put(w, v._replace(pc="hint", arg=due, retry=False))
