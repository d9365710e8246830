"""Every shape: the same result and the same journal in both fronts, on both journals, suspended at every operation, with
messages that come three times, and wherever its process dies."""

from __future__ import annotations

import ast
import functools
import inspect
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from durable_fn import AsyncDurableContext, DurableContext
from tests.corpus import runs
from tests.corpus.runs import Facts
from tests.corpus.shape import Shape
from tests.corpus.topics import SHAPES, THEMES
from tests.effects import EFFECTS


def cases(which: Callable[[Shape], bool] = lambda shape: True) -> pytest.MarkDecorator:
    """Each of these shapes in each of its fronts."""
    chosen = [(shape, front) for shape in SHAPES for front in shape.fronts if which(shape)]
    return pytest.mark.parametrize(("shape", "front"), chosen, ids=lambda part: str(part))


def check(shape: Shape, facts: Facts) -> None:
    """It ended as it must, and every effect that counts happened once."""
    assert (facts.status, facts.error, facts.result) == (shape.status, shape.fails, shape.result)
    counts = Counter(facts.effects)
    assert {name: counts[name] for name in shape.once} == dict.fromkeys(shape.once, 1)
    if shape.effects is not None:
        assert tuple(facts.effects) == shape.effects


@functools.cache
def reference(shape: str, front: str) -> Facts:
    """As it runs where nothing goes wrong. Once per shape and front: the other runs are compared with it."""
    return runs.on_sqlite(next(s for s in SHAPES if s.name == shape), front)


def _on_moto(shape: Shape) -> str:
    return sorted(shape.fronts)[zlib.crc32(shape.name.encode()) % len(shape.fronts)]


@cases()
def test_on_sqlite(shape: Shape, front: str) -> None:
    check(shape, reference(shape.name, front))


@cases(lambda shape: shape.cloud)
def test_on_aws(shape: Shape, front: str) -> None:
    """With every message three times. One front of each shape runs on moto; the other has the emulator in memory, which the
    same requests reach."""
    facts = runs.on_aws(shape, front, in_memory=front != _on_moto(shape), deliveries=3)
    check(shape, facts)
    assert facts.ends() == reference(shape.name, front).ends()


@cases()
def test_suspending_at_every_operation_changes_nothing(shape: Shape, front: str) -> None:
    expected = reference(shape.name, front)
    facts = runs.on_sqlite(shape, front, always_suspend=True)
    check(shape, facts)
    assert facts.ends() == expected.ends()


@cases(lambda shape: shape.dies)
def test_the_process_may_die_anywhere(shape: Shape, front: str) -> None:
    report = runs.dying_everywhere(shape, front)
    unexpected = [f for f in report.failures if not any(f": the {what}" in f for what in shape.death_changes)]
    assert not unexpected, report
    assert report.crash_points >= 4


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape.cloud and shape.dies], ids=str)
def test_the_process_may_die_on_aws(shape: Shape) -> None:
    """At one request of each shape, in one of its fronts: over the corpus at all kinds of them. tests/torture dies at all."""
    front, chance = _on_moto(shape), zlib.crc32(shape.name.encode())
    facts = reference(shape.name, front)
    point = 2 + chance // 2 % (2 * len(facts.rows) + 8)
    died = runs.on_aws(shape, front, in_memory=chance % 4 > 0, dies_at=point)
    if "result" not in shape.death_changes:
        assert (died.status, died.error, died.result) == (shape.status, shape.fails, shape.result), point
    counts = Counter(died.effects)
    assert all(counts[name] in runs.allowed_repeats(shape) for name in shape.once), (point, counts)


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if len(shape.fronts) > 1], ids=str)
def test_both_fronts_record_the_same(shape: Shape) -> None:
    sync, async_ = reference(shape.name, "sync"), reference(shape.name, "async")
    assert sync.results() == async_.results()
    if shape.same:
        assert sync.common() == async_.common()


def test_the_corpus_is_wide() -> None:
    names = [shape.name for shape in SHAPES]
    assert len(names) == len(set(names))
    assert len([shape for shape in SHAPES if "sync" in shape.fronts]) >= 50
    assert {shape.theme for shape in SHAPES} == {theme.__name__.rpartition(".")[2] for theme in THEMES}


def test_every_operation_of_the_context_is_in_a_shape() -> None:
    used = {name for theme in THEMES for name in _asked_of_a_context(Path(inspect.getfile(theme)))}
    for context in (DurableContext, AsyncDurableContext):
        offered = {name for name in dir(context) if not name.startswith("_")}
        assert offered - used == set()


def _asked_of_a_context(path: Path) -> set[str]:
    """Shapes call their contexts ctx, and c or d in branches."""
    attributes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)]
    return {node.attr for node in attributes if isinstance(node.value, ast.Name) and node.value.id in ("ctx", "c", "d")}


@pytest.fixture(autouse=True)
def _fresh() -> None:
    EFFECTS.clear()
