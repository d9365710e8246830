"""One bad day, and what must be true when it is over."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from durable_fn.testing.cloud import LocalCloud

from .programs import FUNCTIONS, LEDGER, a_order, fresh, order, rounds
from .skew import SkewedCloud
from .weather import Weather

_HOUR = 3600
TICKS = ["t0", "t1", "t2"]


class World:
    """Of one seed. `run` gives the faults that happened; AssertionError names what was broken."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._chance = random.Random(seed + 1)

    def run(self) -> dict[str, int]:
        fresh()
        skewed = self._seed if self._chance.random() < 0.7 else 0
        with SkewedCloud(skewed, bucket=True, shards=2, timeout=60) as cloud:
            for function in FUNCTIONS:
                cloud.attach(function)
            weather = Weather(cloud, self._seed)
            with weather.open():
                self._bad_day(cloud, weather)
                weather.clear()
                cloud.advance(8 * _HOUR)
            for id in ("def", "async"):
                self._check_order(cloud, weather, id)
            self._check_rounds(cloud)
            return weather.faults

    def _bad_day(self, cloud: LocalCloud, weather: Weather) -> None:
        started = [
            (order, "def", "def"),
            (a_order, "async", "async"),
            (rounds, {"id": "r", "got": [], "values": []}, "r"),
        ]
        for function, event, id in started:
            _until_it_works(cloud, lambda f=function, e=event, i=id: cloud.client.start(f, e, id=i))
        signals = [("def", "paid", "by def"), ("async", "paid", "by async"), *(("r", "tick", tick) for tick in TICKS)]
        for id, name, payload in signals:
            cloud.advance(self._chance.choice([1, 45, 200, 1500]))
            weather.on = False
            cloud.client.signal(id, name, payload)
            weather.on = True
        cloud.advance(self._chance.choice([60, 900, 3000]))

    def _check_order(self, cloud: LocalCloud, weather: Weather, id: str) -> None:
        info = cloud.client.describe(id)
        assert info.status == "SUCCEEDED", (id, info)
        result = cloud.client.result(id)
        assert result["paid"] == f"by {id}"
        assert result["size"] > 600_000 or weather.faults.keys() & {"throttled", "reply lost", "outage"}
        assert sum(ran.name == "large" for ran in LEDGER if ran.id == id) <= 1 + sum(weather.faults.values())
        given: dict[str, tuple[Any, ...]] = {
            "last": (result["first"], *result["parts"], result["paid"], result["called"]), "single": (result["paid"],),
            "second": (result["first"],), "third": (result["second"],),
            **{f"part {n}": (result["first"],) for n in range(3)},
        }  # fmt: skip
        mine = [ran for ran in LEDGER if ran.id in (id, f"{id} called")]
        for ran in mine:
            assert ran.given == given.get(ran.name, ()), ("a body was given what is not on record", ran, result)
        values = {ran.value for ran in mine}
        shown = {result["first"], result["second"], result["third"], *result["parts"], result["called"], result["last"]}
        assert shown <= values, ("a value that no body gave", result)
        singles = [ran for ran in mine if ran.name == "single"]
        assert len(singles) <= 1, "at most once"
        assert result["single"] in ("unknown", *(ran.value for ran in singles))

    def _check_rounds(self, cloud: LocalCloud) -> None:
        info = cloud.client.describe("r")
        assert info.status == "SUCCEEDED", info
        result = cloud.client.result("r")
        assert result["got"] == TICKS, "each signal once, in order"
        for ran in LEDGER:
            if ran.id == "r":
                assert ran.given == (TICKS[int(ran.name[-1])],)


def _until_it_works(cloud: LocalCloud, request: Callable[[], object]) -> None:
    """As a user would: a start with an id of one's own may be said again."""
    for _ in range(200):
        try:
            request()
        except Exception:
            cloud.advance(30)
            continue
        return
    raise AssertionError("it never worked")
