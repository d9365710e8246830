"""A model of long lives: copies of the log (retention) and generations (continue_as_new), searched exhaustively.

    python -m tests.protocol.life_model [MUTATION ...]

Explicit states, breadth first, at the grain of single requests. One execution; its owner repeats "commit an event" and "take a
signal" between parks; a park copies the log when its items are about to go; at the end of a generation it goes on as the next
one. Outside, one sender reads the header (its horizon) and later delivers, with that stamp, a signal, which any generation
takes, or the outcome of a callback, which is its own generation's.

FAULTS (each costs one of a small budget, in any combination): the owner dies before or after any request; its lease ends while
it lives (a zombie that goes on sending); a copy of one of its requests arrives later; a reply is lost and the request sent
again. Time is in days that matter: `now` moves on only while nothing that lives is about to go and unattended (that is the
seven spare days), and everything whose stamp is over is removed at once, which is the worst that TTL may do.

PROMISES  KEPT no committed event is missing from what an owner loads; LINEAR its events are in order, none twice; COUNT an
owner never finds fewer entries than the header counts once all requests have settled; ONCE no signal is taken twice, or lost.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

RULES: Final = (
    "a snapshot has a name of its own",
    "a snapshot counts with the suspend that names it",
    "the suspend of a snapshot needs the owner",
    "a stamp only grows",
    "an old stamp is looked for at every park",
    "a takeover writes a fence first",
    "the generation changes only if nothing is unseen",
    "consumed signals are deleted before the generation changes",
    "only the owner deletes what was consumed",
    "what the log names counts as in hand",
)
"""Each can be taken away by its name; the search must then find a promise broken."""

LIFE: Final = 2  # how many days a stamp lasts
DAYS: Final = 4
LONG, LOOPING = (3, 1), (1, 2)
"""Shapes: events committed in a generation, and generations."""


class Header(NamedTuple):
    own: int = 0
    lease: int = 0  # 0 released, 1 held, 2 over
    prev: int = 0
    gen: int = 1
    n: int = 0
    gone: int = 0
    edition: str = ""
    copied: int = 0
    horizon: int = LIFE
    due: int = 0
    done: bool = False


class Owner(NamedTuple):
    id: int
    pc: str = "load"
    base: int = 0  # the next number
    seen: tuple[str, ...] = ()  # events in order
    box: tuple[tuple[str, int], ...] = ()  # signal, stamp
    used: frozenset[str] = frozenset()
    gone: int = 0
    gen: int = 1
    log_stamp: int = LIFE
    header: int = LIFE  # horizon that it saw
    fence: bool = False
    name: str = ""
    again: tuple[Any, ...] = ()  # the request whose reply was lost


class World(NamedTuple):
    h: Header
    log: tuple[tuple[int, int, int, str, int], ...] = ()  # gen, number, writer, event, stamp
    copies: tuple[tuple[str, int, tuple[str, ...], int], ...] = ()  # name, gen, events, stamp
    box: tuple[tuple[str, int], ...] = ()
    owners: tuple[Owner, ...] = ()
    sender: tuple[str, int, int] = ("idle", 0, 1)
    late: tuple[Any, ...] = ()  # one request under way a second time
    now: int = 0
    faults: int = 2
    taken: tuple[str, ...] = ()
    committed: tuple[tuple[int, str], ...] = ()
    names: int = 0  # of copies, used so far
    bad: str = ""


class Lives:
    """`without`: rules that are taken away."""

    def __init__(self, shape: tuple[int, int], without: tuple[str, ...] = (), faults: int = 2) -> None:
        unknown = set(without) - set(RULES)
        if unknown:
            raise ValueError(f"no such rules: {sorted(unknown)}")
        self.events, self.last = shape
        self.without = frozenset(without)
        self.faults = faults

    def rule(self, name: str) -> bool:
        assert name in RULES
        return name not in self.without

    # -- requests: a world and a reply ---------------------------------------------------------------------------------

    def append(self, w: World, me: int, gen: int, number: int, event: str, stamp: int) -> tuple[World, str]:
        if gen != w.h.gen:
            return w, "ok"  # its log was forgotten, and nobody reads what is put there
        there = next((row for row in w.log if row[:2] == (gen, number)), None)
        if there is not None:
            return w, "ok" if there[2] == me and there[3] == event else "taken"
        w = w._replace(log=tuple(sorted((*w.log, (gen, number, me, event, stamp)))))
        if event != "fence" and (gen, event) not in w.committed:
            w = w._replace(committed=(*w.committed, (gen, event)))
        return w, "ok"

    def copy(self, w: World, name: str, gen: int, events: tuple[str, ...], stamp: int) -> tuple[World, str]:
        rest = tuple(c for c in w.copies if c[:2] != (name, gen))
        fresh = all(c[:2] != (name, gen) for c in w.copies)
        return w._replace(names=w.names + fresh, copies=(*rest, (name, gen, events, stamp))), "ok"

    def stamp(self, w: World, signal: str, stamp: int) -> tuple[World, str]:
        longer = self.rule("a stamp only grows")
        return w._replace(
            box=tuple((s, max(t, stamp) if longer else stamp) if s == signal else (s, t) for s, t in w.box)
        ), "ok"

    def suspend(
        self, w: World, me: int, gen: int, seen: int, name: str, base: int, horizon: int, due: int
    ) -> tuple[World, str]:
        h = w.h
        mine = h.own == me or (name and not self.rule("the suspend of a snapshot needs the owner"))
        if h.done or h.gen != gen or not mine:
            return w, "fenced"
        if h.lease == 0 and h.own == me:
            return w, "ok"
        if h.n != seen:
            return w, "moved"
        h = h._replace(lease=0, due=due)
        if name:
            h = h._replace(edition=name, copied=base, horizon=horizon)
        return w._replace(h=h), "ok"

    def delete(self, w: World, me: int, gen: int, signal: str) -> tuple[World, str]:
        mine = w.h.own == me and w.h.gen == gen and not w.h.done
        if not mine and self.rule("only the owner deletes what was consumed"):
            return w, "fenced"
        return w._replace(box=tuple(row for row in w.box if row[0] != signal)), "ok"

    def renew(self, w: World, me: int, gen: int, seen: int, gone: int, horizon: int) -> tuple[World, str]:
        h = w.h
        if h.gen == gen + 1 and h.own == me:
            return w, "ok"
        if h.own != me or h.gen != gen or h.done:
            return w, "fenced"
        if h.n != seen and self.rule("the generation changes only if nothing is unseen"):
            return w, "moved"
        h = h._replace(gen=gen + 1, gone=gone, edition="", copied=0, lease=0, horizon=horizon, due=w.now)
        return w._replace(h=h, log=(), copies=()), "ok"  # what only the old generation read is forgotten

    def deliver(self, w: World, signal: str, gen: int, stamp: int) -> tuple[World, str]:
        if any(s == signal for s, _ in w.box):
            return w, "ok"
        if w.h.done or w.h.gen != gen:
            return w, "unknown"
        return w._replace(box=(*w.box, (signal, stamp)), h=w.h._replace(n=w.h.n + 1, due=w.now)), "ok"

    # -- what an owner sees ----------------------------------------------------------------------------------------

    def load(self, w: World, o: Owner) -> Owner | str:
        """The owner with what it read, or the promise that is broken."""
        h = w.h
        base = h.copied if h.edition else 0
        copy = next((c for c in w.copies if c[:2] == (h.edition, h.gen)), None)
        if h.edition and copy is None:
            return "KEPT the copy that the header names is gone"
        tail = [row for row in w.log if row[0] == h.gen and row[1] >= base]
        if [row[1] for row in tail] != list(range(base, base + len(tail))):
            return "KEPT a segment is gone"
        events = (*(copy[2] if copy else ()), *(row[3] for row in tail if row[3] != "fence"))
        wanted = tuple(event for gen, event in w.committed if gen == h.gen)
        if set(wanted) - set(events):
            return "KEPT a committed event is not loaded"
        if len(set(events)) != len(events):
            return "LINEAR an event stands twice"
        used = frozenset(e.removeprefix("use ") for e in events if e.startswith("use "))
        box = tuple((s, t) for s, t in w.box if s[0] == "s" or s == f"c{h.gen}")
        in_hand = {s for s, _ in box} | (used if self.rule("what the log names counts as in hand") else set())
        if len(in_hand) + h.gone < h.n:
            return "COUNT entries that the header counts are gone"
        stamps = [row[4] for row in tail] + ([copy[3]] if copy else [])
        return o._replace(
            base=base + len(tail), seen=events, box=box, used=used, gone=h.gone, gen=h.gen,
            log_stamp=min(stamps, default=h.horizon), header=h.horizon, fence=h.prev != 0, pc="fence" if h.prev else "work",
        )  # fmt: skip

    # -- successors ------------------------------------------------------------------------------------------------

    def successors(self, w: World) -> Iterator[tuple[str, World]]:
        h = w.h
        for o in w.owners:
            yield from self.steps(w, o)
            if w.faults:
                yield f"{o.id} dies at {o.pc}", self.without_owner(w._replace(faults=w.faults - 1), o)
        if not h.done and h.lease != 1 and len(w.owners) < 2:
            new = 1 + max([h.own, *(o.id for o in w.owners)])
            prev = h.lease
            if prev == 2 and not self.rule("a takeover writes a fence first"):
                prev = 0
            owner = Owner(new)
            yield (
                f"{new} acquires",
                w._replace(h=h._replace(own=new, lease=1, prev=prev), owners=(*w.owners, owner)),
            )
        if h.lease == 1:
            if all(o.id != h.own for o in w.owners):
                yield "the lease of a dead owner ends", w._replace(h=h._replace(lease=2))
            elif w.faults:
                yield "the lease of a living owner ends", w._replace(h=h._replace(lease=2), faults=w.faults - 1)
        yield from self.outside(w)
        if w.late:
            kind, *args = w.late
            after, _ = getattr(self, kind)(w._replace(late=()), *args)
            yield f"a copy of {kind} {args} arrives", after
        if w.now < DAYS and not self.unattended(w):
            yield "a day passes", self.removed(w._replace(now=w.now + 1))

    def unattended(self, w: World) -> bool:
        """Whether a turn is due, which is sure to come within the spare days. Who is in a turn, or has read a header whose
        horizon comes near, is done within them too."""
        reads = w.sender[0] == "read" and w.sender[1] <= w.now + 1
        return w.h.done or bool(w.owners) or w.h.lease != 0 or w.h.due <= w.now or reads

    def removed(self, w: World) -> World:
        return w._replace(
            log=tuple(row for row in w.log if row[4] > w.now),
            copies=tuple(c for c in w.copies if c[3] > w.now),
            box=tuple(row for row in w.box if row[1] > w.now),
        )

    def outside(self, w: World) -> Iterator[tuple[str, World]]:
        what, horizon, gen = w.sender
        if what == "idle" and not w.h.done:
            yield "the sender reads the header", w._replace(sender=("read", w.h.horizon, w.h.gen))
        elif what == "read":
            for entry in ("s1", f"c{gen}"):
                after, reply = self.deliver(w, entry, gen, horizon)
                sender = (
                    ("idle", 0, 1) if reply == "unknown" and not w.h.done else ("sent", 0, 1 if entry == "s1" else 0)
                )
                yield f"the sender delivers {entry}: {reply}", after._replace(sender=sender)

    def without_owner(self, w: World, o: Owner) -> World:
        return w._replace(owners=tuple(x for x in w.owners if x.id != o.id))

    def put(self, w: World, o: Owner) -> World:
        return w._replace(owners=tuple(o if x.id == o.id else x for x in w.owners))

    def steps(self, w: World, o: Owner) -> Iterator[tuple[str, World]]:
        if o.pc == "load":
            found = self.load(w, o) if w.h.own == o.id else None
            if isinstance(found, str):
                yield f"{o.id} loads", w._replace(bad=found)
            elif found is None:
                yield f"{o.id} is not the owner any more", self.without_owner(w, o)
            else:
                yield f"{o.id} loads {found.seen} {found.box}", self.put(w, found)
            return
        for request in [o.again] if o.again else self.requests(w, o):
            yield from self.ask(w, o, *request)
        if o.pc == "end":
            if w.h.own == o.id and w.h.lease:
                yield f"{o.id} completes", self.finished(w, o)
            else:
                yield f"{o.id} is fenced", self.without_owner(w, o)

    def finished(self, w: World, o: Owner) -> World:
        used = any(event == "use s1" for _, event in w.committed)
        lost = w.sender == ("sent", 0, 1) and w.h.n > 0 and not used and all(s != "s1" for s, _ in w.box)
        done = self.without_owner(w._replace(h=w.h._replace(done=True, lease=0)), o)
        return done._replace(bad="ONCE an accepted signal is lost") if lost else done

    def requests(self, w: World, o: Owner) -> Iterator[tuple[Any, ...]]:
        """The next request of this owner: its kind, its arguments, and the owner after "ok"."""
        horizon = max(o.header, w.now + LIFE)
        if o.pc == "fence":
            yield "append", (o.gen, o.base, "fence", o.header), o._replace(pc="work", base=o.base + 1, fence=False)
        elif o.pc == "work":
            waiting = [s for s, _ in o.box if s not in o.used and s[0] == "s"]
            if waiting:
                event = f"use {waiting[0]}"
                after = o._replace(base=o.base + 1, seen=(*o.seen, event), used=o.used | {waiting[0]}, pc="took")
                yield "append", (o.gen, o.base, event, o.header), after
            mine = sum(not e.startswith("use") for e in o.seen)
            if mine < self.events:
                event = f"e{o.gen}.{mine}"
                after = o._replace(base=o.base + 1, seen=(*o.seen, event), pc="park")
                yield "append", (o.gen, o.base, event, o.header), after
            elif o.gen < self.last:
                yield from self.ends_generation(o, horizon)
            else:
                yield "none", (), o._replace(pc="end")
        elif o.pc == "park":
            yield from self.parks(w, o, horizon)
        elif o.pc == "deleted":
            yield from self.ends_generation(o, horizon, deleted=True)

    def parks(self, w: World, o: Owner, horizon: int) -> Iterator[tuple[Any, ...]]:
        seen = len({s for s, _ in o.box} | o.used) + o.gone
        old = [s for s, t in o.box if t <= w.now + 1] if self.rule("an old stamp is looked for at every park") else []
        if o.log_stamp <= w.now + 1 and not o.name:
            name = f"c{w.names}" if self.rule("a snapshot has a name of its own") else "c"
            after = o._replace(name=name, log_stamp=horizon, header=horizon)
            yield "copy", (name, o.gen, o.seen, horizon), after
        elif old:
            boxed = tuple((s, max(t, horizon) if s == old[0] else t) for s, t in o.box)
            yield "stamp", (old[0], horizon), o._replace(box=boxed)
        else:
            stamps = [t for _, t in o.box] if self.rule("an old stamp is looked for at every park") else []
            due = min([o.log_stamp, *stamps]) - 1
            yield "suspend", (o.gen, seen, o.name, o.base, o.header, due), o._replace(pc="parked")

    def ends_generation(self, o: Owner, horizon: int, *, deleted: bool = False) -> Iterator[tuple[Any, ...]]:
        there = [s for s, _ in o.box if s in o.used]
        first = self.rule("consumed signals are deleted before the generation changes")
        if first and there:
            rest = tuple(row for row in o.box if row[0] != there[0])
            yield "delete", (o.gen, there[0]), o._replace(box=rest, pc="deleted")
            return
        seen = len({s for s, _ in o.box} | o.used) + o.gone
        closed = sum(s[0] == "c" for s, _ in o.box)
        yield "renew", (o.gen, seen, o.gone + len(o.used) + closed, horizon), o._replace(pc="parked")

    def ask(self, w: World, o: Owner, kind: str, args: tuple[Any, ...], after: Owner) -> Iterator[tuple[str, World]]:
        if kind == "none":
            yield f"{o.id} goes on", self.put(w, after)
            return
        if kind == "copy" and not self.rule("a snapshot counts with the suspend that names it"):
            w = w._replace(h=w.h._replace(edition=args[0], copied=o.base))
        writer = (o.id, *args)
        asked = writer if kind in ("append", "suspend", "delete", "renew") else args
        changed, reply = getattr(self, kind)(w, *asked)
        label = f"{o.id} {kind} {args}: {reply}"
        yield label, self.replied(changed, o, kind, reply, after)
        if w.faults and reply == "ok" and not w.late and changed != w:
            dear = changed._replace(faults=w.faults - 1)
            yield (
                f"{label}, and a copy stays under way",
                self.replied(dear._replace(late=(kind, *asked)), o, kind, reply, after),
            )
            if not o.again:
                yield f"{label}, reply lost", self.put(dear, o._replace(again=(kind, args, after)))

    def replied(self, w: World, o: Owner, kind: str, reply: str, after: Owner) -> World:
        if reply == "moved":
            return self.put(w, o._replace(pc="load", name="", again=()))
        if reply != "ok":
            if kind == "append" and o.pc == "fence":
                return self.put(w, o._replace(pc="load", again=()))
            mine = w.h.own == o.id and w.h.lease
            return self.without_owner(w._replace(h=w.h._replace(lease=0)) if mine else w, o)
        if after.pc == "parked":
            return self.without_owner(w, o)
        if after.pc == "took":
            signal = next(iter(after.used - o.used))
            if o.gen != w.h.gen:
                return self.put(w, after._replace(pc="work", again=()))
            if signal in w.taken and w.committed.count((o.gen, f"use {signal}")) != 1:
                w = w._replace(bad="ONCE a signal is taken twice")
            elif signal in w.taken and any(e == f"use {signal}" and g != o.gen for g, e in w.committed):
                w = w._replace(bad="ONCE a signal is taken in two generations")
            w, after = w._replace(taken=(*w.taken, signal)), after._replace(pc="work")
        return self.put(w, after._replace(again=()))

    # -- search ----------------------------------------------------------------------------------------------------

    def search(self, limit: int = 3_000_000) -> tuple[int, list[str] | None]:
        """How many states there are, and the way to one in which a promise is broken."""
        start = World(Header(), faults=self.faults)
        parents: dict[World, tuple[World | None, str]] = {start: (None, "")}
        todo = deque([start])
        while todo:
            world = todo.popleft()
            for label, after in self.successors(world):
                after = self.settled(after)
                if after in parents:
                    continue
                parents[after] = (world, label)
                if after.bad:
                    return len(parents), [*_way(parents, after), after.bad]
                if len(parents) > limit:
                    raise RuntimeError(f"more than {limit:,} states")
                todo.append(after)
        return len(parents), None

    def settled(self, w: World) -> World:
        """Names of invocations that are over are of no interest: the graph stays finite."""
        ids = sorted({o.id for o in w.owners} | {w.h.own} - {0})
        return w if not ids or ids[-1] <= 4 else _renamed(w, {old: new for new, old in enumerate(ids, 1)})


def _renamed(w: World, names: dict[int, int]) -> World:
    again = lambda id: names.get(id, 0)
    late = w.late
    if late and late[0] in ("append", "suspend", "delete", "renew"):
        late = (late[0], again(late[1]), *late[2:])
    return w._replace(
        h=w.h._replace(own=again(w.h.own)),
        owners=tuple(o._replace(id=again(o.id)) for o in w.owners),
        log=tuple((g, n, again(a), e, t) for g, n, a, e, t in w.log),
        late=late,
    )


def _way(parents: dict[World, tuple[World | None, str]], world: World) -> list[str]:
    steps = []
    while True:
        before, label = parents[world]
        if before is None:
            return steps[::-1]
        steps.append(label)
        world = before


def main() -> None:
    for rules in [(), *((rule,) for rule in sys.argv[1:] or RULES)]:
        for shape in (LONG, LOOPING):
            states, way = Lives(shape, rules).search(limit=20_000_000)
            found = "every promise is kept" if way is None else f"{way[-1]} after {len(way) - 1} steps"
            print(
                f"{f'without {rules[0]!r}' if rules else 'all rules'}, {shape}: {states:,} states, {found}", flush=True
            )


if __name__ == "__main__":
    main()
