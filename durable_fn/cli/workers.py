"""Worker processes that a command starts, watches and kills."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


class WorkerDied(RuntimeError):
    """A worker ended by itself; the text has its last words."""


class WorkerProcess:
    """`messages` are the JSON lines that it prints."""

    def __init__(self, name: str, arguments: Sequence[str], environment: Mapping[str, str], errors: Path) -> None:
        self.name = name
        self.killed = False
        self.messages: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._errors = errors
        with errors.open("ab") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "durable_fn.local.worker", *arguments],
                env={**os.environ, **environment},
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.endswith("\n"):  # a killed process may leave half a line
                self.messages.put(json.loads(line))

    def check(self) -> None:
        """Raises WorkerDied if it ended without being asked to."""
        if not self.killed and self._process.poll() is not None:
            raise WorkerDied(
                f"{self.name} ended with exit code {self._process.returncode}:\n{self._errors.read_text()[-2000:]}"
            )

    def kill(self) -> None:
        """SIGKILL: no handler runs, nothing is flushed."""
        self.killed = True
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._reader.join()

    def stop(self) -> None:
        """Politely, then not."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._reader.join()
