"""The audit on the embedded journal, and its evidence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from durable_fn import DurableClient
from durable_fn.errors import ExecutionNotFound
from durable_fn.testing import DurableRunner, Execution, crash_everywhere
from handlers_demo.audit_pipeline import archive
from handlers_demo.audit_pipeline.evidence import EvidenceError, export, main, verify
from handlers_demo.audit_pipeline.handler import handler, issues
from handlers_demo.audit_pipeline.models import Audit
from handlers_demo.audit_pipeline.systems import SYSTEMS, TRACKER
from handlers_demo.systems import DIRECTORY_VARIABLE, effects

SAMPLE = Audit.model_validate_json((Path(__file__).parent / "event.json").read_text())
AUDIT = SAMPLE.model_copy(update={"records": 60, "max_concurrency": 8})


@pytest.fixture(autouse=True)
def _own_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path / "systems"))


def test_the_report(durable_runner: DurableRunner) -> None:
    report = durable_runner(handler).run(AUDIT).result
    assert (report.verdict, report.records, report.audited) == ("findings", 60, 59)
    assert report.failed == {"invoices-2026-00027": "invoices-2026-00027 is damaged: its checksum is wrong"}
    assert sum(report.issues.values()) >= len(report.flagged) > 0
    assert effects(SYSTEMS) == {"case": len(report.flagged), "report": 1}
    assert [case.partition(":")[0] for case in sorted(TRACKER.details("case"))] == report.flagged


def test_a_busy_archive_is_asked_again_and_a_damaged_record_is_not(durable_runner: DurableRunner) -> None:
    execution = durable_runner(handler).run(SAMPLE.model_copy(update={"records": 200}))
    tries = {}
    for event in execution.history:
        if event.name == "inspect" and event.attempt > 1:
            tries[event.id] = event.attempt
    assert set(tries.values()) == {2}
    damaged = [e for e in execution.history if e.name == "inspect" and e.error and e.due is None]
    assert damaged
    assert {event.attempt for event in damaged} <= {1, 2}


@pytest.mark.parametrize(("ratio", "verdict"), [(1 / 60, "findings"), (0.016, "incomplete"), (0, "incomplete")])
def test_how_many_failures_are_tolerated(ratio: float, verdict: str, durable_runner: DurableRunner) -> None:
    report = durable_runner(handler).run(AUDIT.model_copy(update={"max_failure_ratio": ratio})).result
    assert (report.verdict, len(report.failed)) == (verdict, 1)
    assert (report.audited < 59) == (verdict == "incomplete")


def test_never_more_at_a_time_than_allowed(durable_runner: DurableRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    lock, now, most = threading.Lock(), [0], [0]

    def take_a_moment() -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        gate.wait(0.005)
        with lock:
            now[0] -= 1

    gate = threading.Event()
    monkeypatch.setattr("handlers_demo.audit_pipeline.handler.take_a_moment", take_a_moment)
    durable_runner(handler).run(AUDIT.model_copy(update={"max_concurrency": 5}))
    assert 1 < most[0] <= 5


def test_the_checks_find_what_is_wrong() -> None:
    found = {issue for n in archive.numbers("a", 400) for issue in _issues(n)}
    assert found >= {"wrong sum", "wrong tax", "self-approved"}
    good = next(i for n in archive.numbers("a", 9) if not issues(i := archive.read(n, 2)))
    assert issues(good.model_copy(update={"approved_by": good.issued_by})) == ["self-approved"]
    assert issues(good.model_copy(update={"total": good.total + 1})) == ["wrong sum"]
    assert issues(good.model_copy(update={"tax": good.tax + 1, "total": good.total + 1})) == ["wrong tax"]


def _issues(number: str) -> list[str]:
    try:
        return [str(issue) for issue in issues(archive.read(number, 2))]
    except archive.Unreadable:
        return []


def test_nothing_happens_twice_wherever_the_process_dies() -> None:
    small = AUDIT.model_copy(update={"records": 27, "max_concurrency": 4, "max_failure_ratio": 0.1})

    def check(execution: Execution[Any]) -> None:
        assert (execution.result.audited, len(execution.result.failed)) == (26, 1)
        assert effects(SYSTEMS) == {"case": len(execution.result.flagged), "report": 1}
        for system in SYSTEMS:
            system.path.unlink()

    report = crash_everywhere(handler, small, check=check)
    assert report.ok, str(report)
    assert report.crash_points > 10


# -- evidence ------------------------------------------------------------------------------------------------------


@pytest.fixture
def client(durable_runner: DurableRunner) -> DurableClient:
    runner = durable_runner(handler)
    runner.run(AUDIT)
    return runner.client


def test_evidence_is_the_whole_history(client: DurableClient, tmp_path: Path) -> None:
    file = tmp_path / "evidence.jsonl"
    seal = export(client, "audit-2026", file)
    lines = [json.loads(line)["entry"] for line in file.read_text().splitlines()]
    history = [json.loads(json.dumps(event.to_json(), default=str)) for event in client.history("audit-2026")]
    assert lines[1:-1] == history
    assert (lines[0]["execution_id"], lines[-1]) == ("audit-2026", {"events": len(history), "status": "SUCCEEDED"})
    assert verify(file, seal.head) == seal
    assert export(client, "audit-2026", tmp_path / "again.jsonl") == seal, "the same history has the same head"


def test_evidence_of_nothing(client: DurableClient, tmp_path: Path) -> None:
    with pytest.raises(ExecutionNotFound):
        export(client, "never", tmp_path / "evidence.jsonl")
    assert list(tmp_path.glob("evidence*")) == []


def tampered(lines: list[str]) -> dict[str, list[str]]:
    changed = lines[5].replace("SUCCEEDED", "FAILED", 1)
    assert changed != lines[5]
    return {
        "line 6 is not": [*lines[:5], changed, *lines[6:]],
        "line 7 is not": [*lines[:6], *lines[7:]],
        "line 8 is not": [*lines[:7], lines[8], lines[7], *lines[9:]],
        "line 2 is not": [lines[0], lines[0], *lines[1:]],
        "line 1 is not": lines[1:],
        "has no end": lines[:-1],
        "does not begin": [],
        "line 4 cannot be read": [*lines[:3], '{"sha256": 5}', *lines[4:]],
        "line 5 cannot be read": [*lines[:4], "[" * 100_000, *lines[5:]],
    }


def test_whoever_touches_it_is_noticed(client: DurableClient, tmp_path: Path) -> None:
    file = tmp_path / "evidence.jsonl"
    export(client, "audit-2026", file)
    for why, lines in tampered(file.read_text().splitlines()).items():
        (tmp_path / "tampered.jsonl").write_text("".join(f"{line}\n" for line in lines))
        with pytest.raises(EvidenceError, match=why):
            verify(tmp_path / "tampered.jsonl")


def test_a_new_chain_has_another_head(client: DurableClient, tmp_path: Path) -> None:
    seal = export(client, "audit-2026", tmp_path / "evidence.jsonl")
    with pytest.raises(EvidenceError, match="it is another file"):
        verify(tmp_path / "evidence.jsonl", seal.head[::-1])


def test_the_command(client: DurableClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "evidence.jsonl"
    seal = export(client, "audit-2026", file)
    main(["verify", str(file), seal.head])
    assert capsys.readouterr().out == f"audit-2026: {seal.events} events, head {seal.head}\n"
    for arguments, why in {
        ("verify", str(tmp_path / "none")): "Error: ",
        ("verify", str(file), "x"): "it is another file",
        ("look", str(file)): "evidence export EXECUTION_ID FILE",
    }.items():
        with pytest.raises(SystemExit, match=why):
            main(arguments)
