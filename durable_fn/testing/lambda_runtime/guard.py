"""A small process that ends environments whose starter was killed: frozen, they would stay for ever.

It reads process groups from its standard input, `+123` for one that is there and `-123` for one that is gone, and at the end of
it, which comes with the starter's death too, kills those that are left.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading


class Guard:
    """Never fails: without it only a killed starter leaves something behind."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(  # noqa: S603 - this file
            [sys.executable, "-I", "-S", __file__], stdin=subprocess.PIPE, start_new_session=True
        )

    def watch(self, group: int) -> None:
        self._say(f"+{group}\n")

    def forget(self, group: int) -> None:
        self._say(f"-{group}\n")

    def _say(self, line: str) -> None:
        stdin = self._process.stdin
        with self._lock, contextlib.suppress(OSError, ValueError):
            if stdin is not None:
                stdin.write(line.encode())
                stdin.flush()

    def close(self) -> None:
        with self._lock, contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        self._process.wait()


def main() -> None:
    left: set[int] = set()
    for line in sys.stdin:
        number = int(line)
        left.add(number) if number > 0 else left.discard(-number)
    for group in left:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
