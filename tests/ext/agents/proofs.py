"""What must hold of an agent in a durable handler, whatever the framework: as `tests/corpus` does for workflows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from durable_fn import durable
from durable_fn.testing import CrashReport
from durable_fn.testing.crashes import crash_at
from tests.corpus import runs
from tests.corpus.shape import Shape
from tests.effects import EFFECTS

AT_ONCE = 6
"""As many bodies run beside each other in these shapes: more cannot be in flight when a process dies."""


def shape(handler: Callable[..., Any], *, once: tuple[str, ...], **facts: Any) -> Shape:
    """`once`: all effects of an undisturbed run, each of which happens once."""
    name = handler.__name__.replace("_", "-")
    function = durable(name=name)(handler)
    return Shape(name, "agents", {"async": function}, once=once, same=False, **facts)


def _check(shape: Shape, facts: runs.Facts) -> runs.Facts:
    assert (facts.status, facts.result) == (shape.status, shape.result)
    assert Counter(facts.effects) == Counter(shape.once)
    return facts


_UNDISTURBED: dict[int, runs.Facts] = {}
"""By shape: each is run once in a process."""


def _undisturbed(shape: Shape) -> runs.Facts:
    if id(shape) not in _UNDISTURBED:
        _UNDISTURBED[id(shape)] = _check(shape, runs.on_sqlite(shape, "async"))
    return _UNDISTURBED[id(shape)]


def runs_on_sqlite(shape: Shape) -> None:
    _undisturbed(shape)


def records_the_same_on_aws(shape: Shape) -> None:
    """Each message comes three times."""
    expected = _undisturbed(shape)
    assert _check(shape, runs.on_aws(shape, "async", deliveries=3)).ends() == expected.ends()


def may_be_suspended_anywhere(shape: Shape) -> None:
    expected = _undisturbed(shape)
    assert _check(shape, runs.on_sqlite(shape, "async", always_suspend=True)).ends() == expected.ends()


def may_die(shape: Shape, chosen: Callable[[int], bool] = lambda _: True) -> CrashReport:
    """At the chosen requests. No effect is left out, and none happens again whose result was recorded: one death repeats at most
    what was in flight."""

    def setup() -> None:
        EFFECTS.clear()
        runs.TOKENS.clear()

    def drive(runner: Any, execution: Any) -> None:
        if shape.outside is not None:
            shape.outside(runner.client, execution.id)

    def check(execution: Any) -> None:
        counts = Counter(EFFECTS)
        assert set(counts) == set(shape.once)
        assert sum(counts.values()) <= len(shape.once) + AT_ONCE, counts

    return crash_at(chosen, shape.fronts["async"], shape.event, id=runs.ID, drive=drive, check=check, setup=setup)


def may_die_anywhere(shape: Shape) -> None:
    """At every sixth of its requests, others for each shape; `make agents` takes all."""
    report = may_die(shape, lambda point: point % 6 == len(shape.name) % 6)
    assert report.ok, report
    assert report.crash_points >= 8


def may_die_on_aws(shape: Shape) -> None:
    """At one of its requests; `make agents` takes all."""
    dies_on_aws(shape, 5 + len(shape.name) % 6)


def dies_on_aws(shape: Shape, point: int) -> None:
    died = runs.on_aws(shape, "async", dies_at=point)
    assert (died.status, died.result) == (shape.status, shape.result), point
    counts = Counter(died.effects)
    assert set(counts) == set(shape.once), (point, counts)
    assert sum(counts.values()) <= len(shape.once) + AT_ONCE, (point, counts)


Proof = Callable[[Shape], None]
PROOFS = (
    runs_on_sqlite,
    records_the_same_on_aws,
    may_be_suspended_anywhere,
    may_die_anywhere,
    may_die_on_aws,
)
