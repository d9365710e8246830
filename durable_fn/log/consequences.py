"""Which entries a redrive forgets when it tries a failed operation again.

Forgotten are the entries of the operation that failed and of everything inside it, the ends of the operations around it, and
what came after it, because that was clean-up. What ran beside it stays: a step of another branch that succeeded a moment later
is no consequence, and must not run twice. A branch that was cancelled because of the failure goes on from where it was
cancelled; if it had given a signal back, which another wait may have taken since, it goes on from its wait for that signal.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cached_property
from typing import NamedTuple

from . import failures
from .events import (
    BEGUN,
    CANCELLED,
    END_ID,
    FAILED,
    RAISED,
    RETRY,
    RETURNED,
    STUCK_ID,
    SUCCEEDED,
    Event,
    ancestors,
    moves,
    picked_up,
)
from .interrupted import is_interrupted
from .kinds import BRANCH, CALLBACK, CODE, FANS, KINDS, WAIT
from .origins import Cause
from .trails import Trails
from .undone import Saga, sagas, touched


class _Log:
    """The entries of a log, by operation. Here the id of an operation is its trail (`trails.py`), which shows what ran beside
    what."""

    def __init__(self, events: list[Event]) -> None:
        self.trails = Trails(events)
        self.events = events = [self.trails.walked(event) for event in events]
        self.last: dict[str, int] = {}  # place of the last entry
        self.first: dict[str, int] = {}  # place of the first entry that has its place: of the operation, or inside it
        self.aside: set[str] = set()  # what an earlier redrive has laid aside, and what is around that
        self.results: set[str] = set()  # what succeeded, also where native code was cancelled before it had that
        self.kinds: dict[str, str] = {}
        self.inside: set[str] = set()  # ids with operations inside
        self.waits: dict[str, list[str]] = {}  # by callback: the waits for it that were over
        self.returned: dict[str, tuple[str, int]] = {}  # by wait for a signal: who gave it back, and where it was taken
        for place, event in enumerate(events):
            if event.kind == WAIT and event.status == SUCCEEDED:
                self.waits.setdefault(event.value, []).append(event.id)
            elif event.status == RETURNED:
                self.returned[event.id] = event.value, self.last[event.id]
            if event.status == SUCCEEDED:
                self.results.add(event.id)
            self.last[event.id] = place
            self.kinds[event.id] = event.kind
            if laid := picked_up(event):
                self.aside.update((event.id, *ancestors(event.id)))
            head = "" if laid else event.id
            while head and head not in self.first:
                self.first[head] = place
                head = head.rpartition("/")[0]
            head = event.id.rpartition("/")[0]
            while head and head not in self.inside:
                self.inside.add(head)
                head = head.rpartition("/")[0]

    def place(self, id: str) -> int | None:
        """The place of its outcome; if it has none, of the last entry inside it."""
        own = self.last.get(id)
        if own is not None and self.events[own].status not in (BEGUN, RETRY):
            return own
        below = [place for one, place in self.last.items() if one == id or one.startswith(f"{id}/")]
        return max(below, default=None)

    def succeeded(self, id: str) -> bool:
        """A wait for a callback has succeeded if the callback has: its own entry only says that it is over."""
        if id not in self.last:
            return False
        event = self.events[self.last[id]]
        if event.kind == WAIT and event.status == SUCCEEDED and event.value != id:
            return self.succeeded(event.value)
        return event.status == SUCCEEDED

    @cached_property
    def moved(self) -> dict[str, list[int]]:
        """The places of the ends by which a handler goes on, by operation."""
        found: dict[str, list[int]] = {}
        for q, event in enumerate(self.events):
            if moves(event):
                found.setdefault(event.id, []).append(q)
        return found

    @cached_property
    def raised(self) -> dict[str, list[int]]:
        """Where cancellations were raised, by branch. A branch of a `def` handler unwinds from there: the body that ran until
        then was no clean-up."""
        found: dict[str, list[int]] = {}
        for q, event in enumerate(self.events):
            if event.status == RAISED and (branch := _branch_of(self, event.id)) is not None:
                found.setdefault(branch, []).append(q)
        return found

    def bound(self, id: str) -> list[str]:
        """What has to be tried again with it: for a wait that raised a callback's failure that callback, and the reverse."""
        event = self.events[self.last[id]] if id in self.last else None
        if event is None or self.succeeded(id):
            return []
        if event.kind == WAIT:
            return [event.value] if event.status == SUCCEEDED else []
        return self.waits.get(id, []) if event.kind == CALLBACK else []

    def on_its_trail(self, cause: Cause) -> Cause:
        return cause._replace(id=self.trails.of(cause.id))

    def keeps_begun(self, id: str) -> bool:
        """Whether its beginning stays: it runs handler code, or is a callback whose token other operations handed out."""
        kind = self.kinds.get(id)
        return kind in CODE or (kind == CALLBACK and id not in self.inside)


