"""What comes from outside, in the model: starts, answers, signals and cancellations."""

from __future__ import annotations

from .invocation import Steps
from .places import free_name, moved_on, with_invocation
from .steering import DONE, REFUSED, Steering
from .world import HELD, LEASE, NOW, Invocation, World


class Outside(Steering):
    """The actors that are no invocations. Where one is: 0 at its request, 1 at the second half of it, 2 at its message, 8
    refused, 9 done."""

    def outside(self, w: World, j: int) -> Steps:
        kind, what = self.shape.outs[j]
        at, again = w.outs[j]
        if at in (REFUSED, DONE):
            return
        dead = self.dear(w, "die") if at else None
        if dead is not None:
            yield f"FAULT {kind} {what} dies at {at}", False, moved_on(dead, j, 9)
        if at == 2:
            yield f"{kind} {what} sends a message", True, moved_on(self.send(w, 0, "now"), j, 9)
        elif kind == "in":
            yield from self.delivers(w, j, what, again=again)
        elif kind == "terminate":
            yield from self.terminates(w, j)
        elif kind == "redrive":
            yield from self.redrives(w, j)
        elif kind == "fork":
            yield from self.forks(w, j)
        else:
            yield from self.starts(w, j, again=again)

    def starts(self, w: World, j: int, *, again: bool) -> Steps:
        kind, input = self.shape.outs[j]
        e = w.exs[0]
        if e.status:
            yield from self._starts_again(w, j, again=again)
            return
        due = NOW if self.rule("a start makes it due") else ""
        after = self.ex(w, 0, status="PENDING", input=int(input), starter=j + 1, due=due)
        if kind == "direct":
            v = Invocation(free_name(w), 0, "load")
            owned = self.ex(after, 0, status="RUNNING", owner=v.id, lease=HELD, due=LEASE)
            yield f"direct {input} creates and acquires", True, moved_on(with_invocation(owned, v), j, 9)
            return
        yield f"start {input} creates", True, moved_on(after, j, 2 if self.shape.messages else 9)
        dear = self.dear(after, "lost")
        if dear is not None and not again:
            yield f"FAULT start {input} creates, the reply is lost", False, moved_on(dear, j, 0, again=True)

    def _starts_again(self, w: World, j: int, *, again: bool) -> Steps:
        kind, input = self.shape.outs[j]
        e = w.exs[0]
        if not self.rule("a start wants the id free") and kind == "start":
            yield f"start {input} creates once more", True, self.bad(w, "START the header is made anew")
        elif self.same(e.starter, j + 1) and again and self.knows_itself():
            yield f"{kind} {input} knows itself", True, moved_on(w, j, 2 if self.shape.messages else 9)
        elif e.input != int(input) and self.rule("a start compares the input"):
            yield f"{kind} {input} conflicts", True, moved_on(w, j, 8)
        elif e.input != int(input):
            yield f"{kind} {input} attaches", True, self.bad(w, "START two inputs are accepted")
        elif again:
            yield f"{kind} {input} is refused", True, self.bad(w, "START its own lost reply is taken for another's")
        else:
            yield f"{kind} {input} attaches", True, moved_on(w, j, 9)

    def delivers(self, w: World, j: int, key: str, *, again: bool) -> Steps:
        e = w.exs[0]
        at = w.outs[j][0]
        if not e.status:
            return
        due = NOW if self.rule("a bump makes it due") else e.due
        if not self.rule("a bump makes it due though a time is set"):
            due = e.due or NOW
        key, _, id = key.partition(" ")
        if id and at == 0 and not again and id in e.marks:
            yield f"{key} was sent before", True, moved_on(w, j, 9)
            return
        mark = {"marks": e.marks | {id}} if id and self.rule("the id of a signal leaves a mark") else {}
        if mark and at == 0 and not self.rule("a mark and its entry are one request"):
            yield f"the mark of {key} is put", True, moved_on(self.ex(w, 0, **mark), j, 3)
            return
        if (id and not e.inbox.isdisjoint({"sig1", "sig2"} - {key})) or (id and any(row[0] != key for row in e.taken)):
            w = self.bad(w, "ONCE a signal with one id is delivered twice")
        entry, bump = {"inbox": e.inbox | {key}, **mark}, {"n": e.n + 1, "due": due}
        done = 2 if self.shape.messages else 9
        bumps_later = not self.rule("an entry is not put before its bump")
        if at == 1:
            after = self.ex(w, 0, **(bump if bumps_later else entry))
            yield f"{key}: the other half", True, moved_on(after, j, done)
            dear = self.dear(after, "lost")
            if dear is not None and not again and bumps_later and not self.rule("a bump counts once"):
                yield f"FAULT {key}: the other half, the reply is lost", False, moved_on(dear, j, 1, again=True)
        elif again and self.knows_itself():
            yield f"{key} knows itself", True, moved_on(w, j, 1 if bumps_later else done)
        elif again:
            yield f"{key} is refused", True, self.bad(w, "ACCEPTED its own lost reply is taken for another's")
        elif not e.live or f"late {key}" in e.inbox:
            yield f"{key} is refused", True, moved_on(w, j, 8)
        elif bumps_later:
            yield from self._accepted(self.ex(w, 0, **entry), j, key, 1)
        elif not self.rule("a bump is not made before its entry"):
            yield from self._accepted(self.ex(w, 0, **bump), j, key, 1)
        else:
            yield from self._accepted(self.ex(w, 0, **entry, **bump), j, key, done)

    def _accepted(self, w: World, j: int, key: str, then: int) -> Steps:
        if ("late", key) in w.exs[0].lines:
            w = self.bad(w, "ACCEPTED an answer is accepted after its timeout was written")
        yield f"{key} is accepted", True, moved_on(w, j, then)
        if then == 1:
            return
        dear = self.dear(w, "lost")
        if dear is not None:
            yield f"FAULT {key} is accepted, the reply is lost", False, moved_on(dear, j, 0, again=True)
        dear = self.dear(w, "hidden")
        if dear is not None:
            hidden = self.ex(dear, 0, hidden=frozenset({key}))
            yield f"FAULT {key} is accepted, and shown late", False, moved_on(hidden, j, then)
