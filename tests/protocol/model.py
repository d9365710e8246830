"""A model of the journal protocol, searched exhaustively at the grain of single requests.

    python -m tests.protocol.model [RULE ...]

ACTORS    invocations (at most two of an execution at a time), what comes from outside (starts, answers, signals,
          cancellations), the sweeper, queue, index and time. An execution may call another one.
REQUESTS  modelled/requests.py: each is one atomic change with its condition. Bodies are steps of their own, so a death can fall
          before, after, and after their results are written.
FAULTS    each costs one of a small budget, in any combination. die: an actor stops before or after any request; lost: a request
          is applied, its reply lost, and it is sent again; copy: a copy of a request lands once more, later; zombie: a lease ends
          under a living owner; twice: a message is delivered twice; early: a timer's message comes before its time; gone: the
          message of a dead invocation is in the dead-letter queue; hidden: a transaction's inbox entry is shown to Query
          after its bump (Query is only read-committed against transactions). Free of charge: held, an invocation of another
          version, which cannot go on; reordering, delay, a lagging index.
PROMISES  RERUN no body of a committed result; REPLAY a body that runs again began with the same; DUP one result for an operation;
          EARLY no timer ends before its time; LINEAR no segment is overwritten; TWICE a body that runs at most once does;
          FENCE only the owner writes the header; ACCEPTED an answer, a cancellation or a signal that was accepted is not
          passed over; ONCE no signal is handed out twice; LOST none is consumed by a wait that did not get it; START one
          input; FINAL what is over stays so; HINTS messages do not multiply; LIVE from every state an end is reached by
          fair steps alone (in a finite graph: every fair run ends).

Time is abstract: a lease is released, held or over; an execution has one timer. Invocations that are over lose their names, so
the graph is finite. Copies of the log, the horizon and generations are in life_model.py.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Collection
from multiprocessing import Pool
from typing import Final, NamedTuple

from .modelled.handler import TIMED
from .modelled.invocation import Steps
from .modelled.outside import Outside
from .modelled.places import free_name, with_invocation
from .modelled.rules import GIVES_BACK, PROOFS, RULES, Proof
from .modelled.search import Found, search
from .modelled.shapes import FAULTS, FRONTS, SHAPES, SHORT, WAITS, Fault, Shape, waits
from .modelled.steering import DONE, REFUSED
from .modelled.world import HELD, LEASE, NOW, OVER, TIMER, Execution, Invocation, World


class Model(Outside):
    """`without`: rules that are taken away. `count`: how many faults, of the kinds in `faults`. `at_a_time`: invocations, of each
    execution."""

    def __init__(
        self,
        shape: Shape,
        without: Collection[str] = (),
        *,
        count: int = 1,
        faults: tuple[Fault, ...] = FAULTS,
        at_a_time: tuple[int, int] = (2, 1),
        lagging: bool = False,
    ) -> None:
        super().__init__(shape, without)
        self.count, self.faults, self.at_a_time, self.lagging = count, frozenset(faults), at_a_time, lagging
        self.gives_back = shape.front == "def" and self.rule(GIVES_BACK)

    def search(self, *, first: bool = False, limit: int = 5_000_000) -> Found:
        start = World((Execution(), Execution()), outs=tuple((0, False) for _ in self.shape.outs), faults=self.count)
        return search(start, self.steps, self.ended, first=first, limit=limit)

    def ended(self, w: World) -> bool:
        main, called = w.exs
        places = zip(self.shape.outs, w.outs, strict=True)
        if any(kind == "redrive" and at not in (REFUSED, DONE) for (kind, _), (at, _) in places):
            return False
        return main.status in ("SUCCEEDED", "CANCELLED", "TERMINATED") and not called.live

    def steps(self, w: World) -> Steps:
        for v in w.invs:
            yield from self.invoked(w, v)
        for j in range(len(w.outs)):
            yield from self.outside(w, j)
        for i, e in enumerate(w.exs):
            if e.status:
                yield from self.time(w, i, e)
                if not self.shape.messages:
                    yield from self.taken(w, i, e)
        if self.shape.messages:
            yield from self.delivered(w)
        for place, (kind, i, writer, arg) in enumerate(w.late):
            rest = w._replace(late=(*w.late[:place], *w.late[place + 1 :]))
            after, reply = getattr(self, kind)(rest, writer, i, arg)
            yield f"a copy of {kind} of {i} arrives: {reply}", True, after

    # -- time, index, sweeper, queue -------------------------------------------------------------------------------

    def time(self, w: World, i: int, e: Execution) -> Steps:
        if not e.tick and not self.shape.far and self._timed(i, e.gen):
            yield f"the timer of {i} is due", True, self.ex(w, i, tick=True)
        if e.lease == HELD:
            dear = self.dear(w, "zombie")
            if e.owner == 0:
                yield f"the lease of {i} ends, its owner is dead", True, self.ex(w, i, lease=OVER)
            elif dear is not None:
                yield f"FAULT the lease of {i} ends, {e.owner} lives", False, self.ex(dear, i, lease=OVER)
        if e.hidden:
            yield f"an entry of {i} is shown", True, self.ex(w, i, hidden=frozenset())
        if e.shown != e.due:
            yield f"the index shows {i}", True, self.ex(w, i, shown=e.due)
            if not self.rule("the sweeper begins at the beginning") and self.reached(e, e.due) and not e.passed:
                yield f"the sweeper passes {i}, which the index does not show", True, self.ex(w, i, passed=True)
        if self.shape.messages and self.rule("the sweeper sends what was lost") and e.shown == e.due and not e.passed:
            if e.lease == HELD and e.due in (NOW, TIMER) and self.reached(e, e.due):
                yield f"the sweeper puts {i} off to the end of its lease", True, self.ex(w, i, due=LEASE)
            elif e.lease != HELD and self.reached(e, e.due) and (i, "now") not in w.queue:
                yield f"the sweeper sends a message for {i}", True, self.send(w, i, "now")

    def _timed(self, i: int, gen: int) -> bool:
        ops = self.shape.program[i][gen]
        return any(isinstance(wait, tuple) and wait[0] in TIMED for op in ops for wait in op[1:])

    def delivered(self, w: World) -> Steps:
        """A message becomes an invocation."""
        for message in sorted(set(w.queue)):
            i, kind = message
            early = kind == "timer" and not w.exs[i].tick
            source = self.dear(w, "early") if early else w
            if source is None or sum(v.ex == i for v in w.invs) >= self.at_a_time[i]:
                continue
            rest = list(w.queue)
            rest.remove(message)
            v = Invocation(free_name(w), i, "acquire", early=kind == "timer")
            if not self.rule("acquire comes before the load"):
                v = v._replace(pc="load")
            label = f"{'FAULT early: ' if early else ''}a {kind} message of {i} comes to {v.id}"
            yield label, not early, with_invocation(source._replace(queue=tuple(rest)), v)
            dear = self.dear(w, "twice")
            if dear is not None and not early:
                yield f"FAULT {label}, and comes again", False, with_invocation(dear, v)

    def taken(self, w: World, i: int, e: Execution) -> Steps:
        """Without messages: whoever is due is taken."""
        free = e.live and e.lease != HELD and self.reached(e, e.due)
        if free and sum(v.ex == i for v in w.invs) < self.at_a_time[i]:
            v = Invocation(free_name(w), i, "acquire")
            yield from self.asked(with_invocation(w, v), v)


# -- all of it ---------------------------------------------------------------------------------------------------------


class Search(NamedTuple):
    """One to make: a shape with so many of these faults."""

    name: str
    shape: Shape
    budget: int
    faults: tuple[Fault, ...] = FAULTS


_LARGE: Final = frozenset(
    {
        "timeout",
        "sleep and a signal",
        "two signals",
        "direct",
        "child",
        "cancel a parent",
        "fork",
        "terminate and redrive",
    }
)
_COPIES: Final = ("step", "callback", "parallel", "at most once", "cancel a wait")


def searches() -> list[Search]:
    """What `make model` looks through."""
    found = [Search(name, shape, 0 if name in _LARGE else 1) for name, shape in SHAPES.items()]
    quiet = {name: shape._replace(messages=False) for name, shape in SHAPES.items()}
    found += [Search(name, shape, 1 if name in _LARGE else 2) for name, shape in quiet.items()]
    found += [Search(name, quiet[name], 1, (*SHORT, "copy")) for name in _COPIES]
    for front in FRONTS:
        for name in WAITS:
            found.append(Search(name, waits(name, front), 1))
            found.append(Search(name, waits(name, front), 2, ("die", "lost", "hidden")))
    return found


def _searched(of: Search) -> str:
    began = time.perf_counter()
    found = Model(of.shape, count=of.budget, faults=of.faults).search(limit=20_000_000)
    kind = f"{of.shape.front}{'' if of.shape.messages else ', no messages'}, {of.budget} of {', '.join(of.faults)}"
    return _told(f"{of.name} ({kind})", found, began)


def _proved(proof: Proof) -> str:
    began = time.perf_counter()
    found = proved(proof)
    return _told(f"without {' and '.join(map(repr, proof.without))}", found, began, verbose=False)


def proved(proof: Proof) -> Found:
    """What breaks without these rules."""
    lagging = "the sweeper begins at the beginning" in proof.without
    model = Model(proof.shape, proof.without, count=proof.budget, faults=proof.faults, lagging=lagging)
    return model.search(first=True)


def _told(what: str, found: Found, began: float, *, verbose: bool = True) -> str:
    broken = "; ".join(f"{promise} after {len(way)} steps" for promise, way in found.ways.items())
    took = f"{found.states:,} states, {time.perf_counter() - began:.0f} s"
    ways = [line for way in found.ways.values() for line in way] if verbose else []
    return "\n    ".join([f"{what}: {took}: {broken or 'every promise is kept'}", *ways])


def main() -> None:
    wanted = sys.argv[1:]
    unknown = set(wanted) - set(RULES)
    if unknown:
        raise SystemExit(f"no such rules: {sorted(unknown)}")
    with Pool() as pool:
        for text in pool.imap(_proved, [p for p in PROOFS if not wanted or set(wanted) & set(p.without)]):
            print(text, flush=True)
        for text in pool.imap(_searched, [] if wanted else searches()):
            print(text, flush=True)


if __name__ == "__main__":
    main()