class Consequences(NamedTuple):
    """`gone`: places of the entries that are forgotten; `aside`: of those that a replay finds by their ids alone, because
    native tasks beside the failed one recorded them behind the failure; `targets`: operations that are tried again."""

    gone: set[int]
    aside: set[int]
    targets: set[str]


def consequences(events: list[Event], causes: Iterable[Cause]) -> Consequences:
    """`events`: as `undone.named` gives them."""
    log, found = _Log(events), sagas(events)
    queue = [log.on_its_trail(cause) for cause in causes]
    cuts: dict[str, tuple[Cause, int]] = {}
    while True:
        _follow(log, queue, cuts)
        gone, aside, again = _forgotten(log, cuts)
        undone = [saga for saga in found if not _unfinished(log, saga, found, gone, aside)]
        queue = [Cause(saga.id) for saga in touched(undone, gone - again) if saga.id not in cuts]
        if not queue:
            break
    for saga in found:
        if saga.id in cuts:
            gone |= saga.places
            aside -= saga.places
    return Consequences(gone, aside, {log.trails.id_of(id) for id in cuts})


def _unfinished(log: _Log, saga: Saga, found: list[Saga], gone: set[int], aside: set[int]) -> bool:
    """Whether only failed compensations, of this saga or of one inside, are tried again. Compensations that succeeded stay
    done."""
    failed = {id for one in found if one.places <= saga.places for id in one.failed}
    again = [q for q, event in enumerate(log.events) if log.trails.id_of(event.id) in failed]
    mine = saga.places & gone
    if not mine or not again or min(mine) < min(again):
        return False
    done = {q for q in saga.undo & gone if log.events[q].status == SUCCEEDED}
    gone -= done
    aside |= done
    return True


def _follow(log: _Log, queue: list[Cause], cuts: dict[str, tuple[Cause, int]]) -> None:
    """Adds the operations that have to be tried again with these causes. An interrupted at-most-once body does not start
    again."""
    while queue:
        cause = queue.pop()
        place = log.place(cause.id)
        if cause.id in cuts or place is None or is_interrupted(log.events[place]):
            continue
        cuts[cause.id] = cause, place
        queue += _beside(log, cause, place)
        queue += [Cause(id, cause.tasks) for id in log.bound(cause.id)]


def _forgotten(log: _Log, cuts: dict[str, tuple[Cause, int]]) -> tuple[set[int], set[int], set[int]]:
    """Places of the entries that these cuts forget, of those that stay by their ids alone, and of the forgotten ones that come
    again though nothing is done again."""
    above = _with_returned(log, cuts)
    gone: set[int] = set()
    aside: set[int] = set()
    again: set[int] = set()
    unwound = _unwound(log, cuts) | _ended(log, cuts)
    first: dict[str, int] = {}
    for q, event in enumerate(log.events):
        scope = event.id.rpartition("/")[0]
        goes_on = event.kind == BRANCH and event.status == CANCELLED and scope in above
        if goes_on or (event.id in above and event.status not in (BEGUN, RETRY)) or _own(log, cuts, event):
            gone.add(q)
            continue
        where = event.id if log.kinds[event.id] == BRANCH else scope
        if where not in first:
            first[where] = min(
                (place for cause, place in cuts.values() if not _apart(log, f"{where}/", cause)),
                default=len(log.events),
            )
        if q > first[where] or _over(cuts, event, q) or _unwinds(unwound, event, q):
            gone.add(q)
        elif any(q > place and _comes_anyhow(log, where, cause) for cause, place in cuts.values()):
            (again if _walked_again(event) or _left_open(log, event) else aside if moves(event) else set()).add(q)
    gone |= again
    return gone | _without_branches(log, gone), aside, again | _without_branches(log, again)


def _without_branches(log: _Log, gone: set[int]) -> set[int]:
    """The ends of fans of which a branch is walked again: a fan that is over would count it as cancelled."""
    ends = (log.events[q] for q in gone)
    fans = {
        event.id.rpartition("/")[0] for event in ends if event.kind == BRANCH and event.status in (SUCCEEDED, FAILED)
    }
    return {q for q, event in enumerate(log.events) if event.id in fans and event.status == SUCCEEDED}


