"""`durable-fn doctor`: whether all that a journal needs is there, and what to do about what is not."""

from __future__ import annotations

import os
from typing import Any, Final

import typer
from rich.text import Text

from . import screens
from .command import FAILED, Target, emit, on_journal, say
from .examination import examine
from .findings import FAIL, OK, WARN, Finding

_SHOWN: Final = {OK: ("✔", "green"), WARN: ("!", "yellow"), FAIL: ("✘", "red")}


@on_journal
def doctor(target: Target) -> None:
    """Look at environment, table, indices, TTL, queues, functions, rights, codec and registry; say how to mend what is wrong."""
    backend = target.world(read_only=True)
    found = list(examine(backend, client if backend.kind == "aws" else None))
    if target.json:
        emit("doctor", findings=[finding._asdict() for finding in found])
    else:
        for finding in found:
            say(*_lines(finding))
    if any(finding.state == FAIL for finding in found):
        raise typer.Exit(FAILED)


def _lines(finding: Finding) -> list[Text]:
    glyph, style = _SHOWN[finding.state]
    line = Text.assemble((f"{glyph} ", style), screens.plain(f"{finding.part}: ", "bold"), screens.plain(finding.told))
    return [line, screens.plain(f"  fix: {finding.fix}", style)] if finding.fix else [line]


def client(service: str) -> Any:
    import botocore.session
    from botocore.config import Config

    config = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 2})
    return botocore.session.get_session().create_client(
        service, region_name=os.environ.get("AWS_REGION"), config=config
    )
