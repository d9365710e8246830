"""Hostile and damaged values: refused or made harmless where they come in, and never in the way of others."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from durable_fn import DurableContext, Hooks, durable, wiring
from durable_fn.backends.packed import PackedStore
from durable_fn.client import DurableClient
from durable_fn.errors import CallbackFailed, ExecutionCancelled, ExecutionConflict, PayloadTooLarge, SerializationError
from durable_fn.testing import LocalRunner
from durable_fn.testing.cloud import LocalCloud
from tests.environments import World
from tests.fronts.both import one_call

LONE = "a\ud800z"


@durable(name="asks")
def asks(event: Any, ctx: DurableContext) -> Any:
    return ctx.wait_for_callback(lambda token: None, name="cb")


@pytest.fixture
def asking() -> Any:
    with LocalRunner(asks) as runner:
        yield runner, runner.run(None)


# -- text that is no Unicode ---------------------------------------------------------------------------------------


def test_reasons_with_lone_surrogates(asking: Any) -> None:
    """They are for people: the character is replaced, the request is taken."""
    runner, execution = asking
    runner.fail_callback(execution.callback_token("cb"), LONE, LONE)
    runner.run_until_idle()
    assert isinstance(execution.error, CallbackFailed)
    assert (execution.error.message, execution.error.error_type) == ("a?z", "a?z")

    cancelled = runner.run(None)
    runner.cancel(cancelled.id, LONE * 10_000)
    runner.run_until_idle()
    assert isinstance(cancelled.error, ExecutionCancelled)
    assert cancelled.error.reason == ("a?z" * 10_000)[:4000] + "..."

    ended = runner.run(None)
    runner.client.terminate(ended.id, LONE)
    assert runner.client.describe(ended.id).error == {
        "error_type": "durable_fn.errors.ExecutionTerminated",
        "message": "terminated: a?z",
    }


# -- numbers that JSON does not have -------------------------------------------------------------------------------


class Measure(BaseModel):
    value: float


@pytest.mark.parametrize(
    "value", [float("nan"), {"a": [float("-inf")]}, Measure(value=float("inf")), (1, float("nan"))]
)
def test_payloads_without_a_type_hold_only_json(value: Any, asking: Any) -> None:
    runner, execution = asking
    for send in (
        lambda: runner.signal(execution.id, "s", value),
        lambda: runner.client.start("asks", value),
        lambda: runner.complete_callback(execution.callback_token("cb"), value),
    ):
        with pytest.raises(
            SerializationError, match=r"the payload( of signal 's')? is not JSON: it holds NaN or an infinite number"
        ):
            send()
    assert len(list(runner.client.list())) == 1
    for function in one_call("f", lambda ctx: ctx.set_status(value)):
        with LocalRunner(function) as other:
            error = other.run(None).error
        assert str(error).startswith("the status is not JSON: it holds NaN or an infinite number")


def test_payloads_with_lone_surrogates(asking: Any) -> None:
    runner, execution = asking
    for value in (LONE, {LONE: 1}, (LONE,)):
        with pytest.raises(SerializationError, match="it holds text with a lone surrogate"):
            runner.signal(execution.id, "s", value)


def test_text_that_looks_like_such_a_number(asking: Any) -> None:
    runner, execution = asking
    runner.complete_callback(execution.callback_token("cb"), ("NaN", "Infinity"))
    runner.run_until_idle()
    assert execution.result == ["NaN", "Infinity"]


# -- set_status ----------------------------------------------------------------------------------------------------


def test_a_status_that_cannot_be_stored_is_refused_at_once() -> None:
    import secrets

    from durable_fn.backends.sqlite import SQLiteStore

    statuses: list[tuple[Any, type[Exception], str]] = [
        (secrets.token_hex(500_000), PayloadTooLarge, "the status is 1,000,002 bytes as JSON"),
        (LONE, SerializationError, "the status cannot be stored: it holds text with a lone surrogate"),
    ]
    for status, kind, told in statuses:
        for function in one_call("f", lambda ctx, status=status: ctx.set_status(status)):  # type: ignore[misc]
            with LocalRunner(function) as runner:
                assert isinstance(runner._store, SQLiteStore)
                runner._backend.store = PackedStore(runner._store)  # without blobs
                execution = runner.run(None)
                assert type(execution.error) is kind
                assert str(execution.error).startswith(told)
                assert execution.custom_status is None


@pytest.mark.parametrize(
    "status", [{"$durable": 1}, {"$durable": 0, "v": 1}, {"$durable": 1, "v": {"$": "uuid", "v": 5}}]
)
def test_a_status_that_looks_like_a_mark_is_shown_as_it_is(status: Any) -> None:
    for function in one_call("f", lambda ctx: ctx.set_status(status)):
        with LocalRunner(function) as runner:
            assert runner.run(None).custom_status == status


def test_a_status_before_continue_as_new(world: World) -> None:
    seen: list[Any] = []

    @durable(name="generations")
    def handler(event: Any, ctx: DurableContext) -> str:
        seen.append(world.client.describe("x").custom_status)
        if event < 3:
            if event == 1:
                ctx.set_status("last words")
            ctx.continue_as_new(event + 1)
        ctx.wait_for_signal("go")
        return "done"

    world.run(handler, 1, "x")
    assert seen == [None, "last words", "last words"]
    assert world.client.describe("x").custom_status == "last words"
    world.client.signal("x", "go")
    world.advance(100)
    info = world.client.describe("x")
    assert (info.status, info.custom_status) == ("SUCCEEDED", "last words")


def test_a_status_that_was_written_before_a_death() -> None:
    """The next owner's replay does not say it again, and it is shown all the same."""

    class Dies(Hooks):
        dead = False

        def recorded(self, execution_id: str, event: Any, /) -> None:
            if event.name == "second" and not self.dead:
                self.dead = True
                raise SystemExit

    @durable(hooks=[Dies()])
    def handler(event: Any, ctx: DurableContext) -> None:
        from durable_fn import step

        ctx.set_status("half way")
        ctx.step(step(lambda: None, name="first"))
        ctx.step(step(lambda: None, name="second"))
        ctx.wait_for_signal("go")

    with LocalRunner(handler) as runner:
        execution = runner.start(None)
        with pytest.raises(SystemExit):
            runner.run_until_idle()
        runner.advance(3600)
        assert (execution.status, execution.custom_status) == ("SUSPENDED", "half way")


