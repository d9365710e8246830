"""Somebody begins to wait for an execution that comes to its end meanwhile: every order of the requests of all who take part,
with replies that are lost, on the real journal. Whoever waits is told."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from typing import Any, TypeAlias

import pytest

from durable_fn.backends.sqlite import SQLiteStore
from durable_fn.log.events import Segment
from durable_fn.log.header import Header, Refusal
from durable_fn.log.requests import Ending, Lease
from durable_fn.runtime.calls import notice_of, parent_text

NOW = 1_000_000
Actor: TypeAlias = Generator[Callable[[], Any], Any, str]
"""Yields its requests, one by one; gives what it knows in the end."""


def header(id: str) -> Header:
    return Header(id, "f", f"{id:0>16}", "s", "PENDING", NOW, 99, "h", input="1", due=NOW, turns=0)


def caller(store: SQLiteStore, parent: Header) -> Actor:
    """What `launch` asks for an execution that is there."""
    wanted = parent_text(parent, "call/1/k", "k")
    there = yield lambda: store.get("kid")
    while there.live and there.parent != wanted:
        reply = yield lambda seen=there: store.set_parent(seen, wanted)
        there = reply if isinstance(reply, Header) else reply.header
    return "waits" if there.live else "knows"


def owner(store: SQLiteStore, kid: Header) -> Actor:
    """What `Invocation` asks at the end of a handler. It knows the header that it took the execution with."""
    ending = Ending("SUCCEEDED", NOW + 9, "7")
    while True:
        ended = replace(kid, status="SUCCEEDED", result="7")
        note = None if kid.parent is None else notice_of(ended, "w", NOW + 9)
        reply = yield lambda kid=kid, note=note: store.complete(kid, "w", ending, note)
        if not isinstance(reply, Refusal) or reply.reason != "moved" or reply.header is None:
            return "ended"
        kid = replace(kid, parent=reply.header.parent)


def killer(store: SQLiteStore) -> Actor:
    """What `DurableClient.terminate` asks."""
    ending = Ending("TERMINATED", NOW + 9)
    while True:
        there = yield lambda: store.get("kid")
        note = None if there.parent is None else notice_of(replace(there, status="TERMINATED"), "t", NOW + 9)
        tombstone = Segment(0, "t", "end")
        reply = yield lambda there=there, note=note: store.terminate(there, ending, tombstone, note)
        if isinstance(reply, Header) or reply.reason == "finished":
            return "ended"


class Run:
    """One order of the requests. `twice`: the number of the request whose reply is lost, so that it is sent again."""

    def __init__(self, enders: tuple[str, ...], twice: int | None) -> None:
        self.store = SQLiteStore(":memory:", synchronous="off")
        self.store.create(header("parent"))
        self.store.create(header("kid"))
        kid = self.store.acquire("kid", Lease("w", NOW, NOW + 99))
        assert isinstance(kid, Header)
        self.actors: dict[str, Actor] = {"caller": caller(self.store, header("parent"))}
        if "owner" in enders:
            self.actors["owner"] = owner(self.store, kid)
        if "killer" in enders:
            self.actors["killer"] = killer(self.store)
        self.asked = {name: next(actor) for name, actor in self.actors.items()}
        self.told: dict[str, str] = {}
        self.twice = twice
        self.count = 0

    def step(self, name: str) -> None:
        request = self.asked.pop(name)
        reply = request()
        if self.count == self.twice:
            reply = request()
        self.count += 1
        try:
            self.asked[name] = self.actors[name].send(reply)
        except StopIteration as stop:
            self.told[name] = stop.value

    def check(self) -> None:
        kid, parent = self.store.get("kid"), self.store.load(header("parent").key)
        assert kid is not None
        assert parent is not None
        assert not kid.live
        if self.told["caller"] == "waits":
            assert list(parent.inbox) == ["call/1/k"], "it waits, and nobody tells it"
            assert parent.header.n == 1


def orders(enders: tuple[str, ...], twice: int | None) -> Iterator[list[str]]:
    """All of them, depth first: each is walked from its beginning, for the journal cannot go back."""
    stack: list[list[str]] = [[]]
    while stack:
        taken = stack.pop()
        run = Run(enders, twice)
        for name in taken:
            run.step(name)
        if not run.asked:
            run.check()
            yield taken
        stack += [[*taken, name] for name in sorted(run.asked)]
        run.store.close()


@pytest.mark.parametrize("enders", [("owner",), ("killer",), ("owner", "killer")], ids="+".join)
def test_whoever_waits_is_told_in_every_order(enders: tuple[str, ...]) -> None:
    found = [order for twice in (None, *range(6)) for order in orders(enders, twice)]
    assert len({tuple(order) for order in found}) >= 3
