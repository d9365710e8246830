"""Real servers, and what they print."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60
"""Until a test gives up: nothing is waited for that does not come."""


class Server:
    """`durable-fn dev` or `worker` in a directory of its own."""

    def __init__(self, directory: Path, *words: str, **environment: str) -> None:
        self.directory = directory
        self._heard: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self.seen: list[dict[str, Any]] = []
        own = {k: v for k, v in os.environ.items() if not k.startswith("DURABLE_FN_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "durable_fn.cli", *words, "--json"],
            cwd=directory,
            env={**own, "PYTHONPATH": str(ROOT), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.errors: list[str] = []
        self._threads = [threading.Thread(target=target, daemon=True) for target in (self._read, self._read_errors)]
        for thread in self._threads:
            thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith('{"event"') and line.endswith("\n"):
                self._heard.put(json.loads(line))
            else:
                self.errors.append(line)
        self._heard.put(None)

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        self.errors.extend(self.process.stderr)

    def until(self, event: str, wanted: Callable[[dict[str, Any]], bool] = lambda it: True) -> dict[str, Any]:
        """The next such happening. Raises AssertionError if the server ends before."""
        while True:
            found = self._heard.get(timeout=PATIENCE_S)
            assert found is not None, f"it ended with {self.process.wait()}: {''.join(self.errors)}"
            self.seen.append(found)
            if found["event"] == event and wanted(found):
                return found

    def ready(self) -> str:
        """Its address."""
        return str(self.until("serving")["url"])

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> int:
        """By SIGTERM. Its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE_S)
        for thread in self._threads:
            thread.join()
        return code


def ask(url: str, data: Any = None, **headers: str) -> tuple[int, Any]:
    """Status and content of the answer."""
    body = None if data is None else json.dumps(data).encode()
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, body, {"content-type": "application/json", **more})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            status, text = answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        status, text = refused.code, refused.read()
    try:
        return status, json.loads(text)
    except ValueError:
        return status, text.decode()


def left(id: str, status: str) -> Callable[[dict[str, Any]], bool]:
    return lambda it: (it["id"], it["status"]) == (id, status)
