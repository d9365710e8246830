"""Where handlers in real environments meet their test: a directory, named by STAGE.

A body that waits at a gate makes a file, and goes on when the test has made another one.
"""

from __future__ import annotations

import os
import time
from pathlib import Path


def stage() -> Path:
    return Path(os.environ["STAGE"])


def note(*words: object) -> None:
    """A line of the protocol, in one write: several processes write to it."""
    line = " ".join(map(str, (*words, os.getpid()))) + "\n"
    with (stage() / "notes").open("ab", buffering=0) as notes:
        notes.write(line.encode())


def gate(name: str) -> None:
    (stage() / f"{name}.reached-by-{os.getpid()}").touch()
    while not (stage() / f"{name}.open").exists():
        time.sleep(0.003)
