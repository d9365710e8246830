"""Other executions: starting them from a handler or from outside, and asking them to end."""

from __future__ import annotations

import json

from .core.effects import Launch
from .core.header import Header, Key, Note, Refusal
from .core.inbox import CANCEL, FAILURE, SUCCESS, entry, numbered
from .errors import ExecutionConflict
from .hints import send_hint
from .ports import Backend
from .starting import check_same, derived_run, new_header


def launch(backend: Backend, parent: Header, asked: Launch) -> str | None:
    """Creates it and sends its first message. An execution that this operation made before, or that has ended with the same
    input, is as good; any other is ExecutionConflict. Returns the outcome where nobody will be told of it."""
    wanted = new_header(
        backend,
        asked.id,
        asked.fn,
        asked.input,
        retention_ms=asked.retention_ms,
        timeout_ms=asked.timeout_ms,
        run=derived_run(parent, asked.id),
        delay_ms=asked.delay_ms,
    )
    if asked.key is not None:
        wanted.parent = parent_text(parent, asked.key)
    reply = backend.store.create(wanted)
    if isinstance(reply, Header):
        if reply.status == "PENDING":
            send_hint(backend, reply, backend.clock.now())
        return outcome(reply) if asked.key is not None and not reply.live and reply.parent != wanted.parent else None
    there = reply.header
    assert there is not None
    check_same(backend, there, wanted, asked.adapter)
    if asked.key is None or there.parent == wanted.parent:
        return None
    if there.live:
        raise ExecutionConflict(
            f"execution {there.id!r} is under way already and was not started by this operation; wait for it with a signal, "
            "or call it under another id",
            execution_id=there.id,
        )
    full = backend.store.get(there.id)
    return outcome(full or there)


def parent_text(parent: Header, key: str) -> str:
    """Who is to be told of the end, as a header keeps it."""
    told = {
        "id": parent.id,
        "run": parent.run,
        "gen": parent.gen,
        "fn": parent.fn,
        "key": key,
        "started": parent.started,
    }
    return json.dumps(told, ensure_ascii=False)


def note_of(header: Header, writer: str, now: int) -> Note:
    """What this end tells the execution that waits for it."""
    parent = json.loads(header.parent or "{}")
    waiting = Key(parent["id"], parent["run"], parent["gen"])
    return Note(waiting, parent["fn"], entry(parent["key"], writer, outcome(header)), now)


def outcome(header: Header) -> str:
    """The end of an execution as an inbox entry's body."""
    if header.status == "SUCCEEDED":
        return SUCCESS + (header.result or "null")
    return f"{FAILURE}{header.status} {header.error or ''}"


def cancel_own(backend: Backend, parent: Header, id: str, reason: str, writer: str) -> None:
    """Asks an execution to end, if it is one that this parent made."""
    there = backend.store.get(id)
    if there is not None and there.run == derived_run(parent, id):
        cancel(backend, id, reason, writer)


def cancel(backend: Backend, id: str, reason: str | None, writer: str) -> Header | Refusal | None:
    """Asks it to end. None: there is no such execution. Asked twice, or finished, it has no effect."""
    while True:
        header = backend.store.get(id)
        if header is None or not header.live or header.cancel:
            return header
        now = backend.clock.now()
        reply = backend.store.deliver(header, entry(numbered(CANCEL, header.n, ""), writer, reason or ""), now)
        if isinstance(reply, Header):
            send_hint(backend, reply, now)
        elif reply.reason == "unknown":
            continue  # it went on as the next generation meanwhile
        return reply
