"""What may happen to a request: nothing, deaths at chosen points, or a bad day."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, ReadTimeoutError

from tests.torture.emulator.table import refused

if TYPE_CHECKING:
    from tests.torture.cloud import TortureCloud

Request = Callable[[], Any]
_LASTS_MS = 7_200_000
_READS = frozenset({"get_item", "query", "scan"})


class Deaths:
    """The process, the client or the sweeper that is at one of these points dies there. Points are before and after each request,
    and at the beginning and the end of each body. `count`: how many there were; `died`: at which."""

    def __init__(self, *at: int) -> None:
        self.at = at
        self.count = 0
        self.died: list[str] = []

    def meet(self, cloud: TortureCloud, service: str, operation: str, request: Request) -> Any:
        self._point(cloud, f"before {operation} of {cloud.caller}")
        reply = request()
        self._point(cloud, f"after {operation} of {cloud.caller}")
        return reply

    def body(self, cloud: TortureCloud, where: str) -> None:
        self._point(cloud, where)

    def _point(self, cloud: TortureCloud, where: str) -> None:
        self.count += 1
        if self.count in self.at:
            self.died.append(f"{where} (point {self.count})")
            cloud.die(where)


class Storm:
    """Most processes die, each at a place of its own by chance. Where three owners in a row stored nothing, or six processes died
    before they owned anything, the next is spared: an execution whose owners die for ever at one place ends as stalled,
    rightly. `died`: how many."""

    IN_A_ROW = 3

    def __init__(self, seed: int) -> None:
        chance = self._chance = random.Random(f"{seed} storm")
        self._rate = chance.choice((0.7, 0.9, 1.0))
        self._reach = chance.choice((3, 6, 12))
        self._process: object = None
        self._left = 0
        self._vain = self._stored = 0
        self.died = 0

    def meet(self, cloud: TortureCloud, service: str, operation: str, request: Request) -> Any:
        self._point(cloud, f"before {operation}")
        reply = request()
        self._point(cloud, f"after {operation}")
        return reply

    def body(self, cloud: TortureCloud, where: str) -> None:
        self._point(cloud, where)

    def _point(self, cloud: TortureCloud, where: str) -> None:
        process = cloud.process
        if process is None:
            return
        if process is not self._process:
            self._begin(cloud, process)
        self._left -= 1
        if self._left == 0:
            self.died += 1
            self._vain += 1
            cloud.die(where)

    def _begin(self, cloud: TortureCloud, process: object) -> None:
        self._process = process
        if cloud.judge.segments > self._stored:
            self._stored, self._vain = cloud.judge.segments, 0
        spared = self._vain >= 2 * self.IN_A_ROW or max(cloud.judge.fences.values(), default=0) >= self.IN_A_ROW
        dies = not spared and self._chance.random() < self._rate
        self._left = self._chance.randint(1, self._reach) if dies else 0


def _is_spared(cloud: TortureCloud) -> bool:
    """Whether so many owners died in a row that one more death would end the execution, rightly, as stalled."""
    return max(cloud.judge.fences.values(), default=0) >= Storm.IN_A_ROW


class BadDay:
    """Faults by chance, drawn from a seed, for two hours; `faults` counts them by kind.

    died before, died after   of a request; in body: its Lambda is killed there, at its deadline
    reply lost                the write was made, and botocore's own retry sends it again
    no reply                  the write was made, and all retries were lost
    copy                      a copy of the request comes later, after others
    throttled, outage         nothing was done
    frozen                    the process stands still beyond its lease, and then goes on
    """

    DEATHS = ("died before", "died after", "killed in a body")

    def __init__(self, seed: int) -> None:
        chance = self.chance = random.Random(f"{seed} day")
        self._ends = 0
        self.faults: Counter[str] = Counter()
        self._rates = {
            "died before": chance.choice([0.0, 0.01, 0.04]),
            "died after": chance.choice([0.0, 0.01, 0.04]),
            "reply lost": chance.choice([0.0, 0.02, 0.1]),
            "no reply": chance.choice([0.0, 0.01, 0.04]),
            "copy": chance.choice([0.0, 0.05, 0.2]),
            "throttled": chance.choice([0.0, 0.02, 0.15]),
            "frozen": chance.choice([0.0, 0.02, 0.06]),
        }
        self._in_body = chance.choice([0.0, 0.02, 0.06])
        self._takes_ms = chance.choice([1, 20, 300, 3000])
        self._outages: list[tuple[str, int, int]] | None = None
        self._late: list[tuple[int, Request]] = []
        self._freezing = False

    # -- requests --------------------------------------------------------------------------------------------------

    def meet(self, cloud: TortureCloud, service: str, operation: str, request: Request) -> Any:
        self._ends = self._ends or cloud.clock.now() + _LASTS_MS
        if cloud.clock.now() >= self._ends:
            return request()
        cloud.clock.advance_to(cloud.clock.now() + self.chance.randrange(self._takes_ms))
        self._copies_arrive(cloud)
        if self._is_out(cloud, service):
            self.faults["outage"] += 1
            raise refused("InternalServerError", operation)
        kind = self._kind(cloud, operation)
        if kind is not None:
            self.faults[kind] += 1
        return self._met(cloud, kind, operation, request)

    def _kind(self, cloud: TortureCloud, operation: str) -> str | None:
        for kind, rate in self._rates.items():
            if self.chance.random() >= rate:
                continue
            if kind == "frozen" and (self._freezing or cloud.process is None):
                continue
            if kind in self.DEATHS and _is_spared(cloud):
                continue
            if operation in _READS and kind in ("reply lost", "copy", "died after"):
                continue
            return kind
        return None

    def _met(self, cloud: TortureCloud, kind: str | None, operation: str, request: Request) -> Any:
        if kind == "throttled":
            raise refused("ProvisionedThroughputExceededException", operation)
        if kind == "died before":
            cloud.die(f"before {operation}")
        if kind == "frozen":
            self._freeze(cloud)
        if kind == "copy":
            self._late.append((cloud.clock.now() + self.chance.choice([1, 50, 5_000, 200_000]), request))
        reply = request()
        if kind == "died after":
            cloud.die(f"after {operation}")
        if kind == "no reply":
            raise ReadTimeoutError(endpoint_url="https://aws")
        return request() if kind == "reply lost" else reply

    def _copies_arrive(self, cloud: TortureCloud) -> None:
        now, waiting = cloud.clock.now(), self._late
        self._late = []
        for at, request in waiting:
            if at > now:
                self._late.append((at, request))
                continue
            try:
                request()
            except ClientError:
                continue

    def _is_out(self, cloud: TortureCloud, service: str) -> bool:
        now = cloud.clock.now()
        if self._outages is None:
            begins = [now + self.chance.randrange(60) * 30_000 for _ in range(self.chance.choice([0, 0, 1, 3]))]
            self._outages = [
                (self.chance.choice(["dynamodb", "sqs", "scheduler"]), at, at + self.chance.randrange(1, 10) * 60_000)
                for at in begins
            ]
        return any(out == service and begin <= now < end for out, begin, end in self._outages)

    def _freeze(self, cloud: TortureCloud) -> None:
        self._freezing = True
        try:
            cloud.frozen(self.chance.choice([5, 70, 200, 400]))
        finally:
            self._freezing = False

    # -- bodies ----------------------------------------------------------------------------------------------------

    def body(self, cloud: TortureCloud, where: str) -> None:
        if cloud.clock.now() < self._ends and self.chance.random() < self._in_body and not _is_spared(cloud):
            self.faults["killed in a body"] += 1
            assert cloud.process is not None
            cloud.clock.advance_to(cloud.process.ends_at)
            cloud.die(where)
