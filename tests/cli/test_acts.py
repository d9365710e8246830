"""Commands that act, on one execution or on many."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from durable_fn import DurableClient
from durable_fn.cli.bulk import every
from durable_fn.errors import ExecutionConflict
from durable_fn.types import ExecutionFilter

from .shop import BANK, Shop, approval, many, order, refund, run


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    BANK["up"] = True
    return Shop(tmp_path / "journal.db")


def status(shop: Shop, id: str) -> str:
    return shop.client.describe(id).status


def test_start(shop: Shop, tmp_path: Path) -> None:
    assert shop.said("start", "order", '"apple"', "--id", "o-1") == "o-1\n"
    assert shop.told("start", "order", '"apple"', "--id", "o-1") == {
        "format": "durable_fn.started",
        "version": 1,
        "id": "o-1",
    }
    assert "in use" in shop.said("start", "order", '"apple"', "--id", "o-1", "--if-exists", "reject", code=1)
    (tmp_path / "pear.json").write_text('"pear"')
    shop.run("start", "tests.cli.shop:order", f"@{tmp_path}/pear.json", "--id", "o-2")
    shop.run("start", "order", "-", "--id", "o-3", input='"plum"')
    assert [shop.client.describe(f"o-{n}").input for n in (1, 2, 3)] == ["apple", "pear", "plum"]
    assert "A text needs its quotes" in shop.said("start", "order", "apple", code=1)
    assert "no durable function 'nix'" in shop.said("start", "nix", code=1)


def test_start_and_wait(shop: Shop) -> None:
    shop.client.start(order, "apple", id="done")
    shop.work(order)
    assert "done: SUCCEEDED paid apple" in shop.said("start", "order", '"apple"', "--id", "done", "--wait", "0")
    shop.client.terminate(shop.client.start(order, "pear", id="ended"))
    assert "TERMINATED" in shop.said("start", "order", '"pear"', "--id", "ended", "--wait", "0", code=1)
    assert "PENDING, not" in shop.said("start", "order", '"plum"', "--wait", "0", code=1)


def answered(shop: Shop, id: str) -> list[str | None]:
    """Who did."""
    return [event.by for event in shop.client.history(id) if event.kind == "callback" and event.status != "STARTED"]


def test_answers(shop: Shop) -> None:
    for id in ("yes", "no", "late"):
        shop.client.start(approval, id, id=id)
    shop.work(approval)
    token = shop.client.callback_token("yes", "approve")
    shop.run("callback", "heartbeat", token)
    shop.run("callback", "complete", token, "--result", '{"by": "eve"}', "--by", "bob")
    shop.run(
        "callback",
        "fail",
        "--id",
        "no",
        "--name",
        "approve",
        "--message",
        "never",
        "--error-type",
        "Refused",
        "--by",
        "joe",
    )
    assert "no open callback 'nix'; open: 'approve'" in shop.said(
        "callback", "complete", "--id", "late", "--name", "nix", code=1
    )
    assert "by its token, or by --id and --name" in shop.said("callback", "complete", "--id", "late", code=1)
    assert "unknown callback token" in shop.said("callback", "complete", "junk", code=1)
    shop.work(approval)
    assert "signal 'ship' sent" in shop.said("signal", "yes", "ship", "[1]", "--by", "ada")
    shop.work(approval)
    assert shop.client.result("yes") == [{"by": "eve"}, [1]]
    assert (shop.client.describe("no").error or {})["error_type"].endswith("CallbackFailed")
    (taken,) = [event for event in shop.client.history("yes") if event.kind == "signal" and event.status == "SUCCEEDED"]
    assert taken.by == "ada"
    assert [answered(shop, id) for id in ("yes", "no", "late")] == [["bob"], ["joe"], []]
    assert "by 'bob'" in shop.said("history", "yes")


def test_one_is_steered_without_a_question(shop: Shop) -> None:
    for id in ("a", "b", "c"):
        shop.client.start(approval, id, id=id)
    shop.work(approval)
    assert shop.said("cancel", "a", "--reason", "no longer", "--by", "bob") == "a: cancel\n"
    assert shop.said("terminate", "b", "--reason", "stuck", "--by", "eve") == "b: terminate\n"
    shop.work(approval)
    assert (status(shop, "a"), status(shop, "b"), status(shop, "c")) == ("CANCELLED", "TERMINATED", "SUSPENDED")
    asked = [(event.kind, event.by, event.reason) for event in shop.client.history("a") if event.by]
    assert asked == [("cancel", "bob", "no longer")]
    asked = [(event.kind, event.by, event.reason) for event in shop.client.history("b") if event.by]
    assert asked == [("execution", "eve", "stuck")]
    copy = shop.said("fork", "c", "--from-step", "approve", "--new-id", "copy", "--by", "ada")
    assert copy == "copy\n"
    assert [event.by for event in shop.client.history("copy") if event.kind == "fork"] == ["ada"]
    shop.run("purge", "b")
    assert "b" not in shop.ids()
    assert "is under way" in shop.said("purge", "c", code=1)


def test_who_acts_is_the_actor_of_the_environment(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.client.start(approval, "a", id="a")
    monkeypatch.setenv("DURABLE_FN_ACTOR", "ada@example")
    shop.run("cancel", "a")
    assert [event.by for event in shop.client.history("a") if event.kind == "cancel"] == ["ada@example"]


@pytest.fixture
def some(shop: Shop) -> Shop:
    ids = list(many("o", 5))
    shop.client.start_many(order, ids, ids=ids)
    shop.client.start(refund, "chair", id="refund")
    return shop


def test_a_dry_run_does_nothing(some: Shop) -> None:
    said = some.said("terminate", "--function", "order", "--dry-run")
    assert "5 executions would be changed (terminate). Nothing was done." in said
    assert some.ids("--status", "TERMINATED") == []


def test_the_count_is_confirmed(some: Shop) -> None:
    words = ("terminate", "--function", "order")
    assert "'6' is not 5: nothing was done" in some.said(*words, code=1, input="6\n")
    assert "--confirm 4 was given, and 5 executions found" in some.said(*words, "--confirm", "4", code=1)
    assert "give --confirm 5" in some.told(*words, code=1)["error"]["message"]
    assert "\nError: nobody answered; give --confirm 5: nothing was done" in some.said(*words, code=1, input="")
    assert some.ids("--status", "TERMINATED") == []
    assert "terminate: 5 executions done, 0 not." in some.said(*words, input="5\n")
    assert len(some.ids("--status", "TERMINATED")) == 5
    assert "0 executions done" in some.said("terminate", "--held")


def test_something_has_to_be_chosen(some: Shop) -> None:
    assert "or give --all" in some.said("purge", code=1)
    assert "not both" in some.said("terminate", "o-0001", "--all", code=1)
    assert "there is no execution 'nix'" in some.said("terminate", "nix", "o-0001", "--confirm", "2", code=1)
    assert status(some, "o-0001") == "PENDING", "nothing was done to the others"
    some.run("terminate", "--all", "--confirm", "6")
    assert len(some.ids("--status", "TERMINATED")) == 6


def test_what_had_ended_is_told(some: Shop) -> None:
    assert some.said("terminate", "o-0001") == "o-0001: terminate\n"
    for verb in ("terminate", "cancel"):
        assert some.said(verb, "o-0001") == f"o-0001: {verb}, it had ended before: TERMINATED\n"


def test_optional_arguments_are_in_brackets_once() -> None:
    for words in (["purge"], ["check"], ["replay"], ["init"], ["start"], ["callback", "complete"]):
        usage = next(line for line in run(*words, "--help").output.splitlines() if "Usage" in line)
        assert "[[" not in usage


def test_some_that_cannot_be_done_are_told(some: Shop) -> None:
    some.client.terminate("o-0003")
    told = some.told("redrive", "o-0001", "o-0002", "o-0003", "--confirm", "3", code=3)
    assert {row["id"] for row in told["executions"] if row["done"]} == {"o-0003"}
    assert all("nothing to redrive" in row["error"] for row in told["executions"] if not row["done"])
    assert "is PENDING" in some.said("redrive", "o-0001", code=1)


def test_a_filter_passes_over_what_it_cannot_be_done_to(some: Shop) -> None:
    some.client.terminate("o-0003")
    said = some.said("redrive", "--function", "order", "--dry-run")
    assert (
        "1 execution would be changed (redrive). Nothing was done.\n4 executions passed over: nothing to redrive"
        in said
    )
    told = some.told("purge", "--function", "order", "--dry-run")
    assert (told["passed_over"], [row["id"] for row in told["executions"]]) == (4, ["o-0003"])
    assert some.told("terminate", "--function", "order", "--dry-run")["passed_over"] == 1
    some.run("purge", "--function", "order", "--confirm", "1")
    assert len(some.ids("--function", "order")) == 4


def test_a_redrive_from_a_step_takes_what_succeeded(shop: Shop) -> None:
    shop.client.start(order, "apple", id="o")
    shop.work(order)
    assert "0 executions would" in shop.said("redrive", "--function", "order", "--dry-run")
    assert "1 execution would" in shop.said("redrive", "--function", "order", "--from-step", "charge", "--dry-run")


def test_overdue_in_a_file_wants_a_worker(shop: Shop) -> None:
    shop.client.start(refund, "chair", id="refund")
    (overdue,) = [row for row in shop.told("doctor", code=1)["findings"] if row["part"] == "overdue"]
    assert overdue["fix"] == "start a worker of this journal: `durable-fn worker PATH`, or `dev`"


def test_every_page_of_many(some: Shop) -> None:
    assert len(list(every(some.client, ExecutionFilter(name="order")))) == 5


def test_a_mistyped_journal_is_not_made(tmp_path: Path) -> None:
    from .shop import run

    for words in (["cancel", "x"], ["start", "order"], ["terminate", "--all"], ["sweep"], ["doctor"]):
        assert "there is no journal" in run(*words, "--backend", f"sqlite:///{tmp_path}/nix.db", code=1).output
    assert list(tmp_path.iterdir()) == []


# -- the client's part -----------------------------------------------------------------------------------------------------


def test_start_many(shop: Shop) -> None:
    client = shop.client
    ids = client.start_many(order, ["a", "b"])
    assert [client.describe(id).input for id in ids] == ["a", "b"]
    assert client.start_many(order, []) == []
    with pytest.raises(ValueError, match="an id for each payload"):
        client.start_many(order, ["a"], ids=["x", "y"])
    bad: Any = ["a", 1]
    with pytest.raises(Exception, match="payload"):
        client.start_many(order, bad, ids=["p", "q"])
    client.start(order, "other", id="y")
    with pytest.raises(ExecutionConflict, match="'y'"):
        client.start_many(order, ["a", "b", "c"], ids=["x", "y", "z"])
    assert [client.describe(id).input for id in ("x", "y", "z")] == ["a", "other", "c"], "the others were started"
    assert len(list(client.list())) == 5, "what is refused was refused before"


def test_wait(shop: Shop) -> None:
    from durable_fn.errors import CallTimeout

    client = shop.client
    client.start(approval, "a", id="a")
    assert client.wait("a", status=["PENDING"], timeout=0).status == "PENDING"
    with pytest.raises(CallTimeout, match=r"'a' is PENDING, not SUSPENDED, after 5 s"):
        client.wait("a", status=["SUSPENDED"], timeout=5)
    shop.work(approval)
    waiting = client.wait("a", status=["SUSPENDED"], timeout=0)
    assert waiting.waiting_for == ("approve",)
    client.terminate("a")
    assert client.wait("a", timeout=0).status == "TERMINATED"
    with pytest.raises(CallTimeout, match="and has ended"):
        client.wait("a", status=["SUCCEEDED"], timeout=1000)


@pytest.mark.parametrize(
    "cursor", ["", "junk", "W10", "WzEsMl0", "WyJhIiwiYiJd", "WzEsImEiXQ==x", "\x00", "WzEuNSwieCJd", "Wy0xLCJ4Il0"]
)
def test_a_cursor_of_somebody_elses_making(shop: Shop, cursor: str) -> None:
    with pytest.raises(ValueError, match="is no cursor of a list"):
        shop.client.page(cursor=cursor)


def test_pages_are_bounded(shop: Shop) -> None:
    for limit in (0, 1001, -1):
        with pytest.raises(ValueError, match="1 to 1,000"):
            shop.client.page(limit=limit)


def test_info_as_json(shop: Shop) -> None:
    shop.client.start(order, "a", id="a")
    row = json.loads(json.dumps(shop.client.describe("a").to_json()))
    assert (row["id"], row["status"], row["waiting_for"], row["overdue"]) == ("a", "PENDING", [], False)
    assert row["updated_at"] == row["started_at"]
    assert row["started_at"].endswith("+00:00")


def test_a_signal_that_another_process_sees(shop: Shop) -> None:
    """A reader sees what a writer has written, by itself."""
    assert isinstance(shop.client, DurableClient)
    shop.client.start(order, "a", id="a")
    assert shop.ids() == ["a"]