def _over(cuts: dict[str, tuple[Cause, int]], event: Event, q: int) -> bool:
    """Whether this is the line by which an async execution was ended, and it goes on. A cancellation that came before all that
    is tried again stays: that was the handler's answer to it, or part of a rollback."""
    if event.id != END_ID:
        return event.id == STUCK_ID
    return END_ID in cuts or any(place < q for _, place in cuts.values())


def _unwound(log: _Log, cuts: dict[str, tuple[Cause, int]]) -> dict[str, int]:
    """Branches that were cancelled because of what is tried again, and the places behind which they unwound."""
    found: dict[str, int] = {}
    for q, event in enumerate(log.events):
        if event.kind != BRANCH or event.status != CANCELLED:
            continue
        by = log.moved.get(json.loads(event.value or '""'), ())
        for cause, place in cuts.values():
            if q <= place or not _apart(log, f"{event.id}/", cause):
                continue
            if not _lost_inside(log, f"{event.id}/", _lane(event.id, cause)):
                led = next((p for p in reversed(by) if place <= p <= q), place)
                led = next((p - 1 for p in log.raised.get(event.id, ()) if p >= led), led)
                found[event.id] = min(led, found.get(event.id, led))
    return found


def _branch_of(log: _Log, id: str) -> str | None:
    return next((head for head in reversed(ancestors(id)) if log.kinds.get(head) == BRANCH), None)


def _ended(log: _Log, cuts: dict[str, tuple[Cause, int]]) -> dict[str, int]:
    """Native tasks that the end of the execution cancelled, and the places at which it reached them: what they did behind is
    clean-up, too. A task that it did not reach ran beside it."""
    found: dict[str, int] = {}
    _, end = cuts.get(END_ID, (None, len(log.events)))
    for q, event in enumerate(log.events):
        scope = event.id.rpartition("/")[0]
        if q > end and event.status == CANCELLED and event.value and scope.rpartition("/")[2].startswith("~"):
            found.setdefault(scope, q)
    return found


def _unwinds(unwound: dict[str, int], event: Event, q: int) -> bool:
    return any(q > unwound[head] for head in (event.id, *ancestors(event.id)) if head in unwound)


def _with_returned(log: _Log, cuts: dict[str, tuple[Cause, int]]) -> set[str]:
    """The operations around all cuts. Branches that go on wait again for the signals that they gave back: these waits become
    cuts."""
    while True:
        above = {head for id in cuts for head in ancestors(id)}
        again = {
            id: place
            for id, (branch, place) in log.returned.items()
            if id not in cuts and branch.rpartition("/")[0] in above
        }
        if not again:
            return above
        cuts |= {id: (Cause(id), place) for id, place in again.items()}


def _own(log: _Log, cuts: dict[str, tuple[Cause, int]], event: Event) -> bool:
    """Whether the entry is of an operation that is tried again, or of one inside."""
    if event.id in cuts and not log.succeeded(event.id):
        return event.status != BEGUN or not log.keeps_begun(event.id)
    heads = (head for head in ancestors(event.id) if head in cuts)
    return any(log.kinds.get(head) not in CODE and not log.succeeded(head) for head in heads)


def _walked_again(event: Event) -> bool:
    """Whether it is the end of a branch that a replay walks, because the log does not have its result: it comes again, behind
    what is inside."""
    return event.status == CANCELLED or (event.kind == BRANCH and not (event.status == SUCCEEDED and event.value))


def _left_open(log: _Log, event: Event) -> bool:
    """Whether it is the beginning of what a branch was cancelled at. If the winner's result is known at once, the branch may be
    cancelled before it begins that."""
    if event.status not in (BEGUN, RETRY) or event.kind in CODE or moves(log.events[log.last[event.id]]):
        return False
    branch = _branch_of(log, event.id)
    return branch is not None and log.events[log.last[branch]].status == CANCELLED


def _comes_anyhow(log: _Log, where: str, cause: Cause) -> bool:
    """Whether what this scope recorded behind the failure may come in another order when that is tried again: in another native
    task, or in a branch that began when the failed one was over, and may have had to wait for that (`max_concurrency`). Also if
    an earlier redrive has found so: what it laid aside has no place, and the beginnings of that have the old ones."""
    if _apart(log, f"{where}/", cause, tasks=True):
        return True
    mine, failed = where.split("/"), cause.id.split("/")
    n = next((i for i, (a, b) in enumerate(zip(mine, failed, strict=False)) if a != b), None)
    if n is None or log.kinds.get("/".join(mine[:n])) not in FANS:
        return False
    end = log.last.get("/".join(failed[: n + 1]), len(log.events))
    branch = "/".join(mine[: n + 1])
    return branch in log.aside or log.first.get(branch, end) > end


