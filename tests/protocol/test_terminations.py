"""An execution is terminated while its owner is between two requests: from then on nothing of it runs, and nothing is written."""

from __future__ import annotations

from typing import Any

import pytest

from durable_fn import DurableClient, DurableContext, durable
from durable_fn.backends.ports import Loaded
from tests.intercepted import Bench

RAN: list[int] = []


@durable(name="works")
def works(event: Any, ctx: DurableContext) -> int:
    for n in range(3):
        ctx.step(RAN.append, n)
        ctx.sleep(100)
    return 3


@pytest.fixture
def bench() -> Bench:
    """It has run once, and is due."""
    RAN.clear()
    bench = Bench(works)
    bench.start()
    bench.resume()
    bench.clock.sleep(101)
    return bench


def terminated(bench: Bench) -> None:
    bench.store.before.clear()
    before, bench.store.after = bench.store.after, {}
    DurableClient(bench.backend).terminate("x")
    bench.store.after = before


def test_between_its_acquisition_and_its_load(bench: Bench) -> None:
    """The tombstone is read along, so nothing that is written behind it would be refused."""
    bench.store.before["load"] = lambda *_: terminated(bench)
    bench.resume()
    assert RAN == [0]
    assert bench.header().status == "TERMINATED"
    assert bench.bodies()[-1].startswith("\tfence"), "the tombstone is the last"


def test_a_header_that_was_read_before_the_tombstone(bench: Bench) -> None:
    """A query is isolated item by item only."""

    def torn(key: Any) -> Loaded:
        first = bench.sqlite.load(key)
        assert first is not None
        terminated(bench)
        then = bench.sqlite.load(key)
        assert then is not None
        return Loaded(first.header, then.tail, then.inbox)

    bench.store.after["load"] = torn
    bench.resume()
    assert RAN == [0]
    assert bench.bodies()[-1].startswith("\tfence")


def test_before_a_write_its_owner_is_fenced(bench: Bench) -> None:
    bench.store.before["append"] = lambda *_: terminated(bench)
    bench.resume()
    assert RAN == [0, 1], "the body that was in flight"
    assert bench.bodies()[-1].startswith("\tfence")


def test_a_fence_of_an_owner_that_died_stops_nobody(bench: Bench) -> None:
    class Killed(BaseException):
        pass

    def dies(*_: Any) -> None:
        raise Killed

    for point in ("suspend", "append"):
        bench.store.before[point] = dies
        with pytest.raises(Killed):
            bench.resume()
        bench.clock.sleep(200)
    bench.resume()
    assert bench.header().status == "SUSPENDED"
    assert RAN[-1] in (1, 2)
