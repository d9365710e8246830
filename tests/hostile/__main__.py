"""`python -m tests.hostile [--blows N] [TARGET ...]`: a million blows over all targets; goes on where the last run ended."""

from __future__ import annotations

import argparse
import gc
import json
import logging
import sys
import traceback
from pathlib import Path

from tests.hostile.mutator import Mutator
from tests.hostile.targets import TARGETS, Target

KEPT = Path(__file__).with_name("counts.json")
_SHARES = {"events": 300, "wakes": 190, "tokens": 235, "ids": 150, "HTTP": 120, "items": 5}
"""Of a thousand. An item costs two whole lives."""


def blows(name: str, first: int, count: int) -> list[str]:
    """What was wrong with each that was. A blow has a number, from which it can be given again; what its world has seen before
    differs then."""
    target, wrong = TARGETS[name](), []
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(target.listener)
    root.setLevel(logging.INFO)
    try:
        for begin in range(first, first + count, target.lifetime):
            wrong += _world(target, name, begin, min(target.lifetime, first + count - begin))
    finally:
        root.removeHandler(target.listener)
        root.setLevel(level)
    return wrong


def _world(target: Target, name: str, begin: int, count: int) -> list[str]:
    wrong, number = [], begin
    target.open()
    try:
        for number in range(begin, begin + count):
            try:
                target.attack(Mutator(f"{name} {number}"))
                target.look()
            except Exception:
                wrong.append(f"{name} {number}: {traceback.format_exc(limit=-4)}")
        target.close()
        target.look()
    except Exception:
        wrong.append(f"{name}, in the world of {begin} to {number}: {traceback.format_exc(limit=-4)}")
    return wrong


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile")
    parser.add_argument("--blows", type=int, default=1_000_000)
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, []], default=[])
    asked = parser.parse_args(arguments)
    kept = {name: {"next": 0, "wrong": 0} for name in TARGETS}
    if KEPT.exists():
        kept |= json.loads(KEPT.read_text())
    gc.freeze()
    names, left, bad = asked.targets or list(TARGETS), asked.blows, 0
    while left > 0:
        for name in names:
            share = min(left, 100) if len(names) == 1 else _SHARES[name]
            wrong = blows(name, kept[name]["next"], share)
            print(*(text[:1500] for text in wrong), sep="\n", end="\n" * bool(wrong), flush=True)
            kept[name] = {"next": kept[name]["next"] + share, "wrong": kept[name]["wrong"] + len(wrong)}
            left, bad = left - share, bad + len(wrong)
        KEPT.write_text(json.dumps(kept, indent=1) + "\n")
    for name in names:
        print(f"{name}: {kept[name]['next']:,} blows in sum, {kept[name]['wrong']} wrong")
    return bad


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1:]) else 0)
