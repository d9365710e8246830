"""New executions: the header that a start writes, and what it means when the id is in use."""

from __future__ import annotations

import hashlib
import json
import secrets
from typing import TYPE_CHECKING, Any

from .core.durations import aware
from .core.foreign import require_own
from .core.header import Header
from .core.ids import checked_id, new_id
from .core.retention import DEFAULT_RETENTION_MS, OF_FUNCTION, first_horizon
from .core.values import UNTYPED_ADAPTER, Adapter
from .errors import ExecutionConflict, PayloadTooLarge, SerializationError
from .ports import Backend, JournalStore

if TYPE_CHECKING:
    from .handler import DurableFunction


def encode_event(function: DurableFunction[Any, Any], event: object) -> str:
    """A raw Lambda event as stored input: for a typed handler its own JSON, checked against the annotation."""
    adapter = function.event_adapter
    what = f"the event for {function.name!r}"
    if not adapter.typed:
        return adapter.encode(event, what)
    try:
        text = json.dumps(event, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise SerializationError(f"{what} is not JSON: {error}") from error
    adapter.decode(text, what)
    return text


def execution_id(function: DurableFunction[Any, Any], event: Any, input: str, default: str | None) -> str:
    """The idempotency key of an event, by the function's own rule. Raises ValueError for one that is no valid id."""
    rule = function.execution_id
    what = f"the execution id of {function.name!r}"
    if rule is None:
        return checked_id(default or new_id(), what)
    if callable(rule):
        validated = function.event_adapter.decode(input, f"the event for {function.name!r}")
        try:
            return checked_id(rule(validated), what)
        except ValueError:
            raise
        except Exception as error:
            name = type(error).__name__
            raise ValueError(f"{what}: its rule raised {name} for this event: {error}") from error
    from .paths import found_by

    return checked_id(found_by(rule, event, what), what)


def new_header(
    backend: Backend,
    id: str,
    fn: str,
    input: str,
    *,
    retention_ms: int | None,
    timeout_ms: int | None = None,
    run: str | None = None,
    delay_ms: int = 0,
) -> Header:
    """A PENDING header, due now or after the delay, from when on its time counts. `retention_ms` None: it is started by name, so
    both limits are those of the function, which whoever runs it knows. Raises PayloadTooLarge."""
    check_fits(backend.store, input, f"the event for {fn!r}")
    now = backend.clock.now()
    begin = now + delay_ms
    horizon = first_horizon(begin, DEFAULT_RETENTION_MS if retention_ms is None else retention_ms, timeout_ms)
    retention = OF_FUNCTION if retention_ms is None else max(1, -(-retention_ms // 1000))
    deadline = -begin if retention_ms is None else None if timeout_ms is None else begin + timeout_ms
    return Header(
        id=id,
        fn=fn,
        run=run or secrets.token_hex(8),
        secret=secrets.token_hex(16),
        status="PENDING",
        started=now,
        ttl=horizon,
        horizon=horizon,
        retention=retention,
        deadline=deadline,
        input_hash=digest(input),
        input=input,
        due=begin,
    )


def check_fits(store: JournalStore, text: str, what: str) -> None:
    """Raises PayloadTooLarge for what no item takes, compressed or not, where there is no other place."""
    if not store.fits(text):
        size = len(text.encode())
        raise PayloadTooLarge(
            f"{what} is {size:,} bytes as JSON; the journal takes at most {store.max_body:,}. Set DURABLE_FN_BUCKET, or store "
            "it elsewhere and pass its key",
            size=size,
            limit=store.max_body,
        )


def derived_run(parent: Header, id: str, how: str) -> str:
    """The same for every try, so that an execution knows those it made. `how`: "call" or "send"."""
    text = f"{parent.run}\x00{parent.gen}\x00{id}\x00{how}".encode()
    return hashlib.blake2b(text, key=parent.secret.encode(), digest_size=8).hexdigest()


def digest(input: str) -> str:
    """Of the JSON value, so that the order of keys does not matter."""
    canonical = json.dumps(json.loads(input), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


def check_same(backend: Backend, there: Header, wanted: Header, adapter: Adapter = UNTYPED_ADAPTER) -> None:
    """Raises ExecutionConflict unless `there` is the same function started with the same input.

    Inputs are the same by hash, or, where one was written out in full and one came with defaults left out, once both went
    through the annotation.
    """
    id = there.id
    if there.fn != wanted.fn:
        raise ExecutionConflict(
            f"execution id {id!r} is in use by the durable function {there.fn!r}, not {wanted.fn!r}; ids share one space "
            "per table, so put the function's name into the id",
            execution_id=id,
        )
    if there.input_hash == wanted.input_hash:
        return
    require_own(there)  # its input cannot be compared otherwise
    full = there if there.input is not None else backend.store.get(id)
    if full is None or full.input is None or not _same(adapter, full.input, wanted.input or ""):
        raise ExecutionConflict(
            f"execution id {id!r} was started with another payload, at {aware(there.started):%Y-%m-%d %H:%M:%S} UTC; the same "
            "id must mean the same work: use another id, or look at the running one with DurableClient.describe",
            execution_id=id,
        )


def _same(adapter: Adapter, one: str, other: str) -> bool:
    if not adapter.typed:
        return False
    try:
        values = [adapter.decode(text, "an input") for text in (one, other)]
        if values[0] == values[1]:  # the order of a set differs from process to process
            return True
        texts = [adapter.encode(value, "an input") for value in values]
    except SerializationError:
        return False
    return texts[0] == texts[1]
