"""Which backend this process uses. The only file that names one."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, unquote, urlsplit

from .ports import Backend

if TYPE_CHECKING:
    from .hooks import Codec, Hooks

BACKEND_VARIABLE: Final = "DURABLE_FN_BACKEND"

_lock = threading.Lock()
_configured: Backend | None = None
_hooks: tuple[Hooks, ...] = ()
_codec: Codec | None = None
_used = False
_override: ContextVar[Backend | None] = ContextVar("durable_fn_backend", default=None)


def backend() -> Backend:
    """The backend of this process: configured, or by the environment on the first use. RuntimeError names what is missing."""
    global _configured, _used
    override = _override.get()
    if override is not None:
        return override
    if _configured is None or not _used:
        with _lock:
            _configured = _configured or from_environment()
            _configured.hooks = _hooks
            _used = True
    return _configured


def configure(
    *, backend: object | None = None, codec: Codec | None = None, hooks: tuple[Hooks, ...] | None = None
) -> None:
    """Process-wide, at import time, before the first invocation; later raises RuntimeError. The environment is the default. A
    codec goes with the backend of the environment; clients and sweepers need the same one."""
    global _configured, _hooks, _codec
    if backend is not None and not isinstance(backend, Backend):
        raise TypeError(
            f"backend must be a durable_fn Backend, not {type(backend).__name__}; see durable_fn.wiring.sqlite"
        )
    with _lock:
        if _used:
            raise RuntimeError("durable_fn.configure() must be called before the first invocation or client")
        _configured = backend
        _hooks, _codec = _checked(hooks or ()), codec


def _checked(hooks: tuple[Hooks, ...]) -> tuple[Hooks, ...]:
    for hook in hooks:
        if not all(callable(getattr(hook, name, None)) for name in ("invocation", "attempt", "recorded")):
            raise TypeError(f"hooks must be durable_fn.hooks.Hooks, got {type(hook).__name__}; subclass Hooks")
    return tuple(hooks)


@contextlib.contextmanager
def using(backend: Backend) -> Iterator[None]:
    """This backend for what runs inside, in this context only: test runners use it."""
    token = _override.set(backend)
    try:
        yield
    finally:
        _override.reset(token)


def from_environment() -> Backend:
    """By DURABLE_FN_BACKEND=sqlite:///path, else AWS by DURABLE_FN_TABLE and its companions."""
    url = os.environ.get(BACKEND_VARIABLE, "")
    if url:
        return sqlite_from_url(url)
    from .backends.aws import connect

    return connect(_codec)


def sqlite_from_url(url: str) -> Backend:
    """`sqlite:///relative.db`, `sqlite:////absolute.db`, with `?synchronous=normal` for speed over power cuts."""
    parts = urlsplit(url)
    path = unquote(parts.path.removeprefix("/"))
    if parts.scheme != "sqlite" or parts.netloc or not path:
        raise RuntimeError(f"{BACKEND_VARIABLE} must look like sqlite:///path/to/file.db, got {url!r}")
    options = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    unknown = set(options) - {"synchronous"}
    if unknown:
        raise RuntimeError(f"{BACKEND_VARIABLE} has unknown options {sorted(unknown)}; known: synchronous")
    return sqlite(path, synchronous=options.get("synchronous", "full"))


def sqlite(path: str, *, synchronous: str = "full") -> Backend:
    """An embedded journal in a file, or in memory with ":memory:"."""
    import sqlite3

    from .backends.packed import PackedStore
    from .backends.sqlite import PollingWakeups, SQLiteBlobs, SQLiteStore
    from .clocks import SystemClock

    try:
        store = SQLiteStore(path, synchronous=synchronous)
    except (OSError, sqlite3.Error) as error:
        raise RuntimeError(
            f"cannot open the journal {path!r}: {error}; name a file that is a journal or does not exist yet, in a "
            "folder that can be written"
        ) from error
    packed = PackedStore(store, _codec, SQLiteBlobs(store))
    return Backend(packed, PollingWakeups(), SystemClock(), "sqlite")
