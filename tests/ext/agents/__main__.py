"""Everything that is too much for the suite: a process that dies at each of its requests, on both journals, in all shapes.

python -m tests.ext.agents [FRAMEWORK | FRAMEWORK/SHAPE ...]
"""

from __future__ import annotations

import importlib
import itertools
import logging
import sys
from collections.abc import Iterator, Sequence

from tests.corpus import runs
from tests.corpus.shape import Shape
from tests.ext.agents.proofs import dies_on_aws, may_die

FRAMEWORKS = ("pydantic_ai", "openai", "langgraph")


def main() -> None:
    logging.disable(logging.CRITICAL)
    failed = False
    for framework, shape in chosen(sys.argv[1:] or FRAMEWORKS):
        report = may_die(shape)
        points = 2 * len(runs.on_sqlite(shape, "async").rows) + 8
        wrong = [str(point) for point in range(2, points) if not _dies_well(shape, point)]
        told = f"{report.crash_points} crash points, {len(report.failures)} wrong; "
        print(f"{framework} {shape.name}: {told}on AWS {points - 2}, {len(wrong)} wrong", flush=True)
        for text in itertools.chain(report.failures, wrong):
            print(f"  {text}")
        failed = failed or not report.ok or bool(wrong)
    sys.exit(failed)


def chosen(names: Sequence[str]) -> Iterator[tuple[str, Shape]]:
    """Frameworks and their shapes. The process ends with a text where a name means nothing."""
    for name in names:
        framework, _, only = name.partition("/")
        if framework not in FRAMEWORKS:
            sys.exit(f"there is no framework {framework!r}; there are {', '.join(FRAMEWORKS)}")
        shapes = importlib.import_module(f"tests.ext.agents.{framework}_shapes").SHAPES
        if only and only not in {shape.name for shape in shapes}:
            sys.exit(f"there is no shape {only!r}; there are {', '.join(shape.name for shape in shapes)}")
        yield from ((framework, shape) for shape in shapes if only in ("", shape.name))


def _dies_well(shape: Shape, point: int) -> bool:
    try:
        dies_on_aws(shape, point)
    except AssertionError:
        return False
    return True


if __name__ == "__main__":
    main()
