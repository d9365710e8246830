"""`python -m tests.limits [NAME ...]`: each scenario in a process of its own, what it took, and the most memory that it had."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from tests.limits import refusals, sizes
from tests.limits.measures import Measured, memory_mb
from tests.limits.soaking import Soak

KEPT = Path(__file__).with_name("figures.json")
"""What was measured last, for docs/reliability.md."""


class Scenario(NamedTuple):
    """`most`: the figures that must not be exceeded, memory in MB among them."""

    run: Callable[[Path], Measured]
    most: dict[str, float]


SCENARIOS: dict[str, Scenario] = {
    "steps def": Scenario(lambda _: sizes.many_steps(50_000, "def"), {"growth": 2.5, "MB": 400}),
    "steps async": Scenario(lambda _: sizes.many_steps(50_000, "async"), {"growth": 2.5, "MB": 500}),
    "timers def": Scenario(lambda _: sizes.many_timers(1000, "def"), {"turns": 1100, "MB": 300}),
    "timers async": Scenario(lambda _: sizes.many_timers(1000, "async"), {"turns": 1100, "MB": 300}),
    "signals": Scenario(
        lambda _: sizes.many_signals(5000), {"growth": 2.5, "requests each": 12, "items read each": 130, "MB": 300}
    ),
    "inbox": Scenario(lambda _: sizes.full_inbox(10_000), {"growth": 3, "MB": 300}),
    "full disk": Scenario(lambda folder: refusals.full_disk(folder, 200), {"MB": 300}),
    "read-only file": Scenario(lambda folder: refusals.read_only_file(folder, 200), {"MB": 300}),
    "throttled": Scenario(lambda _: refusals.throttled(20), {"refused requests": 4000, "MB": 300}),
    "soak": Scenario(lambda folder: Soak(folder, 2000, 20, every=0.4, seed=1).run(), {"MB": 300}),
}


def one(name: str) -> Measured:
    """In this process."""
    scenario = SCENARIOS[name]
    with tempfile.TemporaryDirectory(prefix="durable-fn-limits-") as folder:
        found = scenario.run(Path(folder))
    found.figures["MB"] = memory_mb()
    found.wrong += [
        f"{what} is {found.figures[what]:.4g}, and at most {limit:g} is right"
        for what, limit in scenario.most.items()
        if found.figures[what] > limit
    ]
    return found


def main(names: list[str]) -> int:
    if len(names) == 2 and names[0] == "--one":
        print(json.dumps(asdict(one(names[1]))))
        return 0
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    wrong = 0
    for name in names or SCENARIOS:
        run = subprocess.run([sys.executable, "-m", "tests.limits", "--one", name], capture_output=True, text=True)
        if run.returncode:
            print(f"{name}: {run.stderr[-2000:]}")
            wrong += 1
            continue
        found = json.loads(run.stdout.splitlines()[-1])
        figures = ", ".join(f"{value:,.4g} {what}" for what, value in found["figures"].items())
        print(f"{found['what']}: {figures}", *found["wrong"], sep="\n  ", flush=True)
        wrong += bool(found["wrong"])
        if not found["wrong"]:
            kept[name] = {"what": found["what"], "figures": {k: round(v, 3) for k, v in found["figures"].items()}}
    KEPT.write_text(json.dumps(kept, indent=1) + "\n")
    return wrong


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1:]) else 0)