# -- damaged items -------------------------------------------------------------------------------------------------


def test_one_damaged_header_hides_no_other(caplog: pytest.LogCaptureFixture) -> None:
    with LocalCloud() as cloud:
        cloud.attach(asks)
        cloud.client.start(asks, 1, id="x")
        good = cloud.store.table.get({"pk": {"S": "x"}, "sk": {"S": "H"}})
        assert good is not None
        for id, item in {
            "bare": {},
            "odd": {**good, "started": {"S": "yesterday"}},
            "torn": {**good, "status": {"S": "FAILED"}, "error": {"S": "{"}},
            "foreign": {**good, "input": {"S": "\x02q:???"}},
        }.items():
            cloud.store.table.put({**item, "pk": {"S": id}, "sk": {"S": "H"}})
        for limit, scan in ((None, False), (10, False), (10, True)):
            caplog.clear()
            with caplog.at_level(logging.WARNING, "durable_fn"):
                found = cloud.client.page(scan=True).executions if scan else cloud.client.list(limit=limit)
                shown = {info.id: info.input for info in found}
            assert shown == {"x": 1, "foreign": None}, "what is under way is shown, without what cannot be read"
            for id in ("odd", "torn", *(["bare"] if scan else [])):  # no index has what has none of its keys
                assert f"execution '{id}'" in caplog.text
        secret = good["secret"]["S"]
        assert secret not in caplog.text


def test_no_secret_in_the_repr_of_a_header(asking: Any) -> None:
    runner, execution = asking
    header = runner._header(execution.id)
    assert len(header.secret) == 32
    assert header.secret not in repr(header)


# -- the journal's file after a fork -------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["describe", "history", "list"])
def test_a_child_process_reads_with_a_connection_of_its_own(first: str, tmp_path: Path) -> None:
    client = DurableClient(wiring.sqlite(str(tmp_path / "j.db"), synchronous="off"))
    id = client.start(asks, None)
    store: Any = client._executions.store
    inherited = store.store.database._db
    ask: dict[str, Callable[[], Any]] = {
        "describe": lambda: client.describe(id).id == id,
        "history": lambda: len(client.history(id)) == 1,
        "list": lambda: [info.id for info in client.list()] == [id],
    }
    pid = os.fork()
    if pid == 0:
        right = False
        try:
            right = ask[first]() and store.store.database._db is not inherited
        finally:
            os._exit(0 if right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert store.store.database._db is inherited
    assert ask[first]()


# -- LocalCloud ----------------------------------------------------------------------------------------------------


def test_a_local_cloud_names_the_handler_that_is_missing() -> None:
    with LocalCloud() as cloud:
        cloud.attach(asks)
        cloud.store.register("elsewhere", cloud.queue_url(asks))
        id = cloud.client.start("elsewhere", None)
        with pytest.raises(
            LookupError, match=rf"execution '{id}' needs the handler 'elsewhere'; attach it .* Attached: 'asks'"
        ):
            cloud.run(id)
        mine = cloud.client.start(asks, None)
        with pytest.raises(LookupError, match="needs the handler 'elsewhere'"):
            cloud.run(mine)
        assert cloud.client.describe(mine).status == "SUSPENDED", "it came as far as it could"


# -- words ---------------------------------------------------------------------------------------------------------


def test_a_conflict_tells_a_time_that_people_can_read(world: World) -> None:
    id = world.run(asks, 1, "x")
    with pytest.raises(
        ExecutionConflict, match=r"was started with another payload, at 2026-01-01 00:00:00 UTC; the same id"
    ):
        world.client.start(asks, 2, id=id)
