"""`python -m tests.faults FIRST-LAST`: many bad days, and a line for each that went wrong."""

from __future__ import annotations

import logging
import sys
import traceback
from collections import Counter

from .worlds import World


def main(seeds: str) -> int:
    logging.disable(logging.CRITICAL)
    first, _, last = seeds.partition("-")
    total: Counter[str] = Counter()
    wrong = 0
    for seed in range(int(first), int(last or first) + 1):
        try:
            total.update(World(seed).run())
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            wrong += 1
            print(f"seed {seed}: {traceback.format_exc(limit=-3)}", flush=True)
    print(f"{int(last or first) - int(first) + 1} worlds, {sum(total.values())} faults {dict(total)}, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
