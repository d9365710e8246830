"""What every JournalStore keeps of lists: what matches, newest first, page by page. Inherited as `contract.py` is."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from durable_fn.backends.ports import JournalStore, every
from durable_fn.log.header import Header
from durable_fn.log.inbox import REDRIVE, entry, numbered
from durable_fn.log.requests import Ending, Lease, Parking, Renewal
from durable_fn.log.selection import ALL, Position, Selection, position

from .contract import LARGE, NOW, Segment, accepted, header

_SHARED: Final = [HealthCheck.function_scoped_fixture, HealthCheck.differing_executors]

LATER = NOW + 3_600_000
ENDS = ("SUCCEEDED", "FAILED", "CANCELLED", "TERMINATED", "TIMED_OUT")

optional = st.none() | st.booleans()
selections = st.builds(
    Selection,
    fn=st.sampled_from([None, None, "f0", "f1", "none"]),
    fn_prefix=st.sampled_from(["", "", "f", "f1", "%"]),
    id_prefix=st.sampled_from(["", "", "id-1", "ende", "_"]),
    statuses=st.frozensets(st.sampled_from(["PENDING", "RUNNING", "SUSPENDED", *ENDS]), max_size=3),
    parent=st.sampled_from([None, None, None, "p", "q"]),
    started_after=st.sampled_from([None, None, NOW, NOW + 3]),
    started_before=st.sampled_from([None, None, NOW + 4, NOW]),
    updated_after=st.sampled_from([None, None, NOW + 2, LATER]),
    held=optional,
    overdue=optional,
    has_error=optional,
    now=st.sampled_from([NOW, LATER]),
)


def fill(store: JournalStore) -> None:
    """Some of each status, held ones, and one that is told to nobody; some began at the same time."""
    for n in range(12):
        parent = json.dumps({"id": "p" if n % 2 else "q"}) if n % 3 == 0 else None
        store.create(header(f"id-{n}", started=NOW + n // 3, fn=f"f{n % 2}", parent=parent, due=NOW))
    for n, status in enumerate(ENDS):
        owned = _taken(store, header(f"ended-{n}", started=NOW + n, fn="f1", run=f"e{n}"))
        error = None if status == "SUCCEEDED" else LARGE if n % 2 else '{"e":1}'
        accepted(store.complete(owned, "w", Ending(status, NOW + 9, error=error)))  # type: ignore[arg-type]
    for n in range(3):
        owned = _taken(store, header(f"held-{n}", started=NOW + n, fn="f0", run=f"h{n}"))
        held = Parking(LATER, LATER, None, LARGE if n else '{"e":1}', 1, now=NOW + 5)
        accepted(store.suspend(owned, "w", held))
    _taken(store, header("running", started=NOW + 2))
    owned = _taken(store, header("parked", started=NOW + 2))
    accepted(store.suspend(owned, "w", Parking(LATER, LATER, 0, now=NOW + 6)))


def _taken(store: JournalStore, made: Header) -> Header:
    accepted(store.create(made))
    return accepted(store.acquire(made.id, Lease("w", NOW, NOW + 1000)))


def pages(store: JournalStore, wanted: Selection, limit: int) -> list[str]:
    """By cursor, to the end."""
    ids: list[str] = []
    after: Position | None = None
    while True:
        found = store.find(wanted, after, limit)
        assert len(found.headers) <= limit
        ids += [header.id for header in found.headers]
        if found.after is None:
            return ids
        assert after is None or found.after < after, "it gets on"
        after = found.after


class ListContract:
    @pytest.fixture
    def store(self) -> JournalStore:
        raise NotImplementedError

    @pytest.fixture
    def filled(self, store: JournalStore) -> JournalStore:
        fill(store)
        return store

    def test_newest_first(self, store: JournalStore) -> None:
        for n in range(7):
            store.create(header(f"id-{n}", started=NOW + n, fn=f"f{n % 2}"))
        accepted(store.acquire("id-3", Lease("w", NOW + 9, NOW + 99)))
        for scan in (False, True):

            def ids(limit: int | None = None, scan: bool = scan, **wanted: Any) -> list[str]:
                return [h.id for h in store.find(Selection(**wanted), None, limit, scan=scan).headers]

            assert ids() == [f"id-{n}" for n in (6, 5, 4, 3, 2, 1, 0)]
            assert ids(fn="f1") == ["id-5", "id-3", "id-1"]
            assert ids(statuses=frozenset({"RUNNING"})) == ["id-3"]
            assert ids(started_after=NOW + 5) == ["id-6", "id-5"]
            assert ids(2, fn="f0", statuses=frozenset({"PENDING"}), started_after=NOW + 1) == ["id-6", "id-4"]
        assert [h.id for h in every(store)] == [f"id-{n}" for n in (6, 5, 4, 3, 2, 1, 0)]

    def test_one_that_is_held_is_not_overdue(self, store: JournalStore) -> None:
        """It is tried, again and again; overdue is what nobody tries."""
        long_ago = NOW - 3_600_000
        store.create(header("forgotten", due=long_ago, tries=3))
        store.create(header("held", due=long_ago, tries=3, strikes=2))
        store.create(header("gave back", due=long_ago, tries=3, doubtful=1))
        for scan in (False, True):
            found = store.find(Selection(overdue=True, now=NOW), None, 10, scan=scan)
            assert [h.id for h in found.headers] == ["forgotten"]

    def test_a_function_is_no_execution(self, store: JournalStore) -> None:
        store.register("H", "q1")
        assert list(every(store)) == store.find(ALL).headers == []

    @given(wanted=selections, limit=st.sampled_from([1, 3, 100]))
    @settings(max_examples=25, deadline=None, suppress_health_check=_SHARED)
    def test_what_matches_is_found(self, filled: JournalStore, wanted: Selection, limit: int) -> None:
        """As if every header were looked at."""
        matching = [header for header in every(filled) if wanted.matches(header)]
        expected = [header.id for header in sorted(matching, key=position, reverse=True)]
        assert pages(filled, wanted, limit) == expected
        assert [header.id for header in filled.find(wanted).headers] == expected
        assert [header.id for header in filled.find(wanted, scan=True).headers] == expected

    def test_many_of_one_time_and_a_cursor_between_them(self, store: JournalStore) -> None:
        for n in range(40):
            store.create(header(f"id-{n:02}"))
        expected = [f"id-{n:02}" for n in reversed(range(40))]
        assert pages(store, ALL, 7) == expected
        scanned = store.find(ALL, Position(NOW, "id-20"), 5, scan=True)
        assert [h.id for h in scanned.headers] == expected[20:25]

    def test_large_errors_are_read(self, filled: JournalStore) -> None:
        for scan in (False, True):
            found = filled.find(Selection(has_error=True), scan=scan).headers
            assert {h.error for h in found} == {LARGE, '{"e":1}'}
            assert len(found) == 7

    def test_what_is_being_removed_is_not_shown(self, filled: JournalStore) -> None:
        there = filled.get("ended-0")
        assert there is not None
        accepted(filled.retire(there))
        assert "ended-0" not in pages(filled, ALL, 50)
        assert "ended-0" not in [header.id for header in every(filled)]

    def test_held_and_free_again(self, store: JournalStore) -> None:
        """Each way into the state and out of it."""
        is_held, is_free = Selection(held=True), Selection(held=False)

        def stands(held: bool) -> None:
            assert (pages(store, is_held, 5), pages(store, is_free, 5)) == ((["x"], []) if held else ([], ["x"]))

        def again(writer: str, at: int) -> Header:
            return accepted(store.acquire("x", Lease(writer, at, at + 50)))

        owned = _taken(store, header())
        stands(False)
        accepted(store.suspend(owned, "w", Parking(NOW, NOW, None, '{"e":1}', 1)))
        stands(True)
        owned = again("v", NOW + 100)
        stands(True)
        accepted(store.suspend(owned, "v", Parking(NOW, NOW, None)))
        stands(False)
        accepted(store.release(again("u", NOW + 200), "u", NOW, '{"e":2}'))
        stands(True)
        owned = again("t", NOW + 300)
        accepted(store.suspend(owned, "t", Parking(NOW, NOW, None, '{"e":1}', 1)))
        stands(True)
        there = store.head("x")
        assert there is not None
        accepted(store.deliver(there, entry(numbered(REDRIVE, there.n, "r"), "r", ""), NOW + 350))
        stands(False)
        owned = again("s", NOW + 400)
        accepted(store.suspend(owned, "s", Parking(NOW, NOW, None, '{"e":1}', 2)))
        owned = again("q", NOW + 500)
        renewal = Renewal("2", Segment(0, "q", "a"), (), (), owned.n, NOW + 500, None, 9)
        accepted(store.renew(owned, "q", renewal))
        stands(False)

    def test_ended_and_revived(self, store: JournalStore) -> None:
        owned = _taken(store, header())
        ended = accepted(store.complete(owned, "w", Ending("FAILED", NOW + 9, error='{"e":1}')))
        assert pages(store, Selection(statuses=frozenset({"FAILED"})), 5) == ["x"]
        revived = accepted(store.revive(replace(ended), Segment(0, "r", "a"), NOW + 20))
        assert pages(store, Selection(statuses=frozenset({"FAILED"})), 5) == []
        assert pages(store, Selection(statuses=frozenset({"PENDING"})), 5) == ["x"]
        accepted(store.terminate(revived, Ending("TERMINATED", NOW + 30), Segment(1, "t", "a")))
        assert pages(store, Selection(statuses=frozenset({"TERMINATED"})), 5) == ["x"]

    def test_when_something_happened(self, store: JournalStore) -> None:
        """Each transition that tells anything says when."""

        def updated() -> int:
            there = store.head("x")
            assert there is not None
            return there.updated

        owned = _taken(store, header(updated=NOW - 1))
        assert updated() == NOW
        accepted(store.suspend(owned, "w", Parking(NOW, NOW, None, now=NOW + 1)))
        assert updated() == NOW + 1
        accepted(store.deliver(owned, entry("callback/1/a", "o", "S1"), NOW + 2))
        assert updated() == NOW + 2
        accepted(store.beat(owned, entry("beat/1/a", "o", "1\t0\t0\tk"), NOW + 3))
        assert updated() == NOW + 3
        owned = accepted(store.acquire("x", Lease("v", NOW + 100, NOW + 150)))
        renewal = Renewal("2", Segment(0, "v", "a"), (), (), owned.n, NOW + 110, None, 9)
        renewed = accepted(store.renew(owned, "v", renewal))
        assert updated() == NOW + 110
        accepted(store.terminate(renewed, Ending("TERMINATED", NOW + 120), Segment(1, "t", "a")))
        assert updated() == NOW + 120
        accepted(store.revive(renewed, Segment(2, "r", "a"), NOW + 130))
        assert updated() == NOW + 130
        owned = accepted(store.acquire("x", Lease("u", NOW + 200, NOW + 250)))
        accepted(store.complete(owned, "u", Ending("SUCCEEDED", NOW + 210)))
        assert updated() == NOW + 210

    def test_many_creates(self, store: JournalStore) -> None:
        store.create(header("b", run="other"))
        replies = store.create_all([header("a"), header("b"), header("c"), header("a", run="r1")])
        assert [isinstance(reply, Header) for reply in replies] == [True, False, True, True]
        assert sorted(h.id for h in every(store)) == ["a", "b", "c"]
