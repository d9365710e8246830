"""What the commands with an HTTP side have in common: a socket, a token, uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from ..errors import DurableError
from ..ui.guard import Guard, is_loopback

if TYPE_CHECKING:
    import uvicorn

TOKEN_VARIABLE: Final = "DURABLE_FN_UI_TOKEN"  # noqa: S105
PACKAGES: Final = frozenset({"starlette", "uvicorn", "watchfiles"})


def guard(host: str, allow_host: Sequence[str], allow_origin: Sequence[str]) -> Guard:
    """Anything but this machine needs a token: that of DURABLE_FN_UI_TOKEN, or a new one."""
    token = os.environ.get(TOKEN_VARIABLE) or None
    if token is None and not is_loopback(host):
        token = secrets.token_urlsafe(24)
    named = [host] if host not in ("0.0.0.0", "::") else []  # noqa: S104
    return Guard({*named, *(name.lower() for name in allow_host)}, token, tuple(allow_origin))


def listening(host: str, port: int) -> socket.socket:
    """Raises DurableError where that cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
        found.listen(128)
    except OSError as error:
        found.close()
        raise DurableError(
            f"cannot listen on {host}:{port}: {error.strerror}; --port 0 takes any that is free"
        ) from error
    return found


def address(listening: socket.socket, host: str) -> str:
    """For a browser on this machine."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{shown}:{listening.getsockname()[1]}"


def with_token(url: str, token: str | None) -> str:
    """Behind the #, which no browser sends and no server logs."""
    return url if token is None else f"{url}/#token={token}"


@contextlib.asynccontextmanager
async def served(app: Any, sockets: socket.socket) -> AsyncIterator[None]:
    """Answers requests inside of it; on leaving, after those that are under way."""
    server = _server(app)
    running = asyncio.ensure_future(server.serve(sockets=[sockets]))
    try:
        while not server.started and not running.done():
            await asyncio.sleep(0.005)
        yield
    finally:
        server.should_exit = True
        await running


def _server(app: Any) -> uvicorn.Server:
    import uvicorn

    class Quiet(uvicorn.Server):
        """Signals are the command's own to answer."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    options: dict[str, Any] = {"log_config": None, "access_log": False, "lifespan": "off", "server_header": False}
    return Quiet(uvicorn.Config(app, **options))


@contextlib.contextmanager
def needing(extra: str) -> Iterator[None]:
    """Raises DurableError where a package of the extra is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in PACKAGES:
            raise
        text = f"this needs {error.name}, which is not installed: pip install 'durable-fn[{extra}]'"
        raise DurableError(text) from error
