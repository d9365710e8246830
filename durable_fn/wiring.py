"""Which backend this process uses. The only file that names one."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, unquote, urlsplit

from .backends.ports import Backend

if TYPE_CHECKING:
    from .hooks import Codec, Hooks

BACKEND_VARIABLE: Final = "DURABLE_FN_BACKEND"
KEY_VARIABLE: Final = "DURABLE_FN_KMS_KEY"

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
    """Sets up this process: which backend, which codec, which hooks.

    ```python
    configure(codec=KmsAesGcm("alias/journal"), hooks=(Tracing(),))
    ```

    At import time, before the first invocation or client. Calls add up: what one leaves out stays as another one set
    it. Clients need the same codec.

    Args:
        backend: Default: by the environment (DURABLE_FN_TABLE and its companions, or DURABLE_FN_BACKEND).
        codec: Encrypts what is stored. Default: none, or by DURABLE_FN_KMS_KEY.
        hooks: For tracing and metrics. Default: none.

    Raises:
        RuntimeError: It is too late.
        TypeError: It is no backend, no codec, no hooks, or a backend that cannot use the codec.
    """
    global _configured, _hooks, _codec
    from .hooks import checked_hooks

    if backend is not None and not isinstance(backend, Backend):
        raise TypeError(
            f"backend must be a durable_fn Backend, not {type(backend).__name__}; see durable_fn.wiring.sqlite"
        )
    with _lock:
        if _used:
            raise RuntimeError("durable_fn.configure() must be called before the first invocation or client")
        new_backend = _configured if backend is None else backend
        new_codec = _codec if codec is None else _checked_codec(codec)
        new_hooks = _hooks if hooks is None else checked_hooks(hooks)
        if new_backend is not None and new_codec is not None:
            _encode(new_backend, new_codec)
        _configured, _codec, _hooks = new_backend, new_codec, new_hooks


def extensions() -> tuple[tuple[Hooks, ...], Codec | None]:
    """The hooks and the codec that this process was configured with: test runners use them too."""
    return _hooks, _codec


def _checked_codec(codec: Codec) -> Codec:
    if isinstance(codec, type) or not all(callable(getattr(codec, name, None)) for name in ("encode", "decode")):
        shown = f"the class {codec.__name__}" if isinstance(codec, type) else type(codec).__name__
        raise TypeError(f"codec must be an object with encode(data, context) and decode(data, context), not {shown}")
    return codec


def _encode(backend: Backend, codec: Codec) -> None:
    """Raises TypeError for a backend that would store values without the codec."""
    from .backends.packed import PackedStore

    if not isinstance(backend.store, PackedStore):
        raise TypeError(
            f"the codec cannot be used with this backend, whose store is a {type(backend.store).__name__}; wrap the store in "
            "durable_fn.backends.packed.PackedStore"
        )
    backend.store.packing.codec = codec


@contextlib.contextmanager
def using(backend: Backend) -> Iterator[None]:
    """This backend for what runs inside, in this context only: test runners use it."""
    token = _override.set(backend)
    try:
        yield
    finally:
        _override.reset(token)


def from_environment(*, read_only: bool = False) -> Backend:
    """By DURABLE_FN_BACKEND=sqlite:///path, else AWS by DURABLE_FN_TABLE and its companions, with the codec that was
    configured or KmsAesGcm by DURABLE_FN_KMS_KEY. `read_only`: see `sqlite`."""
    url = os.environ.get(BACKEND_VARIABLE, "")
    if url:
        return sqlite_from_url(url, read_only=read_only)
    from .backends.aws import connect

    return connect(_codec or _codec_from_environment())


def _codec_from_environment() -> Codec | None:
    """For handlers that come ready made, and so have no code of their own that could configure one."""
    key = os.environ.get(KEY_VARIABLE)
    if not key:
        return None
    from .codecs import KmsAesGcm

    return KmsAesGcm(key)


def sqlite_from_url(url: str, *, read_only: bool = False) -> Backend:
    """`sqlite:///relative.db`, `sqlite:////absolute.db`, with `?synchronous=normal` for speed over power cuts."""
    parts = urlsplit(url)
    path = unquote(parts.path.removeprefix("/"))
    if parts.scheme != "sqlite" or parts.netloc or not path:
        raise RuntimeError(f"{BACKEND_VARIABLE} must look like sqlite:///path/to/file.db, got {url!r}")
    options = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    unknown = set(options) - {"synchronous"}
    if unknown:
        raise RuntimeError(f"{BACKEND_VARIABLE} has unknown options {sorted(unknown)}; known: synchronous")
    return sqlite(path, synchronous=options.get("synchronous", "full"), read_only=read_only)


def sqlite(path: str, *, synchronous: str = "full", read_only: bool = False) -> Backend:
    """An embedded journal in a file, or in memory with ":memory:". `read_only`: a file that is there is looked at, and neither
    made nor changed. RuntimeError says what is wrong with a file, a schema of another version included."""
    import sqlite3

    from .backends.clocks import SystemClock
    from .backends.packed import PackedStore
    from .backends.sqlite import PollingWakeups, SQLiteBlobs, SQLiteStore

    try:
        store = SQLiteStore(path, synchronous=synchronous, read_only=read_only)
    except (OSError, sqlite3.Error) as error:
        raise RuntimeError(
            f"cannot open the journal {path!r}: {error}; name a file that is a journal or does not exist yet, in a "
            "folder that can be written"
        ) from error
    packed = PackedStore(store, _codec, SQLiteBlobs(store))
    return Backend(packed, PollingWakeups(store), SystemClock(), "sqlite")
