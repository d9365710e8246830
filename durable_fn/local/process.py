"""A worker process of `durable-fn dev` and `worker`: what an environment is to Lambda. It does one thing at a time, and is
killed when its time is over.

    python -m durable_fn.local.process --socket FD TARGET ...

Its server gives it work through a socket, a JSON object a line, and is told what becomes of it. When that socket ends, so
does the process, whatever it is doing: its server is gone, and the next one waits for that."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import queue
import socket
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

from ..backends.ports import Backend
from ..hooks import Hooks, InvocationInfo
from ..log.header import Header
from ..log.ids import rule_text
from ..runtime.invocation import Invocation
from ..runtime.session import Outage
from ..testing.lambda_context import FakeLambdaContext
from ..wiring import extensions, from_environment, using
from .discovery import Found, NothingFound, find

_log = logging.getLogger("durable_fn")
_FRAMES: Final = 20


class Line:
    """The socket, as lines of JSON. Threads may write at once."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def say(self, what: str, **more: Any) -> None:
        text = json.dumps({"say": what, **more}, default=str) + "\n"
        with self._lock, contextlib.suppress(OSError):
            self._connection.sendall(text.encode())

    def heard(self) -> Iterator[dict[str, Any]]:
        with self._connection.makefile("r", encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)


class _Telling(Hooks):
    """Says which execution this process has, and under which writer, so that the server can end its lease if it dies."""

    def __init__(self, line: Line, backend: Backend) -> None:
        self._line = line
        self._backend = backend

    @contextlib.contextmanager
    def _taken(self, info: InvocationInfo) -> Iterator[None]:
        header = self._backend.store.head(info.execution_id)
        own = header.own if header is not None else ""
        self._line.say("turn", id=info.execution_id, fn=info.name, own=own, number=info.number)
        try:
            yield
        finally:
            after = self._backend.store.head(info.execution_id)
            status, due = ("PURGED", None) if after is None else (after.status, _awaited(after))
            failure = None if info.error is None else f"{type(info.error).__name__}: {info.error}"
            held = after is not None and after.held
            self._line.say("left", id=info.execution_id, fn=info.name, status=status, due=due, error=failure, held=held)

    def invocation(self, info: InvocationInfo) -> AbstractContextManager[object]:
        return self._taken(info)


def _awaited(header: Header) -> int | None:
    """What its code waits for; that items have to be stamped anew is nobody's business."""
    return header.due if header.timer is None else header.timer or None


class Environment:
    """Runs what it is given, in the main thread, as Lambda does."""

    def __init__(self, line: Line, functions: dict[str, Found], backend: Backend) -> None:
        self._line = line
        self._functions = functions
        self._backend = backend
        backend.hooks = (*extensions()[0], _Telling(line, backend))
        for name, found in functions.items():
            backend.wakeups.serve(name, rule_text(found.function.execution_id))

    def do(self, work: dict[str, Any]) -> None:
        function = self._functions[work["fn"]].function
        context = FakeLambdaContext(self._backend.clock, timeout=work["timeout"], function_name=function.name)
        with using(self._backend):
            if work["do"] == "wake":
                self._wake(Invocation(function, self._backend, context), work["id"])
            else:
                self._invoke(function, work["event"], context)

    def _wake(self, invocation: Invocation, id: str) -> None:
        try:
            reply = invocation.resume(id)
        except (Exception, Outage):
            _log.exception("execution %r could not go on; it is tried again", id)
            self._line.say("done", answer=None)
            return
        self._line.say("done", answer=reply.status if isinstance(reply, Header) else None)

    def _invoke(self, function: Any, event: Any, context: FakeLambdaContext) -> None:
        try:
            answer = json.loads(json.dumps(function(event, context)))
        except Exception as error:
            _log.exception("durable function %r raised", function.name)
            frames = traceback.format_tb(error.__traceback__)[-_FRAMES:]
            told = {"errorType": type(error).__name__, "errorMessage": str(error), "stackTrace": frames}
            self._line.say("done", error=told)
            return
        self._line.say("done", answer=answer)


def _listen(line: Line, work: queue.SimpleQueue[dict[str, Any] | None]) -> None:
    """Until it is asked to stop, which happens between two pieces of work, or the server is gone."""
    with contextlib.suppress(OSError, ValueError):
        for message in line.heard():
            work.put(None if message["do"] == "stop" else message)
            if message["do"] == "stop":
                return
    os._exit(1)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m durable_fn.local.process", description=__doc__)
    parser.add_argument("--socket", type=int, required=True)
    parser.add_argument("target", nargs="+")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    line = Line(socket.socket(fileno=options.socket))
    work: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(line, work), daemon=True).start()
    sys.path.insert(0, os.getcwd())
    try:
        functions = find(options.target)
        environment = Environment(line, functions, from_environment())
    except (NothingFound, RuntimeError) as error:
        line.say("broken", error=str(error))
        raise SystemExit(1) from None
    line.say("ready", functions=[{"name": name, "place": found.place} for name, found in functions.items()])
    try:
        while (task := work.get()) is not None:
            environment.do(task)
    except BaseException:  # a handler that ends its process
        traceback.print_exc()
        os._exit(1)
    sys.stdout.flush()
    os._exit(0)  # as Lambda: no thread that a handler left behind keeps it alive


if __name__ == "__main__":
    main()
