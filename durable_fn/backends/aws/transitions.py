"""The transitions of the header as requests: each function is the one of the same name in `core.header`.

A condition stands here a second time, for the table to look at. When it fails, the function in `core.header` says what the
header that stands there means, the writer's own success after a lost reply included.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeAlias

from ...errors import JournalDamaged
from ...log import header as rules
from ...log.header import Header, Refusal
from ...log.requests import Ending, Key, Lease, Parking, Renewal
from ...log.retention import removal
from ...log.selection import shelf, state_of
from .expressions import Change, Condition, expressed
from .items import Item, header_key, number, text, to_header

_LIVE: Final = Condition(
    "#status IN (:pending, :running, :suspended)",
    {f":{status.lower()}": text(status) for status in sorted(rules.LIVE)},
)
_ENDED: Final = Condition(
    "#status IN (:succeeded, :failed, :cancelled, :terminated, :timed_out, :purged)",
    {f":{status.lower()}": text(status) for status in (*sorted(rules.ENDED), rules.PURGED)},
)
_NOT_ENDED: Final = Condition(f"NOT ({_ENDED.text})", _ENDED.values)
_NOT_CANCELLED: Final = Condition("attribute_not_exists(cancel)", {})
_RETIRED: Final = Condition("#status = :purged", {":purged": text(rules.PURGED)})
_NOT_RETIRED: Final = Condition("#status <> :purged", {":purged": text(rules.PURGED)})

Rule: TypeAlias = Callable[[Header | None], Header | Refusal]


class Transition:
    """Without a change it is a mere look."""

    def __init__(self, id: str, condition: Condition, change: Change | None, rule: Rule) -> None:
        self.id = id
        self.condition = condition
        self.change = change
        self.rule = rule

    @property
    def arguments(self) -> dict[str, Any]:
        return {
            "Key": header_key(self.id),
            **expressed(self.condition, self.change),
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }

    @property
    def part(self) -> dict[str, dict[str, Any]]:
        """Of a transaction."""
        return {"ConditionCheck" if self.change is None else "Update": self.arguments}

    def refused(self, item: Item | None) -> Header | Refusal:
        """Why, by what stands there; or the header, where the change was made before. Raises JournalDamaged for an item that is
        read as something else than the table compares."""
        old = None if item is None else to_header(item)
        reply = self.rule(old)
        if isinstance(reply, Header) and reply is not old:
            raise JournalDamaged(
                f'the table refused a change of execution {self.id!r} that its header allows: the item (sort key "H") is '
                "damaged. Restore it from a backup, or delete it, to start anew under this id"
            )
        return reply


# -- an invocation -----------------------------------------------------------------------------------------------------


def acquire(id: str, lease: Lease) -> Transition:
    """[live, lease over, its time has come, the function's own]."""
    condition = _LIVE & Condition(
        "lease < :now AND (due <= :now OR (tries > :zero AND hint <= :now))",
        {":now": number(lease.now), ":zero": number(0)},
    )
    if lease.fn is not None:
        condition &= Condition("fn = :fn", {":fn": text(lease.fn)})
    change = Change().set("#status", text("RUNNING")).set("own", text(lease.writer)).copy("prev_lease", "lease")
    change.set("lease", number(lease.end)).add("turns", 1).set("updated", number(lease.now))
    return Transition(id, condition, change, partial(rules.acquire, lease=lease))


def suspend(header: Header, writer: str, parking: Parking) -> Transition:
    """[owner, lease not released, nothing unseen in the inbox]."""
    condition = _owned(header.key, writer) & Condition("lease > :zero", {":zero": number(0)})
    if parking.seen is not None:
        condition &= _seen(parking.seen)
    change = Change().set("#status", text("SUSPENDED")).set("lease", number(0))
    change.set("strikes", number(parking.strikes)).number("due", parking.due).number("hint", parking.hint)
    change.number("timer", parking.timer).number("doubtful", int(parking.doubtful) or None)
    if not parking.strikes:
        change.remove("tries")
    if parking.now:
        change.set("updated", number(parking.now))
    _shelve(change, header, "SUSPENDED", held=bool(parking.strikes or parking.doubtful))
    if parking.snapshot is not None:
        name, base, horizon = parking.snapshot
        change.set("edition", text(name)).set("copied", number(base))
        change.set("horizon", number(horizon)).set("#ttl", number(horizon))
    change.value("#error", parking.error).text("custom", parking.custom)
    return Transition(
        header.id, condition, change, partial(rules.suspend, key=header.key, writer=writer, parking=parking)
    )


def complete(header: Header, writer: str, ending: Ending) -> Transition:
    """[owner, nobody waits for it who is not told, no cancel that was not seen]."""
    condition = _owned(header.key, writer) & _waited_for_by(header.parent)
    if not ending.cancel_seen:
        condition &= _NOT_CANCELLED
    rule = partial(rules.complete, key=header.key, writer=writer, ending=ending, parent=header.parent)
    return Transition(header.id, condition, _end(header, ending), rule)


def release(header: Header, writer: str, due: int, error: str) -> Transition:
    """[owner, lease not released]."""
    condition = _owned(header.key, writer) & Condition("lease > :zero", {":zero": number(0)})
    change = Change().set("#status", text("SUSPENDED")).set("lease", number(0)).remove("timer")
    change.number("due", due).number("hint", due).count("tries").set("doubtful", number(1)).value("#error", error)
    _shelve(change, header, "SUSPENDED", held=True)
    rule = partial(rules.release, key=header.key, writer=writer, due=due, error=error)
    return Transition(header.id, condition, change, rule)


def progressed(header: Header, writer: str) -> Transition:
    """[owner]."""
    rule = partial(rules.progressed, key=header.key, writer=writer)
    change = Change().remove("tries").number("due", header.lease + 1)
    return Transition(header.id, _owned(header.key, writer), change, rule)


def renew(header: Header, writer: str, renewal: Renewal) -> Transition:
    """[owner, nothing unseen in the inbox]."""
    change = Change().set("#status", text("PENDING")).set("lease", number(0)).set("gen", number(header.gen + 1))
    gone = header.gone + len(renewal.used) + len(renewal.closed)
    change.set("gone", number(gone)).value("#input", renewal.input)
    change.set("#ttl", number(renewal.horizon)).set("horizon", number(renewal.horizon))
    change.number("due", renewal.now).number("hint", renewal.now).number("deadline", renewal.deadline)
    change.remove("prev_lease", "#error", "strikes", "tries", "doubtful", "timer", "edition", "copied", "timeout_from")
    change.set("updated", number(renewal.now))
    _shelve(change, header, "PENDING")
    if renewal.uncancelled:
        change.remove("cancel")
    condition = _owned(header.key, writer) & _seen(renewal.seen)
    return Transition(
        header.id, condition, change, partial(rules.renew, key=header.key, writer=writer, renewal=renewal)
    )


# -- the inbox ---------------------------------------------------------------------------------------------------------


def deliver(
    header: Header, now: int, *, cancel: bool = False, ordered: bool = False, instead: bool = False, again: bool = False
) -> Transition:
    """[live]; `ordered`: [nothing came since the header was read]. The entry goes along, `instead` of an older one."""
    change = Change().add("n", 1).number("due", now).remove("timer").set("updated", number(now))
    if instead:
        change.count("gone")
    if again:
        change.remove("strikes", "tries")
        _shelve(change, header, header.status, held=bool(header.doubtful))
    if cancel:
        change.set("cancel", {"BOOL": True})
    condition = _generation(header.key) & _LIVE
    if ordered:
        condition &= _seen(header.n)
    seen = header.n if ordered else None
    rule = partial(rules.deliver, key=header.key, now=now, cancel=cancel, seen=seen, instead=instead, again=again)
    return Transition(header.id, condition, change, rule)


def expire(header: Header, writer: str, seen: int | None) -> Transition:
    """[owner, nothing unseen in the inbox]. The entry goes along."""
    condition = _owned(header.key, writer)
    if seen is not None:
        condition &= _seen(seen)
    rule = partial(rules.expire, key=header.key, writer=writer, seen=seen)
    return Transition(header.id, condition, Change().add("n", 1), rule)


def decide(header: Header, writer: str, seen: int) -> Transition:
    """[owner, nothing unseen in the inbox]. The segment goes along."""
    rule = partial(rules.decide, key=header.key, writer=writer, seen=seen)
    return Transition(header.id, _owned(header.key, writer) & _seen(seen), None, rule)


# -- from outside ------------------------------------------------------------------------------------------------------


def set_parent(header: Header, parent: str) -> Transition:
    """[this run, live, waited for by whom I saw]: its end, which looks at that too, comes before or after."""
    rule = partial(rules.set_parent, run=header.run, seen=header.parent, parent=parent)
    condition = _run(header.run) & _LIVE & _waited_for_by(header.parent)
    return Transition(header.id, condition, Change().set("parent", text(parent)), rule)


def terminate(header: Header, ending: Ending) -> Transition:
    """[not ended, nobody waits for it who is not told]. The tombstone goes along."""
    condition = _generation(header.key) & _NOT_ENDED & _waited_for_by(header.parent)
    rule = partial(rules.terminate, key=header.key, ending=ending, parent=header.parent)
    return Transition(header.id, condition, _end(header, ending), rule)


def revive(header: Header, now: int) -> Transition:
    """[ended, not retired]. The segment goes along."""
    change = Change().set("#status", text("PENDING")).set("lease", number(0)).set("#ttl", number(header.horizon))
    change.number("due", now).number("hint", now).number("turns", max(1, header.turns))
    change.remove("own", "prev_lease", "deadline", "timeout_from", "finished", "#result", "#error", "cancel")
    change.remove("strikes", "tries", "doubtful")
    change.set("updated", number(now))
    _shelve(change, header, "PENDING")
    condition = _generation(header.key) & _ENDED & _NOT_RETIRED
    return Transition(header.id, condition, change, partial(rules.revive, key=header.key, now=now))


def retire(header: Header) -> Transition:
    """[ended]: a status that nothing goes on from, and that no list shows."""
    change = Change().set("#status", text(rules.PURGED)).remove("shelf")
    return Transition(header.id, _run(header.run) & _ENDED, change, partial(rules.retire, key=header.key))


def postpone(id: str, seen_due: int, now: int, due: int) -> Transition:
    """[due as seen, lease over, live]."""
    condition = Condition("due = :seen AND lease < :now", {":seen": number(seen_due), ":now": number(now)}) & _LIVE
    change = Change().number("due", due).number("hint", now).remove("timer").count("tries")
    return Transition(id, condition, change, partial(rules.postpone, seen_due=seen_due, now=now, due=due))


def wait_for_lease(id: str, seen_due: int, lease: int) -> Transition:
    """[due and lease as seen, live]."""
    seen = Condition("due = :seen AND lease = :lease", {":seen": number(seen_due), ":lease": number(lease)})
    rule = partial(rules.wait_for_lease, seen_due=seen_due, seen_lease=lease)
    return Transition(id, seen & _LIVE, Change().number("due", lease + 1), rule)


# -- what they are made of ---------------------------------------------------------------------------------------------


def retired(run: str) -> Condition:
    """This run, and on its way out."""
    return _run(run) & _RETIRED


def _run(run: str) -> Condition:
    return Condition("run = :run", {":run": text(run)})


def _generation(key: Key) -> Condition:
    return _run(key.run) & Condition("gen = :gen", {":gen": number(key.gen)})


def _owned(key: Key, writer: str) -> Condition:
    return _generation(key) & Condition("own = :own", {":own": text(writer)}) & _LIVE


def _seen(entries: int) -> Condition:
    """Nothing has come into the inbox since."""
    return Condition("n = :seen", {":seen": number(entries)})


def _waited_for_by(parent: str | None) -> Condition:
    """By nobody else since the header was read."""
    if parent is None:
        return Condition("attribute_not_exists(parent)", {})
    return Condition("parent = :parent", {":parent": text(parent)})


def _shelve(change: Change, header: Header, status: str, *, held: bool = False) -> None:
    """Where the index for lists has it. What stays the same costs no write of the index."""
    change.set("shelf", text(shelf(state_of(status, held=held), header.started)))


def _end(header: Header, ending: Ending) -> Change:
    change = Change().set("#status", text(ending.status)).set("lease", number(0)).number("finished", ending.finished)
    change.set("#ttl", number(removal(ending.finished, ending.retention or header.retention)))
    change.set("updated", number(ending.finished))
    _shelve(change, header, ending.status)
    change.remove("due", "hint").value("#result", ending.result).value("#error", ending.error)
    return change.text("custom", ending.custom)
