"""A history as a tree with times."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from durable_fn import DurableContext, RetryPolicy, durable, step
from durable_fn.testing import LocalRunner
from durable_fn.ui.timeline import cut, drawn

DOWN = [True]


def ok(value: Any = None) -> Any:
    return value


@step(retry=RetryPolicy(max_attempts=3, initial_delay=10, jitter="none"))
def flaky() -> str:
    if DOWN[0]:
        raise ValueError("no")
    return "yes"


def branch(ctx: DurableContext, n: int, *_: Any) -> int:
    ctx.sleep(10 * (n + 1))
    return ctx.step(ok, n)


@durable(name="all")
def handler(event: None, ctx: DurableContext) -> None:
    ctx.step(ok, 1)
    ctx.map(branch, [0, 1, 2], name="fan")
    ctx.sleep(60)
    ctx.step(ok, 2)
    ctx.step(flaky)
    ctx.callback("open", timeout=500).result()


def shown(runner: LocalRunner, id: str) -> dict[str, Any]:
    return drawn(runner.client.document(id))


def seconds(runner: LocalRunner, id: str, text: str) -> float:
    return (datetime.fromisoformat(text) - runner.client.describe(id).started_at).total_seconds()


def test_a_tree_with_times() -> None:
    DOWN[0] = True
    with LocalRunner(handler) as runner:
        runner.start(None, "x")
        runner.advance(10)
        runner.advance(80)
        rows = {row["id"]: row for row in shown(runner, "x")["operations"]}
        assert list(rows)[:7] == ["ok", "fan", "fan/0", "fan/0/sleep", "fan/0/ok", "fan/1", "fan/1/sleep"]
        assert [rows[id]["depth"] for id in ("fan", "fan/1", "fan/1/sleep")] == [0, 1, 2]
        times = {id: [seconds(runner, "x", rows[id][at]) for at in ("from", "to")] for id in rows if rows[id]["to"]}
        assert times["fan"] == [0, 30]
        assert [times[f"fan/{n}"] for n in range(3)] == [[0, 10], [0, 20], [0, 30]], "they run beside each other"
        assert times["fan/2/ok"] == [30, 30], "a step begins where its branch stood"
        assert times["sleep"] == [30, 90]
        assert rows["flaky"]["status"] == "RETRYING"
        assert rows["fan"]["children"] == 3


def test_attempts_with_their_pauses_and_an_open_wait() -> None:
    DOWN[0] = True
    with LocalRunner(handler) as runner:
        runner.start(None, "x")
        runner.advance(95)
        DOWN[0] = False
        runner.advance(20)
        found = shown(runner, "x")
        rows = {row["id"]: row for row in found["operations"]}
        flaky_ = rows["flaky"]
        spans = [[seconds(runner, "x", one["from"]), seconds(runner, "x", one["to"])] for one in flaky_["attempts"]]
        assert spans == [[90, 90], [100, 100]], "a pause is no attempt"
        assert [one["status"] for one in flaky_["attempts"]] == ["FAILED", "SUCCEEDED"]
        assert (flaky_["status"], flaky_["due"]) == ("SUCCEEDED", None)
        assert rows["open"]["status"] == "WAITING"
        assert rows["open"]["to"] is None
        assert seconds(runner, "x", rows["open"]["due"]) == 600
        turns = found["invocations"]
        assert [turn["replayed"] for turn in turns] == [sum(t["entries"] for t in turns[:n]) for n in range(len(turns))]
        assert all(turn["from"] <= turn["to"] for turn in turns)


def test_what_a_redrive_forgot_stays_to_be_seen() -> None:
    DOWN[0] = True
    with LocalRunner(handler) as runner:
        runner.start(None, "x")
        runner.advance(200)
        assert runner.client.describe("x").status == "FAILED"
        DOWN[0] = False
        runner.client.redrive("x", by="ada", reason="mended")
        runner.advance(1)
        found = shown(runner, "x")
        (row,) = [row for row in found["operations"] if row["id"] == "flaky"]
        assert row["status"] == "SUCCEEDED"
        assert [one.get("forgotten", False) for one in row["attempts"]][-2:] == [True, False]
        assert [(one["kind"], one["by"], one["reason"]) for one in found["markers"]] == [("redrive", "ada", "mended")]


def test_what_a_redrive_forgot_and_the_code_does_not_do_again_is_shown_as_forgotten() -> None:
    versions = [1]

    def fails() -> None:
        raise OSError("no lorry")

    @durable(name="shop")
    def handler(event: None, ctx: DurableContext) -> None:
        ctx.step(ok)
        if versions[0] == 1:
            ctx.step(step(fails, name="ship", retry=RetryPolicy(max_attempts=1)))

    with LocalRunner(handler) as runner:
        runner.run(None, "x")
        versions[0] = 2
        runner.client.redrive("x")
        runner.run_until_idle()
        rows = {row["id"]: row for row in shown(runner, "x")["operations"]}
        assert [(id, row["forgotten"], row["status"]) for id, row in rows.items()] == [
            ("ok", False, "SUCCEEDED"), ("ship", True, "FAILED"),
        ]  # fmt: skip
        assert rows["ship"]["to"] is not None


def test_what_was_open_at_the_end_was_left() -> None:
    with LocalRunner(handler) as runner:
        runner.start(None, "x")
        runner.advance(1)
        runner.client.terminate("x")
        rows = {row["id"]: row for row in shown(runner, "x")["operations"]}
        assert rows["fan/0/sleep"]["status"] == "LEFT"
        assert rows["fan/0/sleep"]["to"] is not None


def test_a_value_is_cut_by_its_text() -> None:
    assert cut(None) is None
    assert cut({"a": 1}) == {"json": {"a": 1}}
    long = cut("x" * 3000)
    assert (len(long["cut"]), long["size"]) == (2000, 3002)


def _event(id: str, kind: str, status: str, at: int, **more: Any) -> dict[str, Any]:
    return {"id": id, "kind": kind, "name": id, "at": f"2026-01-01T00:{at // 60:02}:{at % 60:02}+00:00", "status": status,
            "attempt": 1, **more}  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from(["a", "b", "0", "1", "10", "</x>"]), min_size=1, max_size=4),
            st.sampled_from(["step", "sleep", "map", "branch", "call", "of-a-newer-version"]),
            st.sampled_from(["STARTED", "SUCCEEDED", "FAILED"]),
            st.booleans(),
        ),
        max_size=30,
    ),
    st.booleans(),
)
def test_whatever_is_in_a_log_is_drawn(entries: list[Any], over: bool) -> None:
    """Each operation once, behind what holds it, no end before its beginning."""
    events = [
        _event("/".join(path), kind, status, at, **({"forgotten": True} if forgotten else {}))
        for at, (path, kind, status, forgotten) in enumerate(entries)
    ]
    end = "2026-01-01T00:59:00+00:00" if over else None
    execution = {"started_at": "2026-01-01T00:00:00+00:00", "finished_at": end}
    rows = drawn({"execution": execution, "waits": [], "invocations": [], "events": events})["operations"]
    ids = [row["id"] for row in rows]
    assert len(ids) == len(set(ids))
    assert {"/".join(path) for path, *_ in entries} <= set(ids)
    for place, row in enumerate(rows):
        assert row["parent"] is None or row["parent"] in ids[:place]
        assert row["from"] is not None
        assert row["to"] is None or row["from"] <= row["to"]
        assert all(one["from"] <= one["to"] for one in row["attempts"])
        assert not over or row["to"] is not None


def test_a_branch_that_is_told_of_late_ends_no_sooner_than_it_begins() -> None:
    events = [_event("1/a", "step", "SUCCEEDED", 1), _event("1", "branch", "STARTED", 2)]
    execution = {"started_at": "2026-01-01T00:00:00+00:00", "finished_at": "2026-01-01T00:59:00+00:00"}
    [branch, _] = drawn({"execution": execution, "waits": [], "invocations": [], "events": events})["operations"]
    assert branch["from"] <= branch["to"]


def test_deep_names_do_not_recurse() -> None:
    id = "/".join("x" * 3000)
    execution = {"started_at": "2026-01-01T00:00:00+00:00", "finished_at": None}
    found = drawn(
        {"execution": execution, "waits": [], "invocations": [], "events": [_event(id, "step", "SUCCEEDED", 1)]}
    )
    assert len(found["operations"]) == 3000
