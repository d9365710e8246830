"""The history of an execution as evidence: JSON lines, each sealed with the hash of all before it.

    python -m handlers_demo.audit_pipeline.evidence export EXECUTION_ID FILE     (DURABLE_FN_* name the journal)
    python -m handlers_demo.audit_pipeline.evidence verify FILE [HEAD]

A changed, missing, added or moved line breaks the chain. Who can write the whole file can also make a new chain: keep its head,
which both commands print, somewhere else, and verify against it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from durable_fn import DurableClient
from durable_fn.errors import DurableError

FORMAT: Final = "durable-fn-evidence-1"


class EvidenceError(ValueError):
    """The file is not what was written; the text names the line."""


@dataclass(frozen=True)
class Seal:
    """`head`: SHA-256 that stands for the whole file."""

    execution_id: str
    events: int
    head: str


def export(client: DurableClient, id: str, path: Path) -> Seal:
    """Writes the whole history. An execution that goes on gives what there is; ExecutionNotFound as `client.history`."""
    info, events = client.describe(id), client.history(id)
    opening = {"format": FORMAT, "execution_id": id, "function": info.name, "started_at": info.started_at.isoformat()}
    closing = {"events": len(events), "status": info.status}
    rows = [opening, *(event.to_json() for event in events), closing]
    head, partial = "", path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8") as file:
        for row in rows:
            text = _canonical(row)
            head = _link(head, text)
            file.write(f'{{"sha256":"{head}","entry":{text}}}\n')
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    return Seal(id, len(events), head)


def verify(path: Path, head: str | None = None) -> Seal:
    """Reads it line by line. Raises EvidenceError for the first line that does not fit, and for another head than this one."""
    entries = list(_entries(path))
    first, last = entries[0] if entries else {}, entries[-1] if entries else {}
    if first.get("format") != FORMAT:
        raise EvidenceError(f"{path} does not begin as evidence does: {FORMAT} is missing")
    if last.get("events") != len(entries) - 2:
        raise EvidenceError(f"{path} has no end: {len(entries) - 1} events, and not the line that counts them")
    found = _head(path)
    if head is not None and not hmac.compare_digest(found, head):
        raise EvidenceError(f"the head of {path} is {found}, not {head}: it is another file")
    return Seal(str(first["execution_id"]), len(entries) - 2, found)


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    head = ""
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                row = json.loads(line)
                given, entry = row["sha256"], row["entry"]
                head = _link(head, _canonical(entry))
                intact = isinstance(entry, dict) and hmac.compare_digest(head, given)
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                raise EvidenceError(f"line {number} cannot be read: {type(error).__name__}") from None
            if not intact:
                raise EvidenceError(f"line {number} is not what was written, or a line before it is missing")
            yield entry


def _head(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        return str(json.loads(list(file)[-1])["sha256"])


def _canonical(row: dict[str, Any]) -> str:
    return json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=str)


def _link(head: str, text: str) -> str:
    return hashlib.sha256(f"{head}\n{text}".encode()).hexdigest()


def main(arguments: Sequence[str] | None = None) -> None:
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if len(given) == 3 and given[0] == "export":
            seal = export(DurableClient.from_env(), given[1], Path(given[2]))
        elif len(given) in (2, 3) and given[0] == "verify":
            seal = verify(Path(given[1]), *given[2:])
        else:
            raise SystemExit((__doc__ or "").strip())
    except (EvidenceError, DurableError, RuntimeError, OSError) as error:
        raise SystemExit(f"Error: {error}") from error
    sys.stdout.write(f"{seal.execution_id}: {seal.events} events, head {seal.head}\n")


if __name__ == "__main__":
    main()
