"""One life of a workflow on a cloud with a fate, and what was wrong with it."""

from __future__ import annotations

import contextlib
import logging
import random
import traceback
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from durable_fn.log.failures import decode
from durable_fn.testing.crashes import SimulatedDeath
from tests.corpus.outside import TOKENS
from tests.corpus.runs import ID, allowed_repeats, known
from tests.corpus.shape import Outside, Shape
from tests.effects import EFFECTS
from tests.torture.books import LIVE, NOTES, Judge
from tests.torture.cloud import Fate, TortureCloud
from tests.torture.fates import Deaths
from tests.torture.workflows.hard import Hard

_ROUNDS = 40
_HOURS = 12


class End(NamedTuple):
    """`problems`: what was wrong, in words; `points`: where it could have died; `deaths`: where it did."""

    status: str
    result: Any
    error: str | None
    effects: Counter[str]
    problems: list[str]


@contextlib.contextmanager
def silent() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


@contextlib.contextmanager
def _own_chance(seed: int) -> Iterator[None]:
    """Pauses and the order of the sweeper's shards are drawn from the process's own generator."""
    before = random.getstate()
    random.seed(f"{seed} life")
    try:
        yield
    finally:
        random.setstate(before)


class Life:
    """Of a shape of the corpus, or of a hard workflow."""

    def __init__(self, of: Shape | Hard, front: str, fate: Fate, **options: Any) -> None:
        self.of, self.front, self.fate = of, front, fate
        self.judge = Judge()
        self.seed = options.get("seed", 0)
        self.cloud = TortureCloud(fate, self.judge, bucket=isinstance(of, Shape) and of.bucket, **options)

    def run(self) -> End:
        EFFECTS.clear()
        TOKENS.clear()
        NOTES.clear()
        with silent(), _own_chance(self.seed), self.cloud:
            try:
                id = self._shape(self.of) if isinstance(self.of, Shape) else self._hard(self.of)
                return self._ended(id)
            except Exception:
                return End("?", None, None, Counter(), [f"LOST {traceback.format_exc(limit=-4)}"])

    def _shape(self, shape: Shape) -> str:
        cloud, function = self.cloud, shape.fronts[self.front]
        for one in (function, *shape.others):
            cloud.attach(one)
        early, outside = shape.early, shape.outside
        cloud.insist(lambda: cloud.client.start(function, shape.event, id=ID))
        if early is not None:
            self._tell(early)
        for _ in range(_ROUNDS):
            if not cloud.run(ID).live:
                break
            if outside is not None:
                self._tell(outside)
            else:
                cloud.advance(3600)
        return ID

    def _tell(self, outside: Outside) -> None:
        """The corpus sends without ids, and so cannot send again: nobody dies there."""
        with self.cloud.spared(), self.cloud.wire.acting("client"):
            outside(self.cloud.client, ID)

    def _hard(self, of: Hard) -> str:
        cloud, functions = self.cloud, of.fronts[self.front]
        for function in functions:
            cloud.attach(function)
        began = cloud.clock.now()
        for id, number, event in of.starts:
            cloud.insist(lambda f=functions[number], e=event, i=id: cloud.client.start(f, e, id=i))
        for at, happening in of.script:
            cloud.advance(max(0, began + at * 1000 - cloud.clock.now()) / 1000)
            cloud.insist(lambda h=happening: h(cloud.client))
        self._pass(cloud, _HOURS)
        return of.starts[0][0]

    @staticmethod
    def _pass(cloud: TortureCloud, hours: int) -> None:
        for _ in range(hours):
            if not cloud.live_ids():
                return
            cloud.advance(3600)

    def _ended(self, id: str) -> End:
        """When the bad day is over, all ends."""
        cloud = self.cloud
        with cloud.spared():
            self._pass(cloud, 2 * _HOURS)
            header = cloud.backend.store.get(id)
            assert header is not None
            result = cloud.client.result(id) if header.status == "SUCCEEDED" else None
        error = decode(header.error).error_type.rpartition(".")[2] if header.error else None
        problems = list(self.judge.problems)
        wanted = {one for one, _, _ in self.of.starts} if isinstance(self.of, Hard) else {ID}
        problems += [f"LOST {left} has not ended" for left in cloud.live_ids() if left in wanted]
        strange = [
            death for death in cloud.deaths if not isinstance(death, SimulatedDeath | Exception | BaseExceptionGroup)
        ]
        problems += [f"an invocation ended with {death!r}" for death in strange]
        end = End(header.status, known(result), error, Counter(EFFECTS), problems)
        return end._replace(problems=problems + (self._judged(self.of, end) if isinstance(self.of, Hard) else []))

    @staticmethod
    def _judged(of: Hard, end: End) -> list[str]:
        if end.status != "SUCCEEDED":
            return [f"LOST it ended {end.status}: {end.error}"]
        try:
            of.judge(end.result, NOTES)
        except AssertionError as error:
            return [f"JUDGE {error or traceback.format_exc(limit=-1)}: {end.result}"]
        return []


_REFERENCES: dict[tuple[str, str], tuple[End, int]] = {}


def reference(of: Shape | Hard, front: str) -> tuple[End, int]:
    """The life in which nobody dies, and at how many points somebody could."""
    key = (of.name, front)
    if key not in _REFERENCES:
        fate = Deaths()
        _REFERENCES[key] = (Life(of, front, fate).run(), fate.count)
    return _REFERENCES[key]


def wrong_with(of: Shape | Hard, front: str, end: End, *, deaths: int = 1) -> list[str]:
    """Beside what happens where nothing goes wrong. Each death repeats a body at most once."""
    if isinstance(of, Hard):
        return end.problems
    whole, _ = reference(of, front)
    wrong = list(end.problems)
    compared = {"status": end.status, "result": end.result, "error": end.error}
    for what, value in compared.items():
        if value != getattr(whole, what) and not {what, "result"} & set(of.death_changes):
            wrong.append(f"LOST {what} is {value!r} instead of {getattr(whole, what)!r}")
    allowed = range(allowed_repeats(of).start, allowed_repeats(of).stop + max(0, deaths - 1))
    return wrong + [
        f"an effect {name}: {end.effects[name]} times" for name in of.once if end.effects[name] not in allowed
    ]


__all__ = ["LIVE", "End", "Life", "reference", "wrong_with"]
