"""One server for a journal, and a sign of life of its worker processes.

A server that is killed with SIGKILL leaves worker processes that end by themselves when they notice. Only when the last one
is gone their executions are nobody's: so they hold a lock together, which ends with the last of them, and the next server
waits for it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ..errors import DurableError


class JournalServed(DurableError):
    """Another process serves this journal."""


class JournalLocks:
    """`workers`: the descriptor that every worker process inherits, for as long as it lives."""

    def __init__(self, journal: str) -> None:
        self._path = Path(f"{journal}.serving")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._own = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._take()
        except BaseException:
            os.close(self._own)
            raise
        self.workers = os.open(f"{journal}.workers", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _take(self) -> None:
        if not _lock(self._own, wait=False):
            holder = os.pread(self._own, 20, 0).decode("ascii", "replace").strip()
            raise JournalServed(
                f"process {holder or 'unknown'} serves this journal already: stop it, or name another journal with --backend"
            )
        os.ftruncate(self._own, 0)
        os.pwrite(self._own, str(os.getpid()).encode(), 0)

    def await_workers(self) -> None:
        """Until the last worker process of the server before is gone."""
        _lock(self.workers, wait=True)

    def close(self) -> None:
        """The files stay: who removes one could take it away from a server that has just opened it."""
        os.close(self.workers)
        os.close(self._own)


def _lock(descriptor: int, *, wait: bool) -> bool:
    if sys.platform == "win32":
        raise DurableError("durable-fn dev and worker need a POSIX system (Linux, macOS, or WSL on Windows)")
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True
