"""What is called wrongly is refused where it is called, in words that say what to do; in both fronts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, MutableSet
from typing import Any
from weakref import WeakSet

import pytest

from durable_fn import AsyncDurableContext, Completion, DurableContext, durable, step
from durable_fn.errors import BatchError
from durable_fn.testing import LocalRunner
from tests.fronts.both import failure_of, one_call, run


@pytest.fixture
def kept() -> Iterator[list[Any]]:
    """Coroutines that nobody awaits, held until the test is over: Python warns when one is thrown away, whenever that is."""
    coroutines: list[Any] = []
    yield coroutines
    for coroutine in coroutines:
        coroutine.close()


def nothing(*args: Any, **kwargs: Any) -> None: ...


async def anothing(*args: Any) -> None: ...


_FUNCTION = "must be a RetryPolicy or a function (error, attempt) -> delay or None, not"
_LIST = "takes a list, a tuple or a dict of branches, got function; for a single one write a list of one"
_UNTIL = "until of ctx.poll must be a plain function of the state that says whether it is good, got"

CALLS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "submit none": (
        lambda c: c.wait_for_callback(None),
        "TypeError: ctx.wait_for_callback takes a function of the token, got NoneType",
    ),
    "submit coroutine": (
        lambda c: c.wait_for_callback(anothing()),
        "TypeError: ctx.wait_for_callback takes a function of the token, got a coroutine; hand over the function 'anothing'",
    ),
    "submit retry": (
        lambda c: c.wait_for_callback(nothing, retry=3),
        f"TypeError: the retry of ctx.wait_for_callback {_FUNCTION} int",
    ),
    "poll retry": (
        lambda c: c.poll(nothing, initial=0, until=bool, retry=3),
        f"TypeError: the retry of ctx.poll {_FUNCTION} int",
    ),
    "poll check": (
        lambda c: c.poll(None, initial=0, until=bool),
        "TypeError: ctx.poll takes a function of the state, got NoneType",
    ),
    "poll until": (lambda c: c.poll(nothing, initial=0, until=None), f"TypeError: {_UNTIL} NoneType"),
    "async until": (lambda c: c.poll(nothing, initial=0, until=anothing), f"TypeError: {_UNTIL} an async function"),
    "poll every": (
        lambda c: c.poll(nothing, initial=0, until=bool, every="5"),
        "TypeError: every must be a timedelta or a number of seconds",
    ),
    "async every": (
        lambda c: c.poll(nothing, initial=0, until=bool, every=anothing),
        f"TypeError: every {_FUNCTION} function",
    ),
    "parallel function": (lambda c: c.parallel(nothing), f"TypeError: ctx.parallel {_LIST}"),
    "parallel coroutine": (
        lambda c: c.parallel([anothing()]),
        "TypeError: a branch must be a function of the context, got a coroutine; hand over the function 'anothing' itself",
    ),
    "race function": (lambda c: c.race(nothing), f"TypeError: ctx.race {_LIST}"),
    "race of none": (lambda c: c.race([]), "ValueError: ctx.race needs at least one branch"),
    "map items": (lambda c: c.map(nothing, 5), "TypeError: ctx.map takes a function and the items for it, got int"),
    "completion": (
        lambda c: c.parallel([nothing], completion="all"),
        "TypeError: completion must be a Completion, not str",
    ),
    "none of none": (
        lambda c: c.map(nothing, [], completion=Completion(min_successful=1)),
        "ValueError: min_successful is 1, but there are only 0 branches",
    ),
    "option name": (
        lambda c: c.step(lambda: 1, name="x"),
        "TypeError: step 'lambda' got an unexpected keyword argument 'name'; name is an option of the step, not an argument "
        "of its function: write ctx.step(step(lambda, name=...), ...)",
    ),
    "sleep name": (
        lambda c: c.sleep(1, name=""),
        "ValueError: an operation name must be 1 to 256 printable characters, got ''",
    ),
    "callback name": (lambda c: c.callback(""), "ValueError: an operation name must be"),
    "child name": (lambda c: c.child(nothing, name=""), "ValueError: an operation name must be"),
    "poll name": (lambda c: c.poll(nothing, initial=0, until=bool, name=""), "ValueError: an operation name must be"),
    "empty key": (
        lambda c: c.step(step(nothing, key="")),
        "ValueError: a key must be 1 to 256 printable characters, got ''",
    ),
    "callback key": (lambda c: c.callback(key=""), "ValueError: a key must be 1 to 256 printable characters, got ''"),
    "awaited key": (lambda c: c.wait_for_callback(nothing, key="a\n"), "ValueError: a key must be 1 to 256 printable"),
    "child key": (lambda c: c.child(nothing, key="k" * 257), "ValueError: a key must be 1 to 256 printable"),
    "number for a key": (lambda c: c.child(nothing, key=7), "TypeError: a key must be a str, not int"),
    "key as an argument": (
        lambda c: c.step(lambda: 1, key="x"),
        "TypeError: step 'lambda' got an unexpected keyword argument 'key'; key is an option of the step, not an argument "
        "of its function: write ctx.step(step(lambda, key=...), ...)",
    ),
    "poll with a key": (
        lambda c: c.poll(step(nothing, key="k"), initial=0, until=bool),
        "ValueError: the check 'nothing' of ctx.poll has the key 'k', and a key is good for one call",
    ),
    "submitter with a key": (
        lambda c: c.wait_for_callback(step(nothing, key="k")),
        "ValueError: the submitter of ctx.wait_for_callback has the key 'k'; give it to the callback",
    ),
    "map over a set": (
        lambda c: c.map(nothing, {"a", "b"}),
        "TypeError: ctx.map got a set, whose order differs from process to process: a replay would take one's result for "
        "another one's. Write ctx.map(fn, sorted(items))",
    ),
    "map over a frozenset": (
        lambda c: c.map(nothing, frozenset("ab")),
        "TypeError: ctx.map got a frozenset, whose order",
    ),
    "map over an empty set": (lambda c: c.map(nothing, set()), "TypeError: ctx.map got a set, whose order"),
    "map over a set with names": (
        lambda c: c.map(nothing, {"a"}, item_name=str),
        "TypeError: ctx.map got a set, whose",
    ),
    "map over what a set gives": (
        lambda c: c.map(nothing, iter({"a"})),
        "TypeError: ctx.map got a set_iterator, whose",
    ),
    "map over a set of views": (
        lambda c: c.map(nothing, {"a": 1}.keys() | {"b"}),
        "TypeError: ctx.map got a set, whose order",
    ),
    "map over weak references": (
        lambda c: c.map(nothing, WeakSet([nothing])),
        "TypeError: ctx.map got a WeakSet, whose",
    ),
    "a set of branches": (
        lambda c: c.parallel({nothing, anothing}),
        "TypeError: ctx.parallel got a set, whose order differs from process to process: a replay would take one's result "
        "for another one's. Write a list, or a dict that names the branches",
    ),
    "a race of a set": (lambda c: c.race(frozenset([nothing])), "TypeError: ctx.race got a frozenset, whose order"),
}


@pytest.mark.parametrize("what", CALLS)
def test_calls_that_make_no_sense(what: str) -> None:
    call, told = CALLS[what]
    for function in one_call("f", call):
        execution = run(function)
        assert f"{type(execution.error).__name__}: {execution.error}".startswith(told)
        assert [event.kind for event in execution.history] == ["execution", "execution"], "nothing was recorded"


class Ordered(MutableSet[str]):
    """A set that keeps the order."""

    def __init__(self, items: Iterable[str]) -> None:
        self._items = dict.fromkeys(items)

    def __contains__(self, item: object) -> bool:
        return item in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def add(self, value: str) -> None: ...
    def discard(self, value: str) -> None: ...


@pytest.mark.parametrize(
    "items",
    [{"b": 1, "a": 2}, {"b": 1, "a": 2}.keys(), {1: "b", 2: "a"}.values(), Ordered("ba"), ("b", "a"), iter("ba")],
    ids=lambda items: type(items).__name__,
)
def test_a_map_over_what_has_an_order(items: Iterable[str]) -> None:
    async def own(c: AsyncDurableContext, item: str) -> str:
        return item

    async def asyn(c: AsyncDurableContext) -> list[str]:
        return (await c.map(own, items)).results

    sync = one_call("f", lambda c: c.map(lambda c, item: item, items).results)[0]
    for function in (sync, one_call("f", asyn)[1]):
        items = list(items) if isinstance(items, Iterator) else items
        assert run(function).result == ["b", "a"]


def test_a_keyword_that_the_function_takes_is_its_own() -> None:
    def greets(name: str, *, timeout: int = 1) -> str:
        return f"{name} {timeout}"

    for function in one_call("f", lambda c: c.step(greets, name="Ann", timeout=3)):
        assert run(function).result == "Ann 3"
    wrong: Any = lambda c: c.step(greets, name="Ann", colour="red")
    for function in one_call("f", wrong):
        assert "unexpected keyword argument 'colour'" in failure_of(function)


# -- async code in def handlers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda c: c.parallel([anothing]), "branch"), (lambda c: c.parallel({"a": anothing}), "branch"),
        (lambda c: c.map(anothing, [1]), "branch"), (lambda c: c.race([anothing]), "branch"),
        (lambda c: c.child(anothing), "child"),
    ],
)  # fmt: skip
def test_an_async_branch_of_a_def_handler(call: Any, what: str) -> None:
    sync, _ = one_call("f", call)
    assert failure_of(sync) == (
        f"TypeError: {what} 'anothing' is an async function, but this handler is a plain def, which would never run it: make "
        f"the handler `async def` (with AsyncDurableContext), or the {what} a plain function"
    )


def test_a_plain_function_that_returns_a_coroutine() -> None:
    """Nobody can tell before it is called."""
    sneaky: Any = lambda ctx, *args: anothing()

    @durable
    def branches(event: Any, ctx: DurableContext) -> None:
        (ctx.parallel([sneaky]) if event == 1 else ctx.map(sneaky, [1])).results

    @durable
    def child(event: Any, ctx: DurableContext) -> None:
        ctx.child(sneaky)

    with LocalRunner(branches) as runner:
        for event in (1, 2):
            error = runner.run(event).error
            assert isinstance(error, BatchError)
            assert str(error.__cause__).startswith(
                "branch 'lambda' returned a coroutine, which a plain def handler cannot run"
            )
    assert failure_of(child).startswith(
        "TypeError: child 'lambda' returned a coroutine, which a plain def handler cannot run"
    )


def test_a_coroutine_as_a_result_is_not_blamed_on_a_step() -> None:
    @durable
    def handler(event: Any, ctx: DurableContext) -> Any:
        return anothing()

    assert failure_of(handler) == (
        "SerializationError: the result of 'handler' cannot be stored: a coroutine cannot be stored; nobody awaited it: await "
        "it, in an async def function"
    )


def test_a_value_that_cannot_be_stored_is_named_before_the_way_out() -> None:
    for function in one_call("f", lambda c: c.step(lambda: {"file": [open]})):
        assert failure_of(function).startswith(
            "SerializationError: the result of step 'lambda' cannot be stored: at .file[0]: a value of class "
        )


# -- operations that nobody awaited --------------------------------------------------------------------------------


def test_a_forgotten_await_fails_the_execution(kept: list[Any]) -> None:
    """Also when turns lie between; and what ran is recorded."""
    ran: list[str] = []

    @durable
    async def handler(event: Any, ctx: AsyncDurableContext) -> str:
        kept.append(ctx.step(step(ran.append, name="first"), "first"))
        await ctx.sleep(60)
        await ctx.step(step(ran.append, name="second"), "second")
        ctx.sleep(5)
        return "ok"

    execution = run(handler)
    assert ran == ["second"]
    assert execution.status == "FAILED"
    assert isinstance(execution.error, RuntimeError)
    assert str(execution.error) == (
        "the handler returned, but it never awaited step 'first', sleep 'sleep#2': it did not run. Write `await "
        "ctx.step(...)`, or hand the coroutine to asyncio.gather or a TaskGroup and await that"
    )


@pytest.mark.parametrize("call", [lambda c: c.patched("x"), lambda c: c.callback("x")])
def test_other_things_that_want_an_await(call: Any) -> None:
    @durable
    async def handler(event: Any, ctx: AsyncDurableContext) -> str:
        return "yes" if call(ctx) else "no"

    assert "never awaited" in failure_of(handler)


def test_a_forgotten_await_in_a_branch() -> None:
    @durable
    async def handler(event: Any, ctx: AsyncDurableContext) -> None:
        async def branch(ctx: AsyncDurableContext) -> None:
            ctx.step(nothing)

        (await ctx.parallel([branch])).results

    assert "never awaited step 'parallel/0/nothing'" in failure_of(handler)


def test_what_was_dropped_on_purpose_is_no_forgotten_await(kept: list[Any]) -> None:
    @durable
    async def handler(event: Any, ctx: AsyncDurableContext) -> str:
        task = asyncio.create_task(ctx.step(nothing))
        task.cancel()
        ctx.step(nothing).close()

        async def loser(ctx: AsyncDurableContext) -> None:
            kept.append(later := ctx.step(nothing))
            await ctx.sleep(1000)
            await later

        async def fails(ctx: AsyncDurableContext) -> None:
            kept.append(later := ctx.step(nothing))
            await ctx.step(step(lambda: 1 / 0))
            await later

        async def winner(ctx: AsyncDurableContext) -> str:
            await ctx.sleep(60)
            return "won"

        return str((await ctx.race([loser, winner, fails]))[1])

    assert run(handler).result == "won"


def test_the_error_of_the_handler_comes_first(kept: list[Any], caplog: pytest.LogCaptureFixture) -> None:
    @durable
    async def handler(event: Any, ctx: AsyncDurableContext) -> None:
        kept.append(ctx.step(nothing))
        raise ValueError("mine")

    assert failure_of(handler) == "ValueError: mine"
    assert "called and never awaited before the handler failed: step 'nothing'" in caplog.text


# -- words ---------------------------------------------------------------------------------------------------------


def test_timeouts_name_a_way_out() -> None:
    def told(call: Callable[[Any], Any]) -> set[str]:
        said = set()
        for function in one_call("f", call):
            with LocalRunner(function) as runner:
                execution = runner.run(None)
                runner.advance(100)
                said.add(str(execution.error))
        return said

    assert told(lambda c: c.wait_for_signal("go", timeout=5)) == {
        "no signal 'go' came in time; one that comes later stays buffered for the next wait. Wait longer with timeout=, or catch "
        "SignalTimeout and go on without it"
    }
    assert told(lambda c: c.wait_for_callback(nothing, name="ok", timeout=5)) == {
        "callback 'ok': no answer came in time. Wait longer with timeout=, or catch CallbackTimeout and go on without it"
    }
    (beat,) = told(lambda c: c.wait_for_callback(nothing, name="ok", heartbeat_timeout=5))
    assert "no heartbeat came in time. The other side must call heartbeat_callback(token) more often" in beat


def test_a_branch_that_is_not_there() -> None:
    @durable
    def handler(event: Any, ctx: DurableContext) -> list[str]:
        batch = ctx.parallel({"a": nothing, "b": nothing})
        told = []
        for key in (7, -3, "c"):
            with pytest.raises(KeyError) as caught:
                batch[key]
            told.append(caught.value.args[0])
        assert batch[-1].name == "b"
        return told

    assert run(handler).result == [f"no branch {key!r}; there are 0 'a', 1 'b'" for key in (7, -3, "c")]