def _apart(log: _Log, scope: str, cause: Cause, *, tasks: bool = False) -> bool:
    """Whether this scope is in another branch or task than the operation that failed. `tasks`: only in another native task."""
    path = "" if scope == "/" else scope
    mine, failed = path.split("/")[:-1], cause.id.split("/")
    n = next((i for i, (a, b) in enumerate(zip(mine, failed, strict=False)) if a != b), None)
    if n is None:
        return False
    head = "/".join(mine[:n])
    if log.kinds.get(head) in FANS:
        return not tasks
    started = dict(cause.tasks).get(f"{head}/" if head else "", 0)
    return mine[n].startswith("~") and mine[n][1:].isdecimal() and int(mine[n][1:]) <= started


def _beside(log: _Log, cause: Cause, place: int) -> list[Cause]:
    """Operations that the failure ended in other branches, and other failures in the same fans: they are tried again as
    well."""
    found: list[Cause] = []
    lanes: dict[str, int] = {}  # place of the last entry of each branch or task beside
    ended: set[str] = set()
    for q, event in enumerate(log.events):
        where = event.id if event.kind == BRANCH else event.id.rpartition("/")[0]
        if not where or not _apart(log, f"{where}/", cause):
            continue
        if event.kind == BRANCH:
            ended.add(event.id)
            over = _was_over(log, event.id, place, _lane(event.id, cause))
            if event.status == FAILED and cause.id != END_ID and not over:
                causes = failures.decode(event.value).causes
                found += map(log.on_its_trail, causes) if causes else [Cause(event.id)]
        elif event.status == RAISED and q > place and not _lost_inside(log, event.id, _lane(event.id, cause)):
            found.append(Cause(event.id))
        lanes[_lane(event.id, cause)] = q
    for lane, q in lanes.items():
        event = log.events[q]
        failed = event.status == FAILED or (event.status == CANCELLED and event.id not in log.results)
        if q > place and lane not in ended and failed and event.kind != BRANCH:
            found.append(Cause(event.id))
    return found


def _was_over(log: _Log, branch: str, place: int, lane: str) -> bool:
    """Whether the fan of a branch had ended before this place, or is one inside the lane beside: then the handler had dealt
    with the failures in it. Those that ended the lane are the causes of its own end."""
    fan = branch.rpartition("/")[0]
    end = log.last.get(fan)
    return end is not None and (end < place or fan.startswith(f"{lane}/")) and log.events[end].status == SUCCEEDED


def _lost_inside(log: _Log, id: str, lane: str) -> bool:
    """Whether an operation was cancelled because its branch lost in a fan inside this lane: that has nothing to do with what
    failed beside."""
    branch = _branch_of(log, id)
    if branch is None or branch == lane:
        return False
    end = log.events[log.last[branch]]
    return end.status == CANCELLED and str(json.loads(end.value or '""')).startswith(f"{lane}/")


def _lane(id: str, cause: Cause) -> str:
    """The branch or task beside the failed operation that an operation is in."""
    parts, failed = id.split("/"), cause.id.split("/")
    n = next((i for i, (a, b) in enumerate(zip(parts, failed, strict=False)) if a != b), len(parts) - 1)
    return "/".join(parts[: n + 1])


def begun_anew(events: list[Event], gone: set[int], targets: set[str], at: int) -> dict[int, Event]:
    """New BEGUN entries for open waits for the outside, and for polls that are tried again: their time counts from now, because
    nobody could answer while the execution was over."""
    heads = targets | {head for id in targets for head in ancestors(id)}
    settled = {
        event.id for place, event in enumerate(events) if place not in gone and event.status not in (BEGUN, RETRY)
    }
    anew = {}
    for place, event in enumerate(events):
        if place in gone or event.status != BEGUN or event.id in settled:
            continue
        renewed = KINDS[event.kind].renewed
        if renewed == "always" or (renewed == "retried" and event.id in heads):
            due = at + event.due - event.at if event.due else 0
            anew[place] = Event(
                event.id, event.kind, event.position, BEGUN, event.attempt, at, due, event.value, event.asked
            )
    return anew
