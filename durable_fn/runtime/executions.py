"""New executions: the header that a start writes, and what it means when the id is in use."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from typing import TYPE_CHECKING, Any, Final

from ..backends.ports import Backend, JournalStore
from ..errors import ExecutionConflict, PayloadTooLarge, SerializationError
from ..log.durations import aware
from ..log.foreign import require_own
from ..log.header import Header
from ..log.ids import NO_RULE, checked_id, new_id, path_of
from ..log.inputs import Input, arrived
from ..log.retention import DEFAULT_RETENTION_MS, OF_FUNCTION, first_horizon
from ..values.adapters import UNTYPED_ADAPTER, Adapter, Kept, no_codec
from ..values.documents import from_outside
from ..values.plain import plain
from ..values.tagged import without_unset
from ..values.terms import STRICT, Terms

if TYPE_CHECKING:
    from ..core.function import DurableFunction


CHECK_VARIABLE: Final = "DURABLE_FN_CHECK_VALUES_UP_TO"


def terms_of(backend: Backend) -> Terms:
    """How values are stored here. Raises RuntimeError for a variable that is no number of bytes."""
    given = os.environ.get(CHECK_VARIABLE)
    if given is None:
        return Terms(backend.store.encrypts)
    if not given.strip().isdecimal():
        raise RuntimeError(
            f"{CHECK_VARIABLE} must be a number of bytes, got {given!r}: larger values are stored without reading them back"
        )
    return Terms(backend.store.encrypts, int(given))


def check_annotations(function: DurableFunction[Any, Any], terms: Terms) -> None:
    """Runs before anything of an execution happens. Raises SerializationError for annotations that cannot work."""
    for adapter, what in function.declared:
        adapter.check(outside=adapter is function.event_adapter)
        if adapter.secret and not terms.encrypted:
            raise SerializationError(no_codec(what))


def arrived_event(function: DurableFunction[Any, Any], event: object, terms: Terms) -> Input:
    """A raw Lambda event, validated. Raises SerializationError."""
    return arrived(function.event_adapter, event, f"the event for {function.name!r}", terms)


def execution_id(function: DurableFunction[Any, Any], input: Input, default: str | None) -> str:
    """The idempotency key of an event, by the function's own rule: a function sees it as validated, a path the JSON that was
    sent, and then the defaults that were filled in. Raises ValueError for one that is no valid id."""
    rule = function.execution_id
    what = f"the execution id of {function.name!r}"
    if rule is None:
        return checked_id(default or new_id(), what)
    if callable(rule):
        try:
            return checked_id(rule(input.value), what)
        except ValueError:
            raise
        except Exception as error:
            name = type(error).__name__
            raise ValueError(f"{what}: its rule raised {name} for this event: {error}") from error
    from .paths import found_by

    try:
        return checked_id(found_by(rule, input.payload, what), what)
    except ValueError:
        filled = plain(input.text)
        if filled == input.payload:
            raise
        return checked_id(found_by(rule, filled, what), what)


def ruled_id(backend: Backend, fn: str, function: DurableFunction[Any, Any] | None, input: Input) -> str | None:
    """The id by the function's own rule, also if only its name is known here; None if it has no rule. Raises ValueError for a
    rule that cannot be applied here, and UnknownFunction."""
    if function is not None:
        return None if function.execution_id is None else execution_id(function, input, None)
    rule = backend.wakeups.id_rule(fn)
    if rule == NO_RULE:
        return None
    if rule is None:
        backend.wakeups.check(fn, given=False)
        raise ValueError(
            f"how executions of {fn!r} get their ids is not known here: it has not registered itself in the table yet (it does "
            "when it runs for the first time). Give id, or hand over the function instead of its name"
        )
    path = path_of(rule)
    if path is None:
        raise ValueError(
            f"executions of {fn!r} get their ids by a function of its own, which only its object has. Give id, or hand over the "
            "function instead of its name"
        )
    from .paths import found_by

    what = f"the execution id of {fn!r}"
    try:
        return checked_id(found_by(path, input.payload, what), what)
    except ValueError as error:
        raise ValueError(f"{error}. What the function fills in by default is not known here: give id") from None


def new_header(
    backend: Backend,
    id: str,
    fn: str,
    input: Input | str,
    *,
    retention_ms: int | None,
    timeout_ms: int | None = None,
    run: str | None = None,
    delay_ms: int = 0,
) -> Header:
    """A PENDING header, due now or after the delay; its timeout counts from then. `input`: a text is stored as it was sent.
    `retention_ms` None: it is started by name, so both limits come from the function, once an invocation runs it. Raises
    PayloadTooLarge."""
    if isinstance(input, str):
        input = Input(input, None, input)
    check_fits(backend.store, input.text, f"the event for {fn!r}")
    now = backend.clock.now()
    begin = now + delay_ms
    secret, drawn_run = _secrets(backend, id)
    sent = digest(input.sent)
    by_name = retention_ms is None
    horizon = first_horizon(begin, DEFAULT_RETENTION_MS if retention_ms is None else retention_ms, timeout_ms)
    retention = OF_FUNCTION if retention_ms is None else max(1, -(-retention_ms // 1000))
    return Header(
        id=id,
        fn=fn,
        run=run or drawn_run,
        secret=secret,
        status="PENDING",
        started=now,
        ttl=horizon,
        horizon=horizon,
        retention=retention,
        deadline=None if by_name or timeout_ms is None else begin + timeout_ms,
        timeout_from=begin if by_name else None,
        input_hash=keyed(sent, secret),
        input=input.text,
        sent=sent,
        due=begin,
        updated=now,
    )


def _secrets(backend: Backend, id: str) -> tuple[str, str]:
    """The secret of a new execution, and its run, which distinguishes it from others of this id."""
    if backend.seed is None:
        return secrets.token_hex(16), secrets.token_hex(8)
    text = hashlib.blake2b(id.encode(), key=backend.seed.encode(), digest_size=24).hexdigest()
    return text[:32], text[32:]


def check_fits(store: JournalStore, text: str, what: str) -> None:
    """Raises PayloadTooLarge for a text that fits into no item, even compressed, if there is no blob store."""
    if not store.fits(text):
        size = len(text.encode())
        raise PayloadTooLarge(
            f"{what} is {size:,} bytes as JSON; the journal takes at most {store.max_body:,}. Set DURABLE_FN_BUCKET, or store "
            "it elsewhere and pass its key",
            size=size,
            limit=store.max_body,
        )


def derived_run(parent: Header, id: str, how: str) -> str:
    """The run of an execution that `parent` makes: the same for every try, so that `parent` recognises it. `how`: "call" or
    "send"."""
    text = f"{parent.run}\x00{parent.gen}\x00{id}\x00{how}".encode()
    return hashlib.blake2b(text, key=parent.proof_secret.encode(), digest_size=8).hexdigest()


def digest(input: str) -> str:
    """A hash of the JSON value, so that the order of keys does not matter."""
    canonical = json.dumps(json.loads(input), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


def keyed(digest: str, secret: str) -> str:
    """The stored form of a digest: without the secret nobody can try inputs until one matches."""
    return hmac.new(secret.encode(), digest.encode(), hashlib.sha256).hexdigest()[:32]


def is_same(there: Header, sent: str) -> bool:
    """Whether it was started with the input that has this digest. Raises JournalDamaged if its secret cannot be read, and
    FormatError if it has another format."""
    if there.sealed:
        require_own(there)
    return hmac.compare_digest(there.input_hash, keyed(sent, there.proof_secret))


def check_same(backend: Backend, there: Header, wanted: Header, adapter: Adapter = UNTYPED_ADAPTER) -> None:
    """Raises ExecutionConflict unless `there` is the same function started with the same input.

    Inputs are the same if their hashes are, or if they are after validation: one may leave out defaults that the other has.
    """
    id = there.id
    if there.fn != wanted.fn:
        raise ExecutionConflict(
            f"execution id {id!r} is in use by the durable function {there.fn!r}, not {wanted.fn!r}; ids share one space "
            "per table, so put the function's name into the id",
            execution_id=id,
        )
    if is_same(there, wanted.sent):
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
        texts = [read_input(adapter, text, "an input").text for text in (one, other)]
    except SerializationError:
        return False
    return digest(without_unset(texts[0])) == digest(without_unset(texts[1]))


def read_input(adapter: Adapter, text: str, what: str, terms: Terms = STRICT) -> Kept:
    """A stored input, validated: when it was stored, or else now."""
    sent = from_outside(text)
    return Kept(text, adapter.decode(text, what)) if sent is None else adapter.receive(sent, what, terms)
