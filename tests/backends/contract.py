"""What every JournalStore keeps: each condition of the protocol that is one write, and each write sent twice.

The tests are inherited by the stores' own modules. Each fails when its condition is taken out of the store.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from durable_fn.backends.ports import JournalStore
from durable_fn.log.events import Segment
from durable_fn.log.header import Header, Refusal
from durable_fn.log.inbox import MARK_S, Entry, entry
from durable_fn.log.requests import Ending, Key, Lease, ParentNotice, Parking, Renewal
from durable_fn.log.retention import Snapshot, packed_log

NOW = 1_767_225_600_000
LARGE = '"' + "x" * 50_000 + '"'


def header(id: str = "x", **changes: Any) -> Header:
    made = Header(
        id=id, fn="f", run="r1", secret="s", status="PENDING", started=NOW, ttl=NOW // 1000 + 99, input_hash="h",
        input='{"a":1}', due=NOW, hint=NOW,
    )  # fmt: skip
    return replace(made, **changes)


def accepted(reply: Header | Refusal) -> Header:
    assert isinstance(reply, Header), reply
    return reply


def reason(reply: Header | Refusal) -> str:
    assert isinstance(reply, Refusal), reply
    return reply.reason


class StoreContract:
    @pytest.fixture
    def store(self) -> JournalStore:
        raise NotImplementedError

    def owned(self, store: JournalStore, writer: str = "w", id: str = "x", **changes: Any) -> Header:
        """A running execution."""
        accepted(store.create(header(id, **changes)))
        return accepted(store.acquire(id, Lease(writer, NOW, NOW + 1000)))

    # -- create ----------------------------------------------------------------------------------------------------

    def test_what_is_created_is_there(self, store: JournalStore) -> None:
        made = header(parent="p#1", cancel=False)
        assert store.create(made) == made
        assert store.get("x") == made
        assert store.get("y") is None

    def test_an_id_is_taken_once(self, store: JournalStore) -> None:
        store.create(header())
        reply = store.create(header(run="r2", input="2"))
        assert reason(reply) == "held"
        assert isinstance(reply, Refusal)
        assert reply.header is not None
        assert (reply.header.run, reply.header.fn, reply.header.input_hash) == ("r1", "f", "h")
        there = store.get("x")
        assert there is not None
        assert (there.run, there.input) == ("r1", '{"a":1}')

    def test_creating_twice_by_the_same_start_is_one_success(self, store: JournalStore) -> None:
        store.create(header())
        accepted(store.acquire("x", Lease("w", NOW, NOW + 1000)))
        again = accepted(store.create(header()))
        assert again.status == "RUNNING", "it shows what stands there, and leaves it alone"

    def test_many_start_one_id_and_one_wins(self, store: JournalStore) -> None:
        replies = together(8, lambda n: store.create(header(run=f"r{n}")))
        winners = [reply for reply in replies if isinstance(reply, Header)]
        assert len(winners) == 1
        there = store.get("x")
        assert there is not None
        assert there.run == winners[0].run

    # -- acquire ---------------------------------------------------------------------------------------------------

    def test_acquire_of_nothing(self, store: JournalStore) -> None:
        assert store.acquire("x", Lease("w", NOW, NOW + 1)) == Refusal("unknown", None)

    def test_acquire(self, store: JournalStore) -> None:
        store.create(header())
        got = accepted(store.acquire("x", Lease("w", NOW, NOW + 1000)))
        assert (got.status, got.own, got.lease, got.prev_lease, got.turns) == ("RUNNING", "w", NOW + 1000, 0, 1)
        assert got.due == NOW, "kept: the lease counts too, and the index is not written"

    def test_a_held_lease_keeps_others_out(self, store: JournalStore) -> None:
        self.owned(store)
        assert reason(store.acquire("x", Lease("v", NOW + 1000, NOW + 2000))) == "held"
        got = accepted(store.acquire("x", Lease("v", NOW + 1001, NOW + 2000)))
        assert (got.own, got.prev_lease, got.turns) == ("v", NOW + 1000, 2), "the dead owner's lease is shown"

    def test_acquire_twice_by_one_writer_is_one_success(self, store: JournalStore) -> None:
        first = self.owned(store)
        again = accepted(store.acquire("x", Lease("w", NOW, NOW + 1000)))
        assert again == first

    def test_too_early_is_refused(self, store: JournalStore) -> None:
        store.create(header(due=NOW + 5))
        assert reason(store.acquire("x", Lease("w", NOW + 4, NOW + 9))) == "early"
        accepted(store.acquire("x", Lease("w", NOW + 5, NOW + 9)))

    def test_what_waits_for_nothing_but_the_outside_is_not_due(self, store: JournalStore) -> None:
        owned = self.owned(store)
        accepted(store.suspend(owned, "w", Parking(None, None, 0)))
        assert reason(store.acquire("x", Lease("v", NOW + 10**9, NOW + 10**9 + 1))) == "early"

    @pytest.mark.parametrize("status", ["SUCCEEDED", "FAILED", "CANCELLED", "TERMINATED"])
    def test_what_is_finished_stays_finished(self, store: JournalStore, status: Any) -> None:
        owned = self.owned(store)
        accepted(store.complete(owned, "w", Ending(status, NOW + 1)))
        assert reason(store.acquire("x", Lease("v", NOW + 5000, NOW + 6000))) == "finished"

    def test_many_acquire_and_one_wins(self, store: JournalStore) -> None:
        store.create(header())
        replies = together(8, lambda n: store.acquire("x", Lease(f"w{n}", NOW, NOW + 1000)))
        winners = [reply for reply in replies if isinstance(reply, Header)]
        assert len(winners) == 1
        there = store.get("x")
        assert there is not None
        assert (there.own, there.turns) == (winners[0].own, 1)

    # -- append and load -------------------------------------------------------------------------------------------

    def test_the_log_comes_back_in_order(self, store: JournalStore) -> None:
        owned = self.owned(store)
        segments = [Segment(seq, "w", f"line {seq}\t\nsecond") for seq in range(12)]
        assert all(store.append(owned, segment) for segment in segments)
        loaded = store.load(owned.key)
        assert loaded is not None
        assert loaded.segments == segments
        assert (loaded.header, loaded.inbox) == (owned, {})

    def test_a_sequence_number_is_taken_once(self, store: JournalStore) -> None:
        owned = self.owned(store)
        assert store.append(owned, Segment(0, "w", "first"))
        assert not store.append(owned, Segment(0, "v", "second"))
        assert store.append(owned, Segment(0, "w", "first")), "my own after a lost reply"
        loaded = store.load(owned.key)
        assert loaded is not None
        assert loaded.segments == [Segment(0, "w", "first")]

    def test_many_append_and_one_wins(self, store: JournalStore) -> None:
        owned = self.owned(store)
        replies = together(8, lambda n: store.append(owned, Segment(0, f"w{n}", str(n))))
        assert sorted(replies) == [False] * 7 + [True]

    def test_a_long_log_with_large_segments(self, store: JournalStore) -> None:
        """More than one page of a DynamoDB Query, which is 1 MB."""
        owned = self.owned(store)
        segments = [Segment(seq, "w", f"{seq} {'y' * 300_000}") for seq in range(5)]
        for segment in segments:
            assert store.append(owned, segment)
        loaded = store.load(owned.key)
        assert loaded is not None
        assert loaded.segments == segments

    def test_a_body_of_the_greatest_size(self, store: JournalStore) -> None:
        owned = self.owned(store)
        most = "é" * (store.max_body // 2)
        assert store.append(owned, Segment(0, "w" * 32, most))
        loaded = store.load(owned.key)
        assert loaded is not None
        assert loaded.segments[0].body == most

    def test_another_run_of_the_id_is_another_log(self, store: JournalStore) -> None:
        owned = self.owned(store)
        store.append(owned, Segment(0, "w", "old"))
        assert store.load(Key("x", "r2", 1)) is None
        assert store.load(Key("x", "r1", 2)) is None
        assert store.load(Key("y", "r1", 1)) is None

    # -- suspend ---------------------------------------------------------------------------------------------------

    def test_suspend(self, store: JournalStore) -> None:
        owned = self.owned(store)
        got = accepted(store.suspend(owned, "w", Parking(NOW + 60, NOW + 50, 0, '{"e":1}', 3)))
        assert (got.status, got.lease, got.due, got.hint, got.error, got.strikes, got.own) == (
            "SUSPENDED", 0, NOW + 60, NOW + 50, '{"e":1}', 3, "w",
        )  # fmt: skip
        assert store.get("x") == got

    def test_suspend_twice_is_one_success(self, store: JournalStore) -> None:
        owned = self.owned(store)
        parking = Parking(NOW + 60, NOW + 60, 0)
        first = accepted(store.suspend(owned, "w", parking))
        assert accepted(store.suspend(owned, "w", parking)) == first

    def test_suspend_after_a_lost_reply_and_a_newer_entry_is_still_a_success(self, store: JournalStore) -> None:
        """What was accepted after the suspend set due = now by itself."""
        owned = self.owned(store)
        parking = Parking(NOW + 60, NOW + 60, 0)
        accepted(store.suspend(owned, "w", parking))
        accepted(store.deliver(owned, Entry("k", "o", "d", "1"), NOW + 7))
        again = accepted(store.suspend(owned, "w", parking))
        assert (again.lease, again.n, again.due) == (0, 1, NOW + 7), "and it does not overwrite the new due time"

    def test_only_the_owner_suspends(self, store: JournalStore) -> None:
        owned = self.owned(store)
        assert reason(store.suspend(owned, "v", Parking(NOW + 60, None, 0))) == "fenced"
        accepted(store.acquire("x", Lease("v", NOW + 2000, NOW + 3000)))
        assert reason(store.suspend(owned, "w", Parking(NOW + 60, None, 0))) == "fenced"
        there = store.get("x")
        assert there is not None
        assert (there.status, there.lease) == ("RUNNING", NOW + 3000)

    def test_nobody_parks_over_an_unseen_entry(self, store: JournalStore) -> None:
        owned = self.owned(store)
        accepted(store.deliver(owned, Entry("k", "o", "d", "1"), NOW + 7))
        assert reason(store.suspend(owned, "w", Parking(NOW + 60, None, 0))) == "moved"
        there = store.get("x")
        assert there is not None
        assert (there.status, there.due) == ("RUNNING", NOW + 7)
        accepted(store.suspend(owned, "w", Parking(NOW + 60, None, 1)))

    def test_a_yield_looks_at_no_entries(self, store: JournalStore) -> None:
        owned = self.owned(store)
        accepted(store.deliver(owned, Entry("k", "o", "d", "1"), NOW + 7))
        accepted(store.suspend(owned, "w", Parking(NOW, NOW, None)))

    def test_a_reused_id_is_not_suspended_by_its_predecessor(self, store: JournalStore) -> None:
        owned = self.owned(store)
        stale = replace(owned, run="r0")
        assert reason(store.suspend(stale, "w", Parking(NOW + 60, None, 0))) == "fenced"
        assert reason(store.suspend(replace(owned, gen=2), "w", Parking(NOW + 60, None, 0))) == "fenced"
        assert reason(store.complete(stale, "w", Ending("SUCCEEDED", NOW))) == "fenced"
        assert reason(store.deliver(stale, Entry("k", "o", "d", "1"), NOW)) == "unknown"

    # -- complete --------------------------------------------------------------------------------------------------

    def test_complete(self, store: JournalStore) -> None:
        owned = self.owned(store)
        got = accepted(store.complete(owned, "w", Ending("SUCCEEDED", NOW + 9, "[1]")))
        assert (got.status, got.lease, got.due, got.hint, got.finished, got.result, got.error) == (
            "SUCCEEDED", 0, None, None, NOW + 9, "[1]", None,
        )  # fmt: skip
        assert store.get("x") == got
        assert store.due(0, NOW + 10**9, 10) == []

    def test_complete_twice_is_one_success(self, store: JournalStore) -> None:
        owned = self.owned(store)
        ending = Ending("FAILED", NOW + 9, None, '{"e":1}')
        first = accepted(store.complete(owned, "w", ending))
        assert accepted(store.complete(owned, "w", ending)) == first

    def test_only_the_owner_completes(self, store: JournalStore) -> None:
        owned = self.owned(store)
        assert reason(store.complete(owned, "v", Ending("SUCCEEDED", NOW))) == "fenced"
        accepted(store.acquire("x", Lease("v", NOW + 2000, NOW + 3000)))
        assert reason(store.complete(owned, "w", Ending("SUCCEEDED", NOW))) == "fenced"
        there = store.get("x")
        assert there is not None
        assert there.status == "RUNNING"

    def test_the_first_ending_stands(self, store: JournalStore) -> None:
        owned = self.owned(store)
        accepted(store.complete(owned, "w", Ending("SUCCEEDED", NOW + 9, "1")))
        assert reason(store.complete(owned, "w", Ending("FAILED", NOW + 10, None, "2"))) == "fenced"
        there = store.get("x")
        assert there is not None
        assert (there.status, there.result, there.error) == ("SUCCEEDED", "1", None)

    # -- large values ----------------------------------------------------------------------------------------------

    def test_large_input_and_result(self, store: JournalStore) -> None:
        owned = self.owned(store, input=LARGE)
        loaded = store.load(owned.key)
        assert loaded is not None
        assert loaded.header.input == LARGE
        accepted(store.complete(owned, "w", Ending("SUCCEEDED", NOW + 9, LARGE)))
        there = store.get("x")
        assert there is not None
        assert (there.input, there.result, there.error) == (LARGE, LARGE, None)

    def test_large_errors(self, store: JournalStore) -> None:
        owned = self.owned(store)
        accepted(store.suspend(owned, "w", Parking(NOW + 60, None, 0, LARGE, 1)))
        there = store.get("x")
        assert there is not None
        assert there.error == LARGE
        owned = accepted(store.acquire("x", Lease("v", NOW + 2000, NOW + 3000)))
        accepted(store.complete(owned, "v", Ending("SUCCEEDED", NOW + 9, "1")))
        there = store.get("x")
        assert there is not None
        assert (there.result, there.error) == ("1", None), "the old error is gone"

    def test_a_large_input_of_a_start_that_loses_harms_nobody(self, store: JournalStore) -> None:
        store.create(header())
        assert reason(store.create(header(run="r2", input=LARGE))) == "held"
        there = store.get("x")
        assert there is not None
        assert there.input == '{"a":1}'

    # -- deliver ---------------------------------------------------------------------------------------------------

    def test_a_mark_lasts_its_time_whoever_removes_it(self, store: JournalStore) -> None:
        """Nobody has to come by: DynamoDB's TTL is days late, and a file may have no worker."""
        accepted(store.create(header()))
        there = accepted(store.acquire("x", Lease("o", NOW, NOW + 1000)))

        def send(number: int, writer: str, now: int) -> Header | Refusal:
            nonlocal there
            reply = store.deliver(there, Entry(f"S#{number}", writer, "", str(number)), now, once="a")
            there = reply if isinstance(reply, Header) else there
            return reply

        accepted(send(1, "first", NOW))
        assert reason(send(2, "second", NOW + MARK_S * 1000 - 1)) == "repeated"
        accepted(send(2, "third", NOW + MARK_S * 1000))
        assert reason(send(3, "second", NOW + MARK_S * 1000 + 1)) == "repeated"

    def test_deliver(self, store: JournalStore) -> None:
        owned = self.owned(store)
        accepted(store.suspend(owned, "w", Parking(None, None, 0)))
        sent = entry("k", "o", "1")
        got = accepted(store.deliver(owned, sent, NOW + 7))
        assert (got.n, got.due) == (1, NOW + 7)
        loaded = store.load(owned.key)
        assert loaded is not None
        assert {key: there[:4] for key, there in loaded.inbox.items()} == {"k": sent[:4]}
        assert (loaded.header.n, loaded.header.due) == (1, NOW + 7)

    def test_deliver_sets_due_also_when_one_is_set(self, store: JournalStore) -> None:
        owned = self.owned(store)
        accepted(store.suspend(owned, "w", Parking(NOW + 60_000, NOW + 60_000, 0)))
        accepted(store.deliver(owned, Entry("k", "o", "d", "1"), NOW + 7))
        there = store.get("x")
        assert there is not None
        assert there.due == NOW + 7
        accepted(store.acquire("x", Lease("v", NOW + 7, NOW + 99)))
        accepted(store.deliver(owned, Entry("k2", "o", "d", "1"), NOW + 8))
        there = store.get("x")
        assert there is not None
        assert (there.due, there.n) == (NOW + 8, 2), "also under a held lease"

    def test_an_entry_is_written_once(self, store: JournalStore) -> None:
        owned = self.owned(store)
        accepted(store.deliver(owned, Entry("k", "o", "d", "1"), NOW + 7))
        accepted(store.deliver(owned, Entry("k", "o", "other", "1"), NOW + 8))  # the same writer
        accepted(store.deliver(owned, Entry("k", "p", "d", "1"), NOW + 9))  # the same content
        assert reason(store.deliver(owned, Entry("k", "p", "d2", "2"), NOW + 9)) == "moved"
        loaded = store.load(owned.key)
        assert loaded is not None
        assert (loaded.header.n, loaded.header.due, loaded.inbox["k"].body) == (1, NOW + 7, "1")

    def test_a_signal_goes_before_none_that_was_accepted_earlier(self, store: JournalStore) -> None:
        """Its place among others is in its key, so it must be the place at which it is accepted."""
        owned = self.owned(store)
        first, second = Entry("signal/a/0/x", "o", "d1", "1"), Entry("signal/b/0/w", "p", "d2", "2")
        accepted(store.deliver(owned, first, NOW + 7))
        assert reason(store.deliver(owned, second, NOW + 8)) == "moved"
        accepted(store.deliver(owned, first, NOW + 9))  # sent twice
        accepted(store.deliver(owned, Entry("k", "o", "d", "1"), NOW + 9))  # of others the place is of no interest
        accepted(store.deliver(replace(owned, n=2), second._replace(key="signal/b/2/w"), NOW + 10))
        loaded = store.load(owned.key)
        assert loaded is not None
        assert (loaded.header.n, sorted(loaded.inbox)) == (3, ["k", "signal/a/0/x", "signal/b/2/w"])

    def test_nothing_is_delivered_to_what_is_finished(self, store: JournalStore) -> None:
        owned = self.owned(store)
        accepted(store.complete(owned, "w", Ending("SUCCEEDED", NOW + 9)))
        assert reason(store.deliver(owned, Entry("k", "o", "d", "1"), NOW + 10)) == "finished"
        loaded = store.load(owned.key)
        assert loaded is not None
        assert (loaded.inbox, loaded.header.n, loaded.header.due) == ({}, 0, None)
        assert reason(store.deliver(header("y"), Entry("k", "o", "d", "1"), NOW)) == "unknown"

    def test_many_deliver_and_all_count(self, store: JournalStore) -> None:
        owned = self.owned(store)
        together(8, lambda n: accepted(store.deliver(owned, Entry(f"k{n}", "o", str(n), "1"), NOW + n)))
        loaded = store.load(owned.key)
        assert loaded is not None
        assert loaded.header.n == len(loaded.inbox) == 8

    def test_a_cancel_sets_its_flag(self, store: JournalStore) -> None:
        owned = self.owned(store)
        got = accepted(store.deliver(owned, Entry("cancel/0", "o", "d", "Swhy"), NOW + 7))
        assert (got.cancel, got.n, got.due) == (True, 1, NOW + 7)
        assert reason(store.complete(owned, "w", Ending("SUCCEEDED", NOW + 9))) == "cancelled"
        accepted(store.complete(owned, "w", Ending("CANCELLED", NOW + 9, cancel_seen=True)))

    # -- decisions of the owner ------------------------------------------------------------------------------------

    def test_expire(self, store: JournalStore) -> None:
        owned = self.owned(store)
        got = accepted(store.expire(owned, "w", Entry("k", "w", "d", "T")))
        assert (got.n, got.due) == (1, NOW), "the owner knows: nobody has to be woken"
        assert accepted(store.expire(owned, "w", Entry("k", "w", "d", "T"))).run == "r1"
        assert reason(store.deliver(owned, Entry("k", "o", "d2", "S1"), NOW + 7)) == "moved", "too late"
        loaded = store.load(owned.key)
        assert loaded is not None
        assert (loaded.header.n, loaded.inbox["k"].body) == (1, "T")

    def test_a_completion_that_was_first_is_not_expired(self, store: JournalStore) -> None:
        owned = self.owned(store)
        accepted(store.deliver(owned, Entry("k", "o", "d2", "S1"), NOW + 7))
        assert reason(store.expire(owned, "w", Entry("k", "w", "d", "T"))) == "moved"
        loaded = store.load(owned.key)
        assert loaded is not None
        assert (loaded.header.n, loaded.inbox["k"].body) == (1, "S1")

    def test_only_the_owner_expires(self, store: JournalStore) -> None:
        owned = self.owned(store)
        assert reason(store.expire(owned, "v", Entry("k", "v", "d", "T"))) == "fenced"
        loaded = store.load(owned.key)
        assert loaded is not None
        assert (loaded.inbox, loaded.header.n) == ({}, 0)

    def test_decide(self, store: JournalStore) -> None:
        owned = self.owned(store)
        accepted(store.decide(owned, Segment(0, "w", "none came"), 0))
        accepted(store.decide(owned, Segment(0, "w", "none came"), 0))
        loaded = store.load(owned.key)
        assert loaded is not None
        assert loaded.segments == [Segment(0, "w", "none came")]

    def test_nothing_is_decided_while_something_is_unseen(self, store: JournalStore) -> None:
        owned = self.owned(store)
        accepted(store.deliver(owned, Entry("k", "o", "d", "S1"), NOW + 7))
        assert reason(store.decide(owned, Segment(0, "w", "none came"), 0)) == "moved"
        assert reason(store.decide(owned, Segment(0, "v", "none came"), 1)) == "fenced"
        store.append(owned, Segment(0, "v", "foreign"))
        assert reason(store.decide(owned, Segment(0, "w", "none came"), 1)) == "fenced"
        accepted(store.decide(owned, Segment(1, "w", "none came"), 1))

    # -- executions that wait for each other -----------------------------------------------------------------------

    def note(self, parent: Header) -> ParentNotice:
        return ParentNotice(parent.key, parent.fn, Entry("call/1/x", "w", "d", "S1"), NOW + 7)

    def test_an_end_is_told_to_who_waits_for_it(self, store: JournalStore) -> None:
        parent = self.owned(store, "p", "parent")
        accepted(store.suspend(parent, "p", Parking(None, None, 0)))
        owned = self.owned(store)
        for _ in range(2):  # the second time: after a lost reply
            got = accepted(store.complete(owned, "w", Ending("SUCCEEDED", NOW + 9, "1"), self.note(parent)))
            assert (got.status, got.result) == ("SUCCEEDED", "1")
        loaded = store.load(parent.key)
        assert loaded is not None
        assert (loaded.header.n, loaded.header.due, loaded.inbox["call/1/x"].body) == (1, NOW + 7, "S1")

    @pytest.mark.parametrize("how", ["finished", "gone", "another run", "timed out"])
    def test_an_end_is_an_end_although_nobody_waits_any_more(self, store: JournalStore, how: str) -> None:
        parent = self.owned(store, "p", "parent")
        note = self.note(parent)
        if how == "finished":
            accepted(store.complete(parent, "p", Ending("SUCCEEDED", NOW)))
        elif how == "gone":
            note = note._replace(waiting=Key("never", "r1", 1))
        elif how == "another run":
            note = note._replace(waiting=Key("parent", "r0", 1))
        else:
            accepted(store.expire(parent, "p", Entry("call/1/x", "p", "d2", "T")))
        owned = self.owned(store)
        assert accepted(store.complete(owned, "w", Ending("SUCCEEDED", NOW + 9, "1"), note)).status == "SUCCEEDED"
        there = store.get("parent")
        assert there is not None
        assert there.n == (how == "timed out")

    def test_a_fenced_owner_tells_nobody(self, store: JournalStore) -> None:
        parent = self.owned(store, "p", "parent")
        owned = self.owned(store)
        assert reason(store.complete(owned, "v", Ending("SUCCEEDED", NOW + 9), self.note(parent))) == "fenced"
        loaded = store.load(parent.key)
        assert loaded is not None
        assert (loaded.inbox, loaded.header.n) == ({}, 0)

    # -- ends and new beginnings -----------------------------------------------------------------------------------

    def test_terminate(self, store: JournalStore) -> None:
        owned = self.owned(store)
        store.append(owned, Segment(0, "w", "first"))
        ending = Ending("TERMINATED", NOW + 9, None, '{"type":"T","message":"m"}')
        assert reason(store.terminate(owned, ending, Segment(0, "t", "end"))) == "moved", "the log has grown"
        for _ in range(2):
            got = accepted(store.terminate(owned, ending, Segment(1, "t", "end")))
            assert (got.status, got.lease, got.due) == ("TERMINATED", 0, None)
        there = store.get("x")
        assert there is not None
        assert there.error == ending.error
        assert not store.append(owned, Segment(1, "w", "the owner's next")), "fenced"
        assert reason(store.complete(owned, "w", Ending("SUCCEEDED", NOW))) == "fenced"
        assert reason(store.terminate(owned, ending, Segment(2, "u", "end"))) == "finished"

    def test_a_terminated_ones_end_is_told_in_the_same_request(self, store: JournalStore) -> None:
        parent, owned = self.owned(store, "p", "parent"), self.owned(store)
        ending, note = Ending("TERMINATED", NOW + 9, None, '{"e":1}'), self.note(parent)
        store.append(owned, Segment(0, "w", "first"))
        assert reason(store.terminate(owned, ending, Segment(0, "t", "end"), note)) == "moved"
        waiting = store.load(parent.key)
        assert waiting is not None
        assert (waiting.inbox, waiting.header.n) == ({}, 0), "not terminated, nothing told"
        for _ in range(2):  # the second time: after a lost reply
            assert accepted(store.terminate(owned, ending, Segment(1, "t", "end"), note)).status == "TERMINATED"
        waiting = store.load(parent.key)
        assert waiting is not None
        assert (list(waiting.inbox), waiting.header.n, waiting.header.due) == (["call/1/x"], 1, NOW + 7)

    @pytest.mark.parametrize("told", [False, True])
    def test_it_is_terminated_although_nobody_waits_any_more(self, store: JournalStore, told: bool) -> None:
        parent, owned = self.owned(store, "p", "parent"), self.owned(store)
        if told:
            accepted(store.deliver(parent, Entry("call/1/x", "other", "d2", "F"), NOW))
        else:
            accepted(store.complete(parent, "p", Ending("SUCCEEDED", NOW)))
        got = store.terminate(owned, Ending("TERMINATED", NOW + 9), Segment(0, "t", "end"), self.note(parent))
        assert accepted(got).status == "TERMINATED"
        waiting = store.get("parent")
        assert waiting is not None
        assert waiting.n == told

    def test_somebody_begins_to_wait(self, store: JournalStore) -> None:
        owned = self.owned(store)
        before = store.get("x")
        for _ in range(2):
            assert accepted(store.set_parent(owned, "first")).parent == "first"
        there = store.get("x")
        assert there is not None
        assert replace(there, parent=None) == before, "nothing else has changed"
        assert reason(store.set_parent(owned, "second")) == "moved", "who asks has not seen the first"
        assert accepted(store.set_parent(there, "second")).parent == "second"
        assert reason(store.set_parent(replace(owned, run="r0"), "third")) == "unknown"
        assert reason(store.set_parent(header("never"), "third")) == "unknown"

    def test_an_end_does_not_overlook_who_began_to_wait(self, store: JournalStore) -> None:
        parent = self.owned(store, "p", "parent")
        owned = self.owned(store)
        adopted = accepted(store.set_parent(owned, "first"))
        refused = store.complete(owned, "w", Ending("SUCCEEDED", NOW + 9, "1"))
        assert (reason(refused), refused.header and refused.header.parent) == ("moved", "first")  # type: ignore[union-attr]
        assert reason(store.terminate(owned, Ending("TERMINATED", NOW), Segment(0, "t", "end"))) == "moved"
        for _ in range(2):
            got = accepted(store.complete(adopted, "w", Ending("SUCCEEDED", NOW + 9, "1"), self.note(parent)))
            assert got.status == "SUCCEEDED"
        assert reason(store.set_parent(adopted, "second")) == "finished"
        waiting = store.load(parent.key)
        assert waiting is not None
        assert list(waiting.inbox) == ["call/1/x"]

    def test_entries_left_before_there_is_a_header(self, store: JournalStore) -> None:
        made = header(n=7, gone=5, turns=1)
        entries = [Entry("signal/a/1/x", "w", "d", "1"), Entry("callback/1/y", "w", "d", "S2")]
        store.leave(made, entries)
        assert store.get("x") is None
        assert store.load(made.key) is None
        accepted(store.create(made))
        loaded = store.load(made.key)
        assert loaded is not None
        assert {key: entry.body for key, entry in loaded.inbox.items()} == {"signal/a/1/x": "1", "callback/1/y": "S2"}
        assert (loaded.header.n, loaded.header.gone) == (7, 5)

    def test_revive(self, store: JournalStore) -> None:
        owned = self.owned(store)
        assert reason(store.revive(owned, Segment(0, "c", "rewind"), NOW)) == "live"
        accepted(store.deliver(owned, Entry("cancel/0", "o", "d", "S"), NOW + 1))
        accepted(store.complete(owned, "w", Ending("FAILED", NOW + 9, None, '{"e":1}', cancel_seen=True)))
        for _ in range(2):
            got = accepted(store.revive(owned, Segment(0, "c", "rewind"), NOW + 20))
            assert (got.status, got.due, got.error, got.finished, got.cancel, got.ttl) == (
                "PENDING", NOW + 20, None, None, False, owned.horizon,
            )  # fmt: skip
        again = accepted(store.acquire("x", Lease("v", NOW + 21, NOW + 99)))
        assert (again.status, again.prev_lease) == ("RUNNING", 0)

    def test_only_the_function_itself_acquires(self, store: JournalStore) -> None:
        """A message that names another function must not have its code run on this journal."""
        accepted(store.create(header()))
        for _ in range(2):
            refused = store.acquire("x", Lease("w", NOW, NOW + 99, "g"))
            assert reason(refused) == "unknown"
        there = store.get("x")
        assert there is not None
        assert (there.status, there.own) == ("PENDING", "")
        assert accepted(store.acquire("x", Lease("w", NOW, NOW + 99, "f"))).own == "w"

    def test_renew(self, store: JournalStore) -> None:
        owned = self.owned(store)
        store.append(owned, Segment(0, "w", "old"))
        keys = ("signal/a", "signal/b", "signal/c", "callback/1/x", "call/2/y", "cancel/0")
        for n, key in enumerate(keys):
            accepted(store.deliver(replace(owned, n=n), Entry(key, "o", key, "S1"), NOW + 1))
        renewal = Renewal(
            "[2]", Segment(0, "w", "new"), ("signal/a", "signal/b"), ("callback/1/x",), 6, NOW + 5, None, 77
        )
        assert reason(store.renew(owned, "v", renewal)) == "fenced"
        for _ in range(2):
            got = accepted(store.renew(owned, "w", renewal))
            assert (got.gen, got.gone, got.n, got.status, got.due, got.lease) == (2, 3, 6, "PENDING", NOW + 5, 0)
            assert (got.input, got.input_hash, got.horizon, got.ttl, got.cancel) == ("[2]", "h", 77, 77, True)
        assert store.load(owned.key) is None
        loaded = store.load(got.key)
        assert loaded is not None
        assert (loaded.segments, sorted(loaded.inbox)) == (
            [Segment(0, "w", "new")], ["call/2/y", "cancel/0", "signal/c"],
        )  # fmt: skip

    def test_renew_ends_a_cancellation_that_was_raised(self, store: JournalStore) -> None:
        owned = self.owned(store)
        accepted(store.deliver(owned, Entry("cancel/0", "o", "d", ""), NOW + 1))
        renewal = Renewal("[2]", Segment(0, "w", "new"), (), (), 1, NOW + 5, None, 77, uncancelled=True)
        assert not accepted(store.renew(owned, "w", renewal)).cancel

    def test_what_an_older_generation_waited_for_is_not_read(self, store: JournalStore) -> None:
        """Its deletion may have been cut short."""
        owned = self.owned(store)
        for n, key in enumerate(("callback/1/x", "beat/1/x/1", "call/1/x", "signal/1")):
            accepted(store.deliver(replace(owned, n=n), Entry(key, "o", key, "S1"), NOW + 1))
        renewal = Renewal("[2]", Segment(0, "w", "new"), (), (), 4, NOW + 5, None, 77)
        loaded = store.load(accepted(store.renew(owned, "w", renewal)).key)
        assert loaded is not None
        assert list(loaded.inbox) == ["signal/1"]

    def test_a_signal_that_comes_while_renewing_is_not_lost(self, store: JournalStore) -> None:
        owned = self.owned(store)
        accepted(store.deliver(owned, Entry("a", "o", "a", "S1"), NOW + 1))
        renewal = Renewal("[2]", Segment(0, "w", "new"), (), (), 0, NOW + 5, None, 77)
        assert reason(store.renew(owned, "w", renewal)) == "moved"
        there = store.get("x")
        assert there is not None
        assert (there.gen, there.status) == (1, "RUNNING")

    def test_a_stale_owner_that_goes_on_as_new_deletes_nothing(self, store: JournalStore) -> None:
        """Its own log is forgotten, so what it appends is not refused, and it may think that it consumed what others did not."""
        stale = self.owned(store)
        owned = accepted(store.acquire("x", Lease("v", NOW + 1001, NOW + 2000)))
        accepted(store.deliver(owned, Entry("signal/1", "o", "d", "1"), NOW + 1002))
        accepted(store.renew(owned, "v", Renewal("2", Segment(0, "v", "new"), (), (), 1, NOW + 1003, None, 77)))
        for many in (1, 200):
            used = ("signal/1", *(f"signal/0{n}" for n in range(1, many)))
            store.renew(stale, "w", Renewal("2", Segment(0, "w", "new"), used, (), 1, NOW + 1004, None, 77))
        loaded = store.load(stale.key._replace(gen=2))
        assert loaded is not None
        assert list(loaded.inbox) == ["signal/1"]

    def test_a_generation_that_consumed_more_signals_than_a_transaction_takes(self, store: JournalStore) -> None:
        """More than one transaction of DynamoDB takes."""
        owned, keys = self.owned(store), tuple(f"signal/{n:04}" for n in range(110))
        for n, key in enumerate(keys):
            accepted(store.deliver(replace(owned, n=n), Entry(key, "o", str(n), "1"), NOW + 1))
        renewal = Renewal("2", Segment(0, "w", "new"), keys[:-1], (), len(keys), NOW + 5, None, 77)
        got = accepted(store.renew(owned, "w", renewal))
        assert (got.gen, got.n, got.gone) == (2, 110, 109)
        loaded = store.load(got.key)
        assert loaded is not None
        assert list(loaded.inbox) == [keys[-1]]

    def test_renew_with_a_large_input(self, store: JournalStore) -> None:
        owned = self.owned(store, input=LARGE)
        renewal = Renewal(LARGE + " ", Segment(0, "w", "new"), (), (), 0, NOW + 5, None, 77)
        accepted(store.renew(owned, "w", renewal))
        there = store.get("x")
        assert there is not None
        assert there.input == LARGE + " "

    def test_a_repeated_purge_leaves_the_next_execution_of_the_id_alone(self, store: JournalStore) -> None:
        owned = self.owned(store)
        accepted(store.complete(owned, "w", Ending("FAILED", NOW, cancel_seen=True)))
        retired = accepted(store.retire(owned))
        store.remove(retired)
        accepted(store.create(header(run="r2")))
        store.remove(retired)
        there = store.get("x")
        assert there is not None
        assert there.run == "r2"

    def test_a_stale_owner_does_not_replace_the_result(self, store: JournalStore) -> None:
        owned = self.owned(store)
        accepted(store.acquire("x", Lease("v", NOW + 2000, NOW + 9000)))
        accepted(store.complete(owned, "v", Ending("SUCCEEDED", NOW, LARGE)))
        assert reason(store.complete(owned, "w", Ending("SUCCEEDED", NOW, LARGE + " "))) == "fenced"
        there = store.get("x")
        assert there is not None
        assert there.result == LARGE

    def test_who_ended_it_does_not_end_it_again_after_a_redrive(self, store: JournalStore) -> None:
        """The reply was lost, somebody redrove it meanwhile, and the request comes again."""
        owned = self.owned(store)
        ending = Ending("FAILED", NOW + 1, error="{}")
        accepted(store.complete(owned, "w", ending))
        accepted(store.revive(owned, Segment(0, "c", "rewind"), NOW + 20))
        assert reason(store.complete(owned, "w", ending)) == "fenced"
        assert reason(store.suspend(owned, "w", Parking(None, 0, 0))) == "fenced"
        there = store.get("x")
        assert there is not None
        assert (there.status, there.own, there.due) == ("PENDING", "", NOW + 20)

    def test_what_never_ran_has_run_once_it_is_revived(self, store: JournalStore) -> None:
        """Its log has a line that the first turn must read."""
        made = accepted(store.create(header()))
        accepted(store.terminate(made, Ending("TERMINATED", NOW), Segment(0, "t", "end")))
        assert accepted(store.revive(made, Segment(1, "c", "rewind"), NOW)).turns == 1

    def test_purge(self, store: JournalStore) -> None:
        owned = self.owned(store, input=LARGE)
        store.append(owned, Segment(0, "w", "line"))
        accepted(store.deliver(owned, Entry("a", "o", "a", "S1"), NOW + 1))
        assert reason(store.retire(owned)) == "live"
        accepted(store.complete(owned, "w", Ending("FAILED", NOW, None, LARGE, cancel_seen=True)))
        retired = accepted(store.retire(owned))
        assert reason(store.revive(owned, Segment(1, "c", "rewind"), NOW)) == "unknown", "nothing goes on from here"
        for _ in range(2):
            store.remove(retired)
        assert store.get("x") is None
        assert store.load(owned.key) is None
        assert store.create(header(run="r2")) == header(run="r2"), "the id is free"

    # -- retention -------------------------------------------------------------------------------------------------

    def test_a_copy_of_the_log_counts_with_the_suspend_that_names_it(self, store: JournalStore) -> None:
        owned = self.owned(store, input=LARGE, horizon=1000)
        log = [Segment(n, f"w{n}", f"line {n}") for n in range(5)]
        for segment in log:
            store.append(owned, segment)
        accepted(store.deliver(owned, Entry("signal/1", "o", "d", "S1"), NOW + 1))
        snapshot = Snapshot("e1", 5, 2000)
        store.keep(owned, Snapshot("other", 5, 1500), packed_log(log[:1]), [])
        store.keep(owned, snapshot, packed_log(log), [Entry("signal/1", "o", "d", "S1")])
        before = store.load(owned.key)
        assert before is not None
        assert (before.segments, before.header.horizon) == (log, 1000), "nobody sees it yet"
        parking = Parking(NOW + 50, None, 1, timer=0, snapshot=snapshot)
        parked = accepted(store.suspend(owned, "w", parking))
        assert (parked.horizon, parked.ttl, parked.timer, parked.edition, parked.copied) == (2000, 2000, 0, "e1", 5)
        mine = accepted(store.acquire("x", Lease("v", NOW + 60, NOW + 99)))
        more = Segment(5, "v", "line 5")
        assert store.append(mine, more)
        after = store.load(owned.key)
        assert after is not None
        assert (after.segments, after.header.input, list(after.inbox)) == ([*log, more], LARGE, ["signal/1"])
        assert not store.append(owned, Segment(3, "w", "a stale owner's"))
        assert not store.append(owned, Segment(5, "w", "a stale owner's")), "the numbers go on: it is fenced"

    def test_a_finished_one_goes_when_its_retention_is_over(self, store: JournalStore) -> None:
        for end in ("complete", "terminate"):
            owned = self.owned(store, id=end, retention=50, horizon=NOW)
            ending = Ending("FAILED", NOW + 5000)
            if end == "complete":
                got = accepted(store.complete(owned, "w", ending))
            else:
                got = accepted(store.terminate(owned, ending, Segment(0, "t", "end")))
            assert (got.ttl, got.horizon) == (NOW // 1000 + 55, NOW)

    def test_what_comes_from_outside_takes_the_place_of_a_keeping_time(self, store: JournalStore) -> None:
        owned = self.owned(store)
        accepted(store.suspend(owned, "w", Parking(NOW + 500, None, 0, timer=0)))
        got = accepted(store.deliver(owned, Entry("signal/1", "o", "d", "S1"), NOW + 1))
        there = store.get("x")
        assert there is not None
        assert (there.due, there.timer) == (NOW + 1, None)
        assert got.due == NOW + 1
        accepted(
            store.suspend(
                accepted(store.acquire("x", Lease("v", NOW + 2, NOW + 9))), "v", Parking(NOW + 500, None, 1, timer=7)
            )
        )
        assert accepted(store.postpone("x", NOW + 500, NOW + 600, NOW + 700)).timer is None

    # -- the due index ---------------------------------------------------------------------------------------------

    def all_due(self, store: JournalStore, now: int, limit: int = 100) -> list[tuple[str, int]]:
        return sorted((row.due, row.id) for shard in range(store.shards) for row in store.due(shard, now, limit))  # type: ignore[misc]

    def test_due(self, store: JournalStore) -> None:
        for n in range(5):
            store.create(header(f"id-{n}", due=NOW + n))
        store.create(header("never", due=None))
        assert self.all_due(store, NOW + 2) == [(NOW, "id-0"), (NOW + 1, "id-1"), (NOW + 2, "id-2")]
        rows = [row for shard in range(store.shards) for row in store.due(shard, NOW + 9, 1)]
        assert len(rows) <= store.shards, "the limit is kept"

    def test_postpone(self, store: JournalStore) -> None:
        store.create(header())
        got = accepted(store.postpone("x", NOW, NOW + 5, NOW + 2005))
        assert (got.due, got.hint, got.tries, got.status) == (NOW + 2005, NOW + 5, 1, "PENDING")
        assert accepted(store.postpone("x", NOW, NOW + 5, NOW + 2005)).tries == 1, "my own after a lost reply"
        assert reason(store.postpone("x", NOW, NOW + 6, NOW + 2006)) == "moved", "a second sweeper, or a stale index"
        assert store.postpone("y", NOW, NOW, NOW) == Refusal("unknown", None)
        again = accepted(store.postpone("x", NOW + 2005, NOW + 2010, NOW + 9000))
        assert (again.due, again.hint, again.tries) == (NOW + 9000, NOW + 2010, 2)

    def test_what_was_woken_can_be_taken_before_the_next_look(self, store: JournalStore) -> None:
        """Its time has come: a message that took long to arrive must not be too early."""
        store.create(header())
        accepted(store.postpone("x", NOW, NOW + 5, NOW + 2005))
        assert reason(store.acquire("x", Lease("w", NOW + 4, NOW + 9))) == "early"
        taken = accepted(store.acquire("x", Lease("w", NOW + 5, NOW + 9)))
        assert (taken.tries, taken.due) == (1, NOW + 2005)

    def test_a_wait_begins_the_tries_anew(self, store: JournalStore) -> None:
        store.create(header())
        accepted(store.postpone("x", NOW, NOW + 5, NOW + 2005))
        owned = accepted(store.acquire("x", Lease("w", NOW + 6, NOW + 900)))
        held = accepted(store.suspend(owned, "w", Parking(NOW + 50, NOW + 50, 0, error="{}", strikes=1)))
        assert (held.tries, held.held) == (1, True), "no progress was made"
        owned = accepted(store.acquire("x", Lease("v", NOW + 60, NOW + 900)))
        parked = accepted(store.suspend(owned, "v", Parking(NOW + 70, NOW + 70, 0)))
        assert (parked.tries, parked.held) == (0, False)

    def test_an_owner_that_could_not_write_gives_it_back(self, store: JournalStore) -> None:
        owned = self.owned(store)
        for _ in range(2):  # the second time: after a lost reply
            given = accepted(store.release(owned, "w", NOW + 20, '"why"'))
            assert (given.status, given.lease, given.due, given.hint) == ("SUSPENDED", 0, NOW + 20, NOW + 20)
            assert (given.tries, given.held, given.error) == (1, True, '"why"')
        assert reason(store.acquire("x", Lease("v", NOW + 19, NOW + 900))) == "early"
        taken = accepted(store.acquire("x", Lease("v", NOW + 20, NOW + 900)))
        assert (taken.prev_lease, taken.doubtful) == (0, 1), "its last write may still come"
        assert reason(store.release(owned, "w", NOW + 99, '""')) == "fenced"
        done = accepted(store.complete(taken, "v", Ending("SUCCEEDED", NOW + 21)))
        assert not done.held

    def test_a_written_segment_begins_the_tries_anew(self, store: JournalStore) -> None:
        store.create(header())
        accepted(store.postpone("x", NOW, NOW + 5, NOW + 2005))
        owned = accepted(store.acquire("x", Lease("w", NOW + 6, NOW + 900)))
        for _ in range(2):
            moved = accepted(store.progressed(owned, "w"))
            assert (moved.tries, moved.due, moved.lease) == (0, NOW + 901, NOW + 900), "looked at when the lease ends"
        assert reason(store.progressed(owned, "other")) == "fenced"

    def test_an_entry_takes_the_place_of_an_older_one(self, store: JournalStore) -> None:
        """What is replaced is gone, so that what the header counts can still be found."""
        made = accepted(store.create(header()))
        one, other = entry("beat/1/x", "w", "1"), entry("beat/1/x", "v", "2")
        assert store.entry(made.key, "beat/1/x") is None
        first = accepted(store.beat(made, one, NOW + 1))
        assert (first.n, first.gone, first.due) == (1, 0, NOW + 1)
        there = store.entry(made.key, "beat/1/x")
        assert there is not None
        assert there[:4] == one[:4]
        second = accepted(store.beat(first, other, NOW + 2))
        assert (second.n, second.gone, second.due) == (2, 1, NOW + 2)
        loaded = store.load(made.key)
        assert loaded is not None
        assert [entry.body for entry in loaded.inbox.values()] == ["2"]
        assert (loaded.header.n, loaded.header.gone) == (2, 1)
        owned = accepted(store.acquire("x", Lease("w", NOW + 3, NOW + 900)))
        accepted(store.complete(owned, "w", Ending("SUCCEEDED", NOW + 4)))
        assert reason(store.beat(owned, one, NOW + 5)) == "finished"

    def test_a_head_reads_no_value(self, store: JournalStore) -> None:
        made = header(input=LARGE)
        store.create(made)
        there = store.head("x")
        assert there is not None
        assert store.unsealed(there) == replace(made, input=None)
        assert store.head("y") is None

    def test_pages_of_what_is_due(self, store: JournalStore) -> None:
        ids = [f"id-{n:02}" for n in range(25)]
        for n, id in enumerate(ids):
            store.create(header(id, due=NOW + n // 3))
        found: list[str] = []
        for shard in range(store.shards):
            rows = store.due(shard, NOW + 99, 2)
            while rows:
                found += [row.id for row in rows]
                rows = store.due(shard, NOW + 99, 2, after=rows[-1])
        assert sorted(found) == ids

    def test_postpone_goes_around_a_held_lease(self, store: JournalStore) -> None:
        self.owned(store)
        assert reason(store.postpone("x", NOW, NOW + 5, NOW + 2005)) == "held"
        there = store.get("x")
        assert there is not None
        assert (there.due, there.lease, there.own) == (NOW + 1001, NOW + 1000, "w")

    def test_what_is_finished_is_not_postponed(self, store: JournalStore) -> None:
        owned = self.owned(store)
        accepted(store.complete(owned, "w", Ending("SUCCEEDED", NOW + 9)))
        assert reason(store.postpone("x", NOW, NOW + 2000, NOW + 4000)) == "finished"
        there = store.get("x")
        assert there is not None
        assert there.due is None

    def test_many_postpone_and_one_wins(self, store: JournalStore) -> None:
        store.create(header())
        replies = together(8, lambda n: store.postpone("x", NOW, NOW + 5, NOW + 2000 + n))
        assert sum(isinstance(reply, Header) for reply in replies) == 1

    # -- functions -----------------------------------------------------------------------------------------------

    def test_functions(self, store: JournalStore) -> None:
        assert store.locate("f") is None
        store.register("f", "q1")
        store.register("f", "q1")
        store.register("g", "q2")
        assert (store.locate("f"), store.locate("g")) == ("q1", "q2")
        store.register("f", "q3")
        assert store.locate("f") == "q3"

    # -- hostile text ----------------------------------------------------------------------------------------------

    @given(id=st.text(min_size=1, max_size=60), body=st.text(max_size=200), key=st.text(min_size=1, max_size=40))
    @settings(
        max_examples=40,
        deadline=None,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.differing_executors,
            HealthCheck.too_slow,
        ],
    )
    def test_any_text_comes_back(self, store: JournalStore, id: str, body: str, key: str) -> None:
        """Ids are checked before they come here; a store must not depend on that. A surrogate is no text."""
        try:
            (id + body + key).encode()
        except UnicodeEncodeError:
            return
        if store.get(id) is not None:
            return
        owned = self.owned(store, id=id, input=body)
        assert store.append(owned, Segment(0, "w", body + "."))
        accepted(store.deliver(owned, entry(key, "o", body), NOW))
        loaded = store.load(owned.key)
        assert loaded is not None
        assert (loaded.segments, loaded.header.input) == ([Segment(0, "w", body + ".")], body)
        assert {k: e[:4] for k, e in loaded.inbox.items()} == {key: entry(key, "o", body)[:4]}
        accepted(store.complete(owned, "w", Ending("SUCCEEDED", NOW, body)))
        there = store.get(id)
        assert there is not None
        assert there.result == body


def together(count: int, action: Callable[[int], Any]) -> list[Any]:
    """The action in so many threads at the same moment."""
    barrier = threading.Barrier(count)
    replies: list[Any] = [None] * count

    def run(n: int) -> None:
        barrier.wait()
        replies[n] = action(n)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return replies
