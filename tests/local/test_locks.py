"""One server a journal, and the sign of life of its workers."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from durable_fn.local.locks import JournalLocks, JournalServed


def test_a_journal_has_one_server(tmp_path: Path) -> None:
    first = JournalLocks(str(tmp_path / "j.db"))
    with pytest.raises(JournalServed, match="serves this journal already"):
        JournalLocks(str(tmp_path / "j.db"))
    JournalLocks(str(tmp_path / "other.db")).close()
    first.close()
    JournalLocks(str(tmp_path / "j.db")).close()


def test_the_next_server_waits_for_the_last_worker(tmp_path: Path) -> None:
    """Its server is gone, and has taken its own descriptors along."""
    first = JournalLocks(str(tmp_path / "j.db"))
    first.await_workers()
    worker = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[first.workers])
    first.close()
    second = JournalLocks(str(tmp_path / "j.db"))
    alone = threading.Event()
    waiting = threading.Thread(target=lambda: (second.await_workers(), alone.set()))
    waiting.start()
    assert not alone.wait(0.2)
    worker.communicate(b"\n")
    assert alone.wait(60)
    waiting.join()
    second.close()
