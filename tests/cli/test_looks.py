"""Commands that look: what is shown, how it is filtered, and as JSON."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

import durable_fn
from durable_fn import DurableContext, RetryPolicy, durable, step
from durable_fn.cli import times
from durable_fn.cli.charts import operations
from durable_fn.client.moments import moment
from durable_fn.testing import LocalRunner

from .shop import BANK, Shop, approval, order, refund, run

LONG = "order-" + "x" * 200


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """One that failed, one that waits for somebody, one that nobody takes, one that is done, one with a long id."""
    shop = Shop(tmp_path / "journal.db")
    BANK["up"] = False
    shop.client.start(order, "apple", id="failed")
    shop.work(order, until=2)
    BANK["up"] = True
    for function, id in ((approval, "waiting"), (order, LONG), (refund, "overdue")):
        shop.clock.sleep(1)
        shop.client.start(function, "pear", id=id)
    shop.work(order, approval)
    return shop


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ([], ["overdue", LONG, "waiting", "failed"]),
        (["--status", "failed"], ["failed"]),
        (["--status", "FAILED", "--status", "SUSPENDED"], ["waiting", "failed"]),
        (["--function", "approval"], ["waiting"]),
        (["--name", "order"], [LONG, "failed"]),
        (["--name-prefix", "re"], ["overdue"]),
        (["--id-prefix", "order-"], [LONG]),
        (["--overdue"], ["overdue"]),
        (["--held"], []),
        (["--has-error"], ["failed"]),
        (["--no-error", "--function", "order"], [LONG]),
        (["--started-since", "150m"], ["overdue", LONG, "waiting"]),
        (["--started-before", "150m"], ["failed"]),
        (["--updated-since", "150m", "--id-prefix", "f"], []),
        (["--parent", "none"], []),
        (["--limit", "2"], ["overdue", LONG]),
    ],
    ids=lambda value: " ".join(value)[:40],
)
def test_filters(shop: Shop, filters: list[str], ids: list[str]) -> None:
    assert (
        shop.ids(*[f for f in filters if f != "--limit" and f != "2"])[: len(ids) if "--limit" in filters else None]
        == ids
    )
    told = shop.told("list", *filters)
    assert [row["id"] for row in told["executions"]] == ids
    assert (told["format"], told["version"]) == ("durable_fn.executions", 1)


@pytest.mark.parametrize("width", ["20", "40", "80", "500"])
def test_ids_are_whole_at_any_width(shop: Shop, width: str) -> None:
    for words in (["list"], ["show", LONG], ["history", LONG], ["list", "--ids"]):
        assert LONG in shop.run(*words, env={"COLUMNS": width}).output


def test_pages(shop: Shop) -> None:
    first = shop.told("list", "--limit", "3")
    assert f"--cursor {first['cursor']}" in shop.said("list", "--limit", "3")
    second = shop.told("list", "--limit", "3", "--cursor", first["cursor"])
    assert [row["id"] for row in second["executions"]] == ["failed"]
    assert second["cursor"] is None
    assert "no cursor of a list" in shop.said("list", "--cursor", "junk", code=1)


def test_what_an_execution_waits_for(shop: Shop) -> None:
    said = shop.said("show", "waiting")
    assert "waiting: SUSPENDED" in said
    assert "callback approve: whoever was given the token of callback 'approve'; since" in said
    assert re.search(r"until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC \(in 2 d \d+ h\)", said)
    told = shop.told("show", "waiting")
    assert [(wait["id"], wait["kind"]) for wait in told["waits"]] == [("approve", "callback")]
    assert told["execution"]["waiting_for"] == ["approve"]


def test_an_error_with_its_traceback_and_the_timeline(shop: Shop) -> None:
    said = shop.said("show", "failed")
    for words in (
        "StepError: step 'charge' failed after 2 attempts: ConnectionError: the bank is down",
        "return ctx.step(charge, event)",
        'custom status  {"stage": "paying"}',
        "attempt 2, ConnectionError: the bank is down",
        "the code was run from its beginning 3 times",
        "1 min 30 s",
    ):
        assert words in said, words
    assert re.search(r"sleep +┄+● +1 min", said)
    assert re.search(r"charge +✘┄+✘ +30 s", said)


def test_a_result(shop: Shop) -> None:
    assert "result         paid pear" in shop.said("show", LONG)


def test_describe_is_show(shop: Shop) -> None:
    strip = lambda text: re.sub(r"(so far|updated|next due|waits|callback).*", "", text)
    assert strip(shop.said("describe", "failed")) == strip(shop.said("show", "failed"))


def test_the_history_is_the_clients_document(shop: Shop) -> None:
    told = shop.told("history", "failed")
    assert told == json.loads(json.dumps(shop.client.document("failed")))
    assert (told["format"], told["version"]) == ("durable_fn.history", 1)
    assert [len(told[part]) > 0 for part in ("events", "invocations")] == [True, True]
    versions = {event.get("code_version") for event in told["events"] if event["kind"] == "step"}
    assert len(versions) == 1
    assert len(versions.pop()) == 8
    assert [row["entries"] for row in told["invocations"]] == [2, 2, 2]


def test_a_record_is_what_a_test_replays(shop: Shop) -> None:
    from durable_fn.testing import replay

    rows = json.loads(shop.said("history", LONG, "--record"))
    assert replay(order, rows) == "paid pear"


def test_what_came_behind_an_operation(shop: Shop) -> None:
    said = shop.said("history", "failed", "--after", "sleep")
    assert "reserve" not in said
    assert "charge" in said
    assert "no entry of an operation 'nix'" in shop.said("history", "failed", "--after", "nix", code=1)


def test_an_export_has_a_document_a_line(shop: Shop) -> None:
    lines = shop.said("export", "--function", "order").splitlines()
    assert [json.loads(line) for line in lines] == [
        json.loads(json.dumps(shop.client.document(id))) for id in (LONG, "failed")
    ]
    assert len(shop.said("export", "--limit", "1").splitlines()) == 1


def test_an_export_says_what_cannot_be_read(shop: Shop) -> None:
    shop.backend.store.store.database.write("UPDATE segments SET body = 'junk' WHERE id = ?", ("failed",))  # type: ignore[attr-defined]
    lines = [json.loads(line) for line in shop.said("export", "--function", "order").splitlines()]
    assert "unread" not in lines[0]
    assert "a journal line that this version did not write" in lines[1]["unread"]
    assert "Its log cannot be read" in shop.said("show", "failed")
    assert "did not write" in shop.told("show", "failed")["unread"]


def test_functions_and_version(shop: Shop) -> None:
    assert shop.said("functions").split() == ["approval", "order", "refund"]
    assert shop.told("functions")["functions"] == ["approval", "order", "refund"]
    assert run("--version").output == f"durable-fn {durable_fn.__version__}\n"


def test_watching_ends_with_the_execution(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 2:
            shop.client.complete_callback(shop.client.callback_token("waiting", "approve"), "yes")
            shop.client.terminate("waiting")

    monkeypatch.setattr("durable_fn.cli.looks.time.sleep", sleep)
    said = shop.said("show", "waiting", "--watch", "--every", "7", "--json")
    assert looks == [7, 7]
    assert said.count('"status": "TERMINATED"') == 1, "and what has not changed is not printed again"


def test_watching_ends_when_somebody_interrupts(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("durable_fn.cli.looks.time.sleep", interrupt)
    assert "overdue" in shop.said("list", "--watch")


def test_errors_as_json(shop: Shop) -> None:
    told = shop.told("show", "nix", code=1)
    assert told["format"] == "durable_fn.error"
    assert told["error"]["error_type"] == "ExecutionNotFound"
    assert shop.told("list", "--status", "nix", code=1)["error"]["message"].startswith("no status 'NIX'")


def test_a_mistyped_function_is_told(shop: Shop) -> None:
    said = shop.said("list", "--function", "oder")
    assert said.startswith("No executions: no durable function 'oder' is known. Known: approval, order, refund")
    assert shop.said("list", "--function", "order", "--held", "--id-prefix", "nix") == "No executions.\n"


def test_no_journal_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DURABLE_FN_BACKEND", "DURABLE_FN_TABLE"):
        monkeypatch.delenv(name, raising=False)
    assert "name the journal by --table NAME or --backend sqlite:///journal.db" in run("list", code=1).output


def test_two_journals_are_one_too_many(shop: Shop) -> None:
    assert "name two journals" in shop.said("list", "--table", "t", code=2)


def test_the_application_is_imported_first(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "its_codec.py").write_text("raise RuntimeError('imported')")
    monkeypatch.chdir(tmp_path)
    assert "imported" in shop.said("list", "--app", "its_codec", code=1)
    assert "cannot be imported" in shop.said("list", "--app", "no_such", code=1)


def test_times() -> None:
    now = datetime(2026, 1, 31, 2, 47, tzinfo=UTC)
    assert moment("2h", now) == now - timedelta(hours=2)
    assert moment("1.5d", now) == now - timedelta(days=1.5)
    assert moment("2026-01-31T02:47+01:00") == now - timedelta(hours=1)
    assert moment("2026-01-31T02:47").tzinfo is not None
    for text in ("soon", "99999999d", "9" * 400 + "w", "٣d", "0001-01-01T00:00+23:00h"):
        with pytest.raises(ValueError, match="is no time: write 30m, 2h or 3d"):
            moment(text, now)
    spans = {
        0: "0 s",
        0.0001: "< 1 ms",
        0.25: "0.25 s",
        47: "47 s",
        125: "2 min 5 s",
        11400: "3 h 10 min",
        90000: "1 d 1 h",
    }
    for seconds, text in {**spans, -60: "-1 min"}.items():
        assert times.span(seconds) == text
    assert times.distance(now, now - timedelta(minutes=5)) == "in 5 min"
    assert times.local(now, utc=True) == "2026-01-31 02:47:00 UTC"
    kolkata = now.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert times.both(kolkata) in ("2026-01-31 02:47:00 UTC", times.both(now))


def test_a_zone_is_said(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        said = shop.run("show", "failed", env={"TZ": "Asia/Kolkata"}).output
        assert re.search(r"started +[\d-]+ [\d:]+ IST \([\d: -]+ UTC\)", said)
        assert " UTC" in shop.run("list", "--utc", env={"TZ": "Asia/Kolkata"}).output
    finally:
        monkeypatch.undo()
        time.tzset()


def test_operations_of_a_redriven_execution_stand_apart() -> None:
    down = [True]

    @step(retry=RetryPolicy(max_attempts=1))
    def ship() -> str:
        if down[0]:
            raise ConnectionError("down")
        return "shipped"

    @durable(name="ships")
    def ships(event: None, ctx: DurableContext) -> str:
        return ctx.step(ship)

    with LocalRunner(ships) as runner:
        execution = runner.run(None, "x")
        down[0] = False
        runner.client.redrive("x")
        runner.run_on(execution)
        rows = operations(runner.client.history("x"))
        assert [(row.id, row.status, row.forgotten) for row in rows] == [
            ("ship", "FAILED", True),
            ("ship", "SUCCEEDED", False),
        ]


def test_operations_of_branches_stand_below_what_holds_them() -> None:
    @durable(name="nested")
    def nested(event: None, ctx: DurableContext) -> int:
        def slow(branch: DurableContext, item: int) -> int:
            branch.sleep(60)
            return branch.step(lambda: item)

        return len(ctx.map(slow, [1, 2], name="all"))

    with LocalRunner(nested) as runner:
        rows = operations(runner.run(None, "x").history)
    each = [f"all/{n}{inner}" for n in (0, 1) for inner in ("", "/sleep", "/lambda")]
    assert [row.id for row in rows] == ["all", *each]
    spans = {row.id: (row.ended - row.began).total_seconds() for row in rows if row.ended is not None}
    assert (spans["all/0"], spans["all/1"]) == (60, 60), "a branch lasts as long as what is in it"
