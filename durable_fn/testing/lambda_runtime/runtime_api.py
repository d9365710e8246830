"""The Lambda Runtime API, version 2018-06-01, on a free port of loopback: what the runtime of one environment talks to.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Protocol

from .answers import MOST_PAYLOAD

_PREFIX: Final = "/2018-06-01/runtime"
_INVOCATION: Final = re.compile(rf"{_PREFIX}/invocation/([A-Za-z0-9-]+)/(response|error)")


@dataclass(frozen=True)
class Request:
    """An invocation as the runtime is told of it. `deadline`: epoch milliseconds."""

    id: str
    payload: bytes
    deadline: int
    arn: str

    def headers(self) -> dict[str, str]:
        return {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": self.id,
            "Lambda-Runtime-Deadline-Ms": str(self.deadline),
            "Lambda-Runtime-Invoked-Function-Arn": self.arn,
        }


class Runtime(Protocol):
    """Who is told what the runtime asks and answers."""

    def next(self) -> Request | None:
        """Blocks until there is something to do. None: the environment is over."""

    def answered(self, request_id: str, payload: bytes, failed: bool) -> bool:
        """False if this is not the invocation that runs."""

    def init_failed(self, payload: bytes) -> None: ...
    def too_large(self, request_id: str, size: int) -> None: ...


class RuntimeApi:
    """A server with one listener. `address` is AWS_LAMBDA_RUNTIME_API."""

    def __init__(self, runtime: Runtime) -> None:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.runtime = runtime
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        host, port = self._server.server_address[:2]
        return f"{host!s}:{port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    runtime: Runtime
    daemon_threads = True
    block_on_close = False  # a thread whose runtime was killed ends by itself

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A runtime that dies in the middle of a request is no error of the server."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one segment for head and body: without it every answer waits for a delayed ACK
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        return

    def do_GET(self) -> None:
        if self.path != f"{_PREFIX}/invocation/next":
            self._refuse(404, "NotFound", f"there is nothing at {self.path}")
            return
        request = self.server.runtime.next()
        if request is None:
            self.close_connection = True
            return
        self._answer(200, request.payload, request.headers())

    def do_POST(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size) if self.headers.get("Transfer-Encoding") != "chunked" else self._chunks()
        runtime = self.server.runtime
        if self.path == f"{_PREFIX}/init/error":
            runtime.init_failed(body)
            self._answer(202, b'{"status":"OK"}')
        elif (match := _INVOCATION.fullmatch(self.path)) is None:
            self._refuse(404, "NotFound", f"there is nothing at {self.path}")
        elif len(body) > MOST_PAYLOAD:
            runtime.too_large(match[1], len(body))
            message = f"Exceeded maximum allowed payload size ({MOST_PAYLOAD} bytes)."
            self._refuse(413, "RequestEntityTooLarge", message)
        elif runtime.answered(match[1], body, match[2] == "error"):
            self._answer(202, b'{"status":"OK"}')
        else:
            self._refuse(400, "InvalidRequestID", "Invalid request ID")

    def _chunks(self) -> bytes:
        found = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            found.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(found)

    def _refuse(self, status: int, kind: str, message: str) -> None:
        self._answer(status, json.dumps({"errorType": kind, "errorMessage": message}).encode())

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str] = {}) -> None:
        with contextlib.suppress(OSError):  # killed meanwhile
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()
