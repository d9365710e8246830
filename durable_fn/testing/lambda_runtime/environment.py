"""One execution environment: a process with the runtime and the function's code in it, which is used again and again.

Between invocations it is frozen, as on AWS: SIGSTOP when the runtime asks for the next invocation, SIGCONT when there is one.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from . import answers
from .answers import Answer
from .guard import Guard
from .runtime_api import Request, RuntimeApi

INIT_S: Final = 10.0
"""Lambda gives the code outside the handler ten seconds."""

State = Literal["starting", "ready", "idle", "busy", "over"]
"""`ready`: has started, for the invocation that it was started for."""


@dataclass
class _Invocation:
    request: Request
    payload: bytes | None = None
    failed: bool = False


class Environment:
    """Starts its process at once. One invocation at a time; `LambdaFunction` hands them out. `log`: its stdout and stderr."""

    def __init__(
        self,
        command: Sequence[str],
        variables: Mapping[str, str],
        task_root: Path,
        log: Path,
        guard: Guard,
        *,
        freezes: bool,
    ) -> None:
        self._changed = threading.Condition()
        self._state: State = "starting"
        self._invocation: _Invocation | None = None
        self._init_error: bytes | None = None
        self._freezes = freezes
        self._fresh = True
        self.log = log
        self._guard = guard
        self._api = RuntimeApi(self)
        with log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - the caller's own command
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=task_root,
                env={**variables, "AWS_LAMBDA_RUNTIME_API": self._api.address},
                start_new_session=True,
            )
        guard.watch(self.pid)
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def state(self) -> State:
        return self._state

    @property
    def request_id(self) -> str | None:
        """Of the invocation that runs."""
        invocation = self._invocation
        return invocation.request.id if invocation is not None and self._state == "busy" else None

    # -- what the runtime does -------------------------------------------------------------------------------------

    def next(self) -> Request | None:
        with self._changed:
            self._to("ready" if self._state == "starting" else "idle")
            self._invocation = None
            if self._freezes:
                self._signal(signal.SIGSTOP)
            while (invocation := self._invocation) is None:
                if self._state == "over":
                    return None
                self._changed.wait()
            self._signal(signal.SIGCONT)
            return invocation.request

    def answered(self, request_id: str, payload: bytes, failed: bool) -> bool:
        with self._changed:
            invocation = self._invocation
            if invocation is None or invocation.request.id != request_id or invocation.payload is not None:
                return False
            invocation.payload, invocation.failed = payload, failed
            return True

    def too_large(self, request_id: str, size: int) -> None:
        self.answered(request_id, answers.too_large(size), failed=True)

    def init_failed(self, payload: bytes) -> None:
        with self._changed:
            self._init_error = payload

    def _watch(self) -> None:
        """Until the process ends, by itself or not. What it started ends with it."""
        self._process.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._guard.forget(self.pid)
        with self._changed:
            self._to("over")
        self._api.close()

    def _to(self, state: State) -> None:
        if self._state != "over":
            self._state = state
            self._changed.notify_all()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self._process.returncode is None:
                os.killpg(self.pid, number)

    # -- what Lambda does ------------------------------------------------------------------------------------------

    def reserve(self) -> bool:
        """For an invocation that is about to come. False if it is busy or over."""
        with self._changed:
            if self._state != "idle":
                return False
            self._state = "busy"
            return True

    def invoke(self, request_id: str, payload: bytes, arn: str, timeout: float, grace: float = 0) -> Answer:
        """The environment is fresh, or was reserved. Returns when it is idle again, or over: it is killed `grace` seconds after
        the deadline that the function is told."""
        began, cold, self._fresh = time.monotonic(), self._fresh, False
        with self._changed:
            if not cold or self._initialised(request_id):
                answer, failed = self._run(request_id, payload, arn, timeout, grace)
            else:
                answer, failed = self._init_error or b"", True
        return Answer(request_id, answer, failed, self.pid, cold, time.monotonic() - began)

    def _initialised(self, request_id: str) -> bool:
        if not self._changed.wait_for(lambda: self._state != "starting", INIT_S):
            self._init_error = answers.timed_out(request_id, INIT_S)
            self.kill()
        elif self._state == "over":
            self._init_error = self._init_error or answers.exited(request_id, self._process.returncode)
        return self._init_error is None

    def _run(self, request_id: str, payload: bytes, arn: str, timeout: float, grace: float) -> tuple[bytes, bool]:
        deadline = time.time_ns() // 1_000_000 + round(timeout * 1000)
        self._invocation = invocation = _Invocation(Request(request_id, payload, deadline, arn))
        self._to("busy")
        over = self._changed.wait_for(
            lambda: self._invocation is not invocation or self._state != "busy", timeout + grace
        )
        if not over:
            self.kill()
            if invocation.payload is None:
                return answers.timed_out(request_id, timeout), True
        if invocation.payload is None:
            return answers.exited(request_id, self._process.returncode or 0), True
        return invocation.payload, invocation.failed

    # -- what befalls it -------------------------------------------------------------------------------------------

    def kill(self) -> None:
        """SIGKILL of all its processes: a host that fails. Returns when they are gone."""
        with self._changed:
            self._signal(signal.SIGKILL)
            self._changed.wait_for(lambda: self._state == "over")

    def close(self) -> None:
        """As `kill`, and its listener is gone as well."""
        self.kill()
        self._watcher.join()

    def terminate(self, patience: float = 2) -> None:
        """SIGTERM, and SIGKILL after two seconds: how Lambda shuts an environment with extensions down."""
        with self._changed:
            self._signal(signal.SIGCONT)
            self._signal(signal.SIGTERM)
            self._changed.wait_for(lambda: self._state == "over", patience)
        self.kill()

    def freeze(self) -> None:
        """In the middle of an invocation: a host that stands still. The deadline holds, so give the function a `grace`."""
        with self._changed:
            self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        with self._changed:
            self._signal(signal.SIGCONT)
