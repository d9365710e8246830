"""Who asked for an operation with a key: what a redrive and a fork read out of the log."""

from __future__ import annotations

import pytest

from durable_fn.log.consequences import begun_anew, consequences
from durable_fn.log.events import BEGUN, FAILED, NO_PLACE, SUCCEEDED, Event, parse
from durable_fn.log.journal import Record, Seed
from durable_fn.log.origins import Cause
from durable_fn.log.trails import Trails, trail


def keyed(id: str, asked: str, status: str = SUCCEEDED, kind: str = "step", value: str = "") -> Event:
    return Event(id, kind, NO_PLACE, status, 1, 1000, 0, value, asked)


@pytest.mark.parametrize(
    ("id", "walked"),
    [
        ("", ""), ("a", "a"), ("~1/a", "~1/a"), ("a:k", "~2/a:k"), ("a:k/", "~2/a:k/"), ("a:k/b", "~2/a:k/b"),
        ("a:k/~1/b", "~2/a:k/~1/b"), ("a:k/b:k", "~2/a:k/~1/~3/b:k"), ("x:k", "x:k"), ("map/0/a:k", "map/0/a:k"),
    ],
)  # fmt: skip
def test_the_trail_of_an_id(id: str, walked: str) -> None:
    asked = {"a:k": "~2/", "a:k/b:k": "~1/~3/"}
    assert trail(id, asked) == walked
    trails = Trails([keyed("a:k", "~2/:0"), keyed("a:k/b:k", "~1/~3/:7"), keyed("x:k", ":1")])
    assert trails.of(id) == walked
    assert trails.id_of(walked) == id


def test_who_asked_last_counts() -> None:
    trails = Trails([keyed("a:k", "~2/:0", BEGUN), keyed("a:k", "~1/:0")])
    assert trails.of("a:k") == "~1/a:k"


def test_what_ran_in_another_task_is_no_consequence() -> None:
    events = [
        keyed("a:1", "~1/:0", FAILED),
        keyed("a:2", "~2/:0"),
        keyed("a:3", "~3/:0"),
        keyed("a:4", "~1/:0"),
        keyed("a:5", ":0"),
    ]
    assert consequences(events, [Cause("a:1", (("", 2),))]) == ({0, 2, 3, 4}, {1}, {"a:1"})


def test_a_beginning_that_stays_says_who_asked() -> None:
    anew = begun_anew([keyed("a:1", "~1/:3", BEGUN, "callback")], set(), {"a:1"}, at=5000)
    assert parse(anew[0].line()).asked == "~1/:3"


def test_how_far_draws_reach() -> None:
    seed = Seed("s", {}, {})
    for event in (
        keyed("a:1", ":2"),
        keyed("a:2", "~1/:1"),
        keyed("a:3", ":1"),
        Event("b", "step", 4, SUCCEEDED, 1, 0),
    ):
        seed.reach(Record(event))
    seed.reach(Record(Event("$patch p", "patch", NO_PLACE, SUCCEEDED, 1, 0)))
    assert (seed.positions, seed.draws) == ({"": 4}, {"": 2, "~1/": 1})
    assert seed.covers("", 5, 2)
    assert seed.covers("", 4, 9)
    assert not seed.covers("", 5, 3)
    assert seed.covers("~1/", 3, 1)
    assert not seed.covers("~1/", 0, 2)
    assert not seed.covers("poll/", 0, 0), "a scope that nothing is recorded of"
