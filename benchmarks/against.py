"""This checkout beside an older commit of it, in one run: `python -m benchmarks.against COMMIT`.

The two take turns, each in a process of its own, so a machine that changes its speed changes both. The best of each counts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import track
from rich.table import Table

_HERE = Path(__file__).parent
_ROOT = _HERE.parent
_TURNS = 3

Figures = dict[str, dict[str, float]]


class Measured(NamedTuple):
    """Of one checkout: figures by program, and the segments that ten small programs write."""

    shapes: Figures
    written: dict[str, int]


def measured(tree: Path) -> Measured:
    """The figures of the package in `tree`."""
    environment = os.environ | {"PYTHONPATH": str(tree)}
    done = subprocess.run(
        [sys.executable, str(_HERE / "figures.py")],
        check=False,
        env=environment,
        cwd=tree,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{tree}: {done.stderr}")
    return Measured(**json.loads(done.stdout))


def best(runs: list[Measured]) -> Measured:
    shapes = {
        name: {figure: min(run.shapes[name][figure] for run in runs) for figure in figures}
        for name, figures in runs[0].shapes.items()
    }
    return Measured(shapes, runs[0].written)


def compared(commit: str) -> tuple[Measured, Measured]:
    """The best figures of `commit` and of this checkout."""
    with tempfile.TemporaryDirectory() as directory:
        tree = Path(directory) / "old"
        _git("worktree", "add", "--detach", str(tree), commit)
        try:
            then, now = [], []
            for _ in track(range(_TURNS), "measured in turns", console=Console(stderr=True)):
                then.append(measured(tree))
                now.append(measured(_ROOT))
        finally:
            _git("worktree", "remove", "--force", str(tree))
    return best(then), best(now)


def _git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=_ROOT, check=True, capture_output=True)


def times(commit: str, then: Figures, now: Figures) -> Table:
    shown = Table(title=f"CPU microseconds a step, and segments written: {commit} → this checkout")
    shown.add_column("program")
    for column in ("live", "replayed", "segments"):
        shown.add_column(column, justify="right")
        shown.add_column("ratio", justify="right")
    for name, old in then.items():
        cells = []
        for figure in ("live", "replayed", "segments"):
            cells += [f"{old[figure]:.0f} → {now[name][figure]:.0f}", f"{now[name][figure] / old[figure]:.2f}"]
        shown.add_row(name, *cells)
    return shown


def segments(then: dict[str, int], now: dict[str, int]) -> Table:
    shown = Table("program", title="Segments of ten small programs")
    shown.add_column("then", justify="right")
    shown.add_column("now", justify="right")
    for name, count in then.items():
        shown.add_row(name, str(count), str(now[name]))
    return shown


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m benchmarks.against COMMIT")
    commit = sys.argv[1]
    then, now = compared(commit)
    console = Console(width=110)
    console.print(times(commit, then.shapes, now.shapes))
    console.print(segments(then.written, now.written))


if __name__ == "__main__":
    main()
