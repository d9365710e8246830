"""A worker for the embedded journal: polls for executions that are due and runs them, as Lambda would.

    python -m durable_fn.local.worker package.module:handler ...

DURABLE_FN_BACKEND names the journal. Several workers may share it. Each line on stdout is a JSON object: `ready`, `turn`
(before an execution is taken, with the writer id that its journal entries will carry) and `left` (with its status).
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from ..backends.clocks import ScaledClock, SystemClock
from ..backends.ports import Backend
from ..core.function import DurableFunction
from ..log.header import Header
from ..log.ids import rule_text
from ..runtime.invocation import Invocation
from ..runtime.session import Outage
from ..testing.lambda_context import FakeLambdaContext
from ..wiring import BACKEND_VARIABLE, sqlite_from_url, using

_log = logging.getLogger("durable_fn")

_LONGEST_PAUSE_S: Final = 0.05
_PAGE: Final = 10
_CLEAN_EVERY_MS: Final = 3_600_000

Emit = Callable[[dict[str, Any]], None]


class Worker:
    """`timeout`: what the functions' Lambda timeout would be, in seconds; a killed worker's executions are taken over when
    it is over. `speed`: of the backend's clock; pauses are real time."""

    def __init__(
        self,
        functions: Iterable[DurableFunction[Any, Any]],
        backend: Backend,
        *,
        timeout: float,
        emit: Emit,
        speed: float = 1,
    ) -> None:
        if backend.kind != "sqlite":
            raise TypeError("a worker polls an embedded journal; on AWS, Lambda runs the functions")
        self._functions = {function.name: function for function in functions}
        self._backend = backend
        self._store: Any = backend.store
        self._timeout = timeout
        self._emit = emit
        self._speed = speed
        self._stopped = False
        for name, function in self._functions.items():
            backend.wakeups.serve(name, rule_text(function.execution_id))
        self._cleaned = 0  # when finished executions were last looked through

    def stop(self, *_: object) -> None:
        """After the turn that runs now."""
        self._stopped = True

    def run(self) -> None:
        """Until `stop`."""
        self._emit({"event": "ready", "pid": os.getpid(), "functions": sorted(self._functions)})
        while not self._stopped:
            if not self.run_once():
                self._pause()

    def run_once(self) -> int:
        """All that is due now. Returns how many turns were run."""
        turns = 0
        self._clean()
        for row in self._store.due(0, self._backend.clock.now(), _PAGE):
            header = self._store.get(row.id)
            if header is not None and header.fn in self._functions and not self._stopped:
                turns += self._turn(header)
        return turns

    def _turn(self, header: Header) -> int:
        function = self._functions[header.fn]
        context = FakeLambdaContext(self._backend.clock, timeout=self._timeout, function_name=header.fn)
        invocation = Invocation(function, self._backend, context)
        line = {"pid": os.getpid(), "id": header.id, "writer": invocation.writer}
        self._emit({"event": "turn", **line})
        try:
            with using(self._backend):
                reply = invocation.resume(header.id)
        except (Exception, Outage):
            _log.exception("the turn of execution %r failed; it is taken again when its lease is over", header.id)
            return 0
        if isinstance(reply, Header):
            self._emit({"event": "left", **line, "status": reply.status, "due": reply.due})
            return 1
        return 0

    def _clean(self) -> None:
        """What DynamoDB's TTL does on AWS."""
        now = self._backend.clock.now()
        if now - self._cleaned >= _CLEAN_EVERY_MS:
            self._cleaned = now
            self._store.remove_expired(now)

    def _pause(self) -> None:
        now = self._backend.clock.now()
        due = self._store.next_due(now)
        wait = _LONGEST_PAUSE_S if due is None else (due - now) / 1000 / self._speed
        self._backend.clock.sleep(min(max(wait, 0.005), _LONGEST_PAUSE_S) * self._speed)


def load_handler(target: str) -> DurableFunction[Any, Any]:
    """The durable function behind "package.module:name". Raises SystemExit saying what is wrong."""
    module, _, name = target.partition(":")
    sys.path.insert(0, os.getcwd())
    try:
        found = getattr(importlib.import_module(module), name or "handler")
    except (ImportError, AttributeError) as error:
        raise SystemExit(f"no handler {target!r}: {error}. Write package.module:name") from error
    if not isinstance(found, DurableFunction):
        raise SystemExit(f"{target!r} is a {type(found).__name__}, not a function decorated with @durable")
    return found


def _print(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m durable_fn.local.worker", description=__doc__)
    parser.add_argument("handler", nargs="+", help="package.module:name")
    parser.add_argument("--timeout", type=float, default=60, help="seconds a turn may take, as Lambda's timeout (60)")
    parser.add_argument("--speed", type=float, default=1, help="how much faster than real time the clock runs (1)")
    parser.add_argument("--anchor", type=int, default=0, help="epoch milliseconds at which a faster clock began")
    options = parser.parse_args(arguments)
    url = os.environ.get(BACKEND_VARIABLE)
    if not url:
        raise SystemExit(f"{BACKEND_VARIABLE} is not set: set it to sqlite:///path/to/journal.db")
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    backend = sqlite_from_url(url)
    backend.clock = SystemClock() if options.speed == 1 else ScaledClock(options.speed, options.anchor)
    worker = Worker(
        map(load_handler, options.handler), backend, timeout=options.timeout, emit=_print, speed=options.speed
    )
    signal.signal(signal.SIGTERM, worker.stop)
    try:
        worker.run()
    except (KeyboardInterrupt, BrokenPipeError):
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
