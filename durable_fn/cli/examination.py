"""What a doctor looks at: each part says what it found, and what to do about it."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterator
from typing import Final

from ..backends.ports import Backend
from ..errors import JournalDamaged
from ..log.header import Header
from ..log.selection import Selection
from .aws_setup import Clients, set_up
from .findings import FAIL, OK, WARN, Finding, asked

_SHOWN: Final = 5


def examine(backend: Backend, clients: Clients | None) -> Iterator[Finding]:
    """`clients`: of AWS, where the journal is there."""
    there = True
    if clients is None:
        yield Finding("environment", OK, f"an embedded journal: {os.environ.get('DURABLE_FN_BACKEND', '')}")
    else:
        for finding in set_up(backend, clients):
            there = there and (finding.part, finding.state) != ("table", FAIL)
            yield finding
    if there:
        yield from _codec(backend)
        yield from _registry(backend)
        yield from _executions(backend)


# -- what is in it ---------------------------------------------------------------------------------------------------------


def _codec(backend: Backend) -> Iterator[Finding]:
    """By the newest execution: its values can be read here, or not."""
    newest = asked(lambda: backend.store.find(Selection(), None, 1).headers)
    if isinstance(newest, Exception):
        yield Finding("values", FAIL, str(newest), "see permissions, and the table")
        return
    if not newest:
        yield Finding("values", OK, "there is no execution yet")
        return
    told = asked(lambda: backend.store.get(newest[0].id))
    if isinstance(told, JournalDamaged):
        fix = (
            "set DURABLE_FN_KMS_KEY as the functions have it, or name your module that configures the codec with --app"
        )
        yield Finding("values", FAIL, str(told), fix)
    elif isinstance(told, Exception):
        yield Finding("values", FAIL, str(told), "the message says what")
    else:
        how = "encrypted, and can be read here" if backend.store.encrypts else "not encrypted"
        yield Finding("values", OK, f"of the newest execution: {how}")


def _registry(backend: Backend) -> Iterator[Finding]:
    names = asked(lambda: sorted(backend.store.functions()))
    if isinstance(names, Exception):
        yield Finding("registry", FAIL, str(names), "allow dynamodb:Query on the table")
    elif not names:
        told = json.loads(os.environ.get("DURABLE_FN_QUEUES") or "{}")
        fix = "run each function once, or name their queues in DURABLE_FN_QUEUES of whoever starts them"
        yield Finding(
            "registry", WARN if not told else OK, "no durable function has registered itself", "" if told else fix
        )
    else:
        yield Finding("registry", OK, ", ".join(names))


def _executions(backend: Backend) -> Iterator[Finding]:
    now = backend.clock.now()
    for what, wanted, fix in (
        ("held", Selection(held=True), "`durable-fn list --held` says why: deploy code that fits, mend, or terminate"),
        (
            "overdue",
            Selection(overdue=True, now=now),
            "start a worker of this journal: `durable-fn worker PATH`, or `dev`"
            if backend.kind == "sqlite"
            else "look whether queues, event sources and the sweeper work; `durable-fn sweep` sends wake-ups",
        ),
    ):
        told = asked(functools.partial(backend.store.find, wanted, None, 100))
        if isinstance(told, Exception):
            continue  # said already
        headers: list[Header] = told.headers
        if headers:
            ids = ", ".join(repr(header.id) for header in headers[:_SHOWN])
            more = " or more" if told.after is not None else ""
            yield Finding(what, FAIL, f"{len(headers)}{more}: {ids}{', ...' if len(headers) > _SHOWN else ''}", fix)
        else:
            yield Finding(what, OK, "none")
