"""How the audit demo goes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from durable_fn import DurableClient

from ..script import History, Moment, Progress, Scene, Script
from .evidence import export, verify
from .models import Audit, Report
from .systems import SYSTEMS

EVIDENCE = "evidence.jsonl"


def audited(ratio: float) -> Moment:
    """From when so many of the records are done."""

    def reached(history: History) -> bool:
        listed: list[str] = next(
            (event.result for event in history if event.name == "list_records" and event.result), []
        )
        done = sum(event.kind == "branch" for event in history)
        return bool(listed) and done >= ratio * len(listed)

    return reached


def _effects(_audit: Audit, report: Report) -> Mapping[str, int] | None:
    """Of an incomplete audit nobody knows which cases were opened before it stopped."""
    if report.verdict == "incomplete":
        return None
    return {"report": 1, **({"case": len(report.flagged)} if report.flagged else {})}


def _evidence(client: DurableClient, id: str, directory: Path) -> Mapping[str, str]:
    seal = export(client, id, directory / EVIDENCE)
    verify(directory / EVIDENCE, seal.head)
    return {"evidence": f"{EVIDENCE}, {seal.events:,} events", "SHA-256": seal.head}


SCRIPT = Script(
    name="audit_pipeline",
    title="An audit: thousands of records, bounded concurrency, tolerated failures, hash-chained evidence.",
    event_type=Audit,
    id=lambda audit: str(audit.audit_id),
    begins=lambda audit: f"audit of {audit.records:,} records, {audit.max_concurrency} at a time",
    systems=SYSTEMS,
    scenes={
        "findings": Scene("Some records are damaged, some are flagged.", kills=(audited(0.5),), effects=_effects),
        "incomplete": Scene(
            "No damaged record is tolerated: the first one ends the audit.",
            kills=(audited(0.01),),
            effects=_effects,
            changes={"max_failure_ratio": 0},
        ),
    },
    latency=0.06,
    progress=Progress("audit", lambda audit: int(audit.records)),
    result_name="report",
    keeps=_evidence,
)
