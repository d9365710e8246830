"""Policies, durations, ids, names, journal lines: what is taken, what is refused, and that it is refused with a reason."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_fn import Completion, RetryPolicy, durable, step
from durable_fn.core.fan import Fan
from durable_fn.core.step_options import plan_of
from durable_fn.log.durations import aware, milliseconds, moment
from durable_fn.log.events import (
    Event,
    Segment,
    body,
    component,
    has_key,
    key_component,
    operation_key,
    operation_name,
    parse,
    parse_body,
)
from durable_fn.log.ids import checked_id, new_id
from durable_fn.log.journal import Journal
from durable_fn.log.wake import Wake, parse_wake

# -- RetryPolicy ---------------------------------------------------------------------------------------------------


@given(
    st.integers(1, 400), st.floats(0, 1000), st.floats(1, 50), st.floats(0, 100_000),
    st.sampled_from(["full", "half", "none"]), st.floats(0, 1, exclude_max=True),
)  # fmt: skip
def test_delays_grow_to_their_limit(
    attempt: int, initial: float, backoff: float, most: float, jitter: Any, r: float
) -> None:
    policy = RetryPolicy(initial_delay=initial, backoff=backoff, max_delay=most, jitter=jitter)
    delay = policy.delay_ms(attempt, lambda: r)
    assert 0 <= delay <= math.ceil(most * 1000)
    whole = RetryPolicy(initial_delay=initial, backoff=backoff, max_delay=most, jitter="none").delay_ms(attempt)
    assert delay <= whole
    assert {"none": delay == whole, "half": delay >= whole // 2, "full": True}[jitter]
    assert policy.delay_ms(attempt + 1, lambda: r) >= delay - 1


def test_the_documented_delays() -> None:
    policy = RetryPolicy(initial_delay=1, backoff=2, max_delay=10, jitter="none")
    assert [policy.delay_ms(n) for n in (1, 2, 3, 4, 5, 6)] == [1000, 2000, 4000, 8000, 10_000, 10_000]
    assert RetryPolicy(jitter="none").delay_ms(10**6) == 300_000


def test_what_is_retried() -> None:
    assert [RetryPolicy(max_attempts=3).retries(ValueError(), n) for n in (1, 2, 3)] == [True, True, False]
    assert RetryPolicy(max_attempts=None).retries(ValueError(), 10**9)
    assert not RetryPolicy(retry_on=OSError).retries(ValueError(), 1)
    assert RetryPolicy(retry_on=(OSError, ValueError)).retries(ValueError(), 1)
    assert not RetryPolicy(retry_on=ValueError, give_up_on=UnicodeError).retries(UnicodeError(), 1), "give_up_on wins"
    assert RetryPolicy(retry_on=lambda e: "soon" in str(e)).retries(ValueError("soon"), 1)
    assert not RetryPolicy(give_up_on=lambda e: True).retries(ValueError("soon"), 1)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"max_attempts": 0}, "max_attempts must be 1 or more"),
        ({"max_attempts": "3"}, "max_attempts must be 1 or more"),
        ({"initial_delay": -1}, "initial_delay must be 0 or more"),
        ({"initial_delay": "1s"}, "initial_delay must be a timedelta or a number of seconds, not str"),
        ({"max_delay": math.inf}, "max_delay must be 0 or more seconds"),
        ({"backoff": 0.5}, "backoff must be 1 or more"),
        ({"backoff": math.nan}, "backoff must be 1 or more"),
        ({"jitter": "some"}, 'jitter must be "full", "half" or "none"'),
        ({"retry_on": "ValueError"}, "retry_on must be an Exception class"),
        ({"give_up_on": (ValueError, 3)}, "give_up_on must be an Exception class"),
        ({"retry_on": KeyboardInterrupt}, "retry_on must be an Exception class"),
    ],
)
def test_a_policy_that_makes_no_sense(arguments: dict[str, Any], why: str) -> None:
    with pytest.raises((TypeError, ValueError), match=why):
        RetryPolicy(**arguments)


def test_a_policy_is_immutable() -> None:
    with pytest.raises(AttributeError, match="immutable"):
        RetryPolicy().max_attempts = 5


# -- durations and times -------------------------------------------------------------------------------------------


@given(st.floats(0, 3e9))
def test_a_wait_is_never_cut_short(seconds: float) -> None:
    assert milliseconds(seconds, "d") >= math.floor(seconds * 1000 * (1 - 1e-12) - 1e-6)
    assert milliseconds(seconds, "d") - seconds * 1000 < 1.001


@pytest.mark.parametrize(
    ("duration", "why"),
    [
        (-0.001, "0 or more"), (math.nan, "0 or more"), (math.inf, "0 or more"), (timedelta(seconds=-1), "0 or more"),
        ("5", "not str"), (None, "not NoneType"), (True, "not bool"), (timedelta(days=40_000), "100 years"),
    ],
)  # fmt: skip
def test_what_is_no_duration(duration: Any, why: str) -> None:
    with pytest.raises((TypeError, ValueError), match=rf"the wait must be .*{why}"):
        milliseconds(duration, "the wait")


@given(st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(9000, 1, 1), timezones=st.just(UTC)))
def test_moments(when: datetime) -> None:
    assert timedelta(0) <= aware(moment(when, "t")) - when < timedelta(milliseconds=1.001)


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the time must have a time zone.*use datetime\.now\(timezone\.utc\)"):
        moment(datetime(2026, 1, 1), "the time")
    with pytest.raises(TypeError, match="must be a datetime, not str"):
        moment("2026-01-01", "the time")  # type: ignore[arg-type]


# -- ids and names -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("id", ["x", "order-1001", "a/b#c", "üñï-☃", "H", "L#r#1#0", "'; DROP TABLE", "x" * 512])
def test_ids(id: str) -> None:
    assert checked_id(id) == id
    assert checked_id(new_id()) != new_id()


@pytest.mark.parametrize(
    ("id", "why"),
    [
        ("", "1 to 512 bytes"), ("x" * 2048, "2,048 bytes, at most 512 are allowed; hash it"), ("é" * 300, "600 bytes"),
        ("a\nb", "printable"), ("a\x00b", "printable"), (" a", "without blanks"), ("a ", "without blanks"),
        ("\u202eabc", "printable"), ("\ud800", "printable"), (7, "must be a str, not int"), (None, "not NoneType"),
    ],
)  # fmt: skip
def test_what_is_no_id(id: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        checked_id(id)


@given(st.text(min_size=1, max_size=50))
def test_names_come_back_from_ids(name: str) -> None:
    try:
        part = component(name)
    except ValueError:
        assert not name.isprintable()
        return
    assert "/" not in part
    assert "#" not in part
    assert "\t" not in part
    assert operation_name(f"a/b~1/{part}#3") == operation_name(part) == name


@given(st.text(min_size=1, max_size=50), st.text(min_size=1, max_size=50))
def test_names_and_keys_come_back_from_ids(name: str, key: str) -> None:
    try:
        id = f"{component(name)}:{key_component(key)}"
    except ValueError:
        assert not (name + key).isprintable()
        return
    assert "/" not in id
    assert "#" not in id
    assert ":" not in component(name), "an id without a key never looks like one with a key"
    for whole in (id, f"a:b/{id}", f"a/{id}#2"):
        assert (operation_name(whole), operation_key(whole)) == (name, key)
        assert has_key(whole)
        assert not has_key(f"{whole}/{component(name)}")
    assert operation_key(f"{id}/{component(name)}#3") is None


@pytest.mark.parametrize("key", ["", "a\tb", "a\nb", "x" * 257, "\ud800", 5])
def test_keys_that_no_line_can_carry(key: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="a key must be"):
        key_component(key)
    with pytest.raises((TypeError, ValueError), match="a key must be"):
        step(len, key=key)
    with pytest.raises((TypeError, ValueError), match="a key must be"):
        step(key=key)


@pytest.mark.parametrize("name", ["", "a\tb", "a\nb", "x" * 257, 5, None])
def test_names_that_no_line_can_carry(name: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="an operation name must be"):
        component(name)
    with pytest.raises((TypeError, ValueError), match="an operation name must be"):
        step(len, name=name if name is not None else 0)


# -- journal lines -------------------------------------------------------------------------------------------------

_word = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\u2028\u2029\x85"), min_size=1)


_kind, _status = st.sampled_from(["step", "sleep"]), st.sampled_from("BRSFC")
_small, _time = st.integers(1, 9), st.integers(0, 2**45)
_asked = st.sampled_from(["", ":0", "~1/:0", "~1/~12/:34"])
_event = st.builds(Event, _word, _kind, _small, _status, _small, _time, _time, _word, _asked)


@given(st.lists(_event, min_size=1, max_size=5))
def test_lines_come_back(events: list[Event]) -> None:
    assert list(map(repr, parse_body(body(events)))) == list(map(repr, events))


@pytest.mark.parametrize(
    "line",
    [
        "",
        "a",
        "a\tstep\t0\tS\t1\t5",
        "a\tstep\tzero\tS\t1\t5\t\tnull",
        "a:b\tstep\t~1/:\tS\t1\t5\t\tnull",
        "a\tstep\t0\tS\t1\tnow\t\tx",
        "a\tstep\t0\t\x85\t1\t5\t\tnull",
        "a\tstep\t0\tS\t1\t-5\t\tnull",
        "a\tstep\t0\tS\t1\t5\t253402300800000\tnull",
    ],
)
def test_lines_of_others_are_refused(line: str) -> None:
    with pytest.raises(ValueError, match="a journal line that this version did not write"):
        parse(line)


def test_a_line_that_is_refused_is_not_shown() -> None:
    """Somebody's value may be in it, and the error goes into logs."""
    with pytest.raises(ValueError, match=r": 33 characters in 7 fields$") as raised:
        parse("a\tstep\t0\tS\t1\t5\thunter2-the-secret")
    assert "hunter2" not in str(raised.value)


def test_a_hole_in_the_log_is_refused() -> None:
    with pytest.raises(ValueError, match="has segment 2 where 1 was expected"):
        Journal([Segment(0, "w", Event("a", "step", 0, "S", 1, 5).line()), Segment(2, "w", "")])


# -- hints ---------------------------------------------------------------------------------------------------------


@given(st.text(min_size=1, max_size=60), st.text(max_size=9), st.text(max_size=9), st.integers(0, 2**50))
def test_hints_come_back(id: str, run: str, fn: str, due: int) -> None:
    try:
        checked_id(id)
        (run + fn).encode()
    except ValueError:
        return
    hint = Wake(id, run, fn, due)
    assert parse_wake(hint.body()) == hint


# -- steps ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"retry": 3}, r"retry must be a RetryPolicy or a function \(error, attempt\) -> delay or None, not int"),
        ({"timeout": 0}, "timeout must be more than 0"),
        ({"timeout": -1}, "timeout must be 0 or more"),
        ({"semantics": "exactly_once"}, 'must be "at_least_once" or "at_most_once"'),
        ({"raises": (KeyboardInterrupt,)}, "raises must be a tuple of Exception classes"),
        ({"raises": ("ValueError",)}, "raises must be a tuple of Exception classes"),
    ],
)
def test_step_options_that_make_no_sense(arguments: dict[str, Any], why: str) -> None:
    with pytest.raises((TypeError, ValueError), match=why):
        step(**arguments)


def test_options_in_place_win_and_leave_the_function_alone() -> None:
    @step(name="a", timeout=5)
    def fn() -> int:
        return 1

    twin = step(fn, name="b")
    assert (plan_of(fn).name, plan_of(twin).name, plan_of(twin).timeout) == ("a", "b", 5)
    assert fn() == twin() == 1


def test_methods_partials_and_callables_are_steps() -> None:
    import functools

    class Shop:
        def price(self) -> int:
            return 3

        def __call__(self) -> int:
            return 4

    shop = Shop()
    assert plan_of(shop.price).name == "price"
    assert plan_of(functools.partial(shop.price)).name == "price"
    assert plan_of(shop).name == "Shop"
    assert plan_of(lambda: 1).name == "lambda"
    assert plan_of(len).name == "len"


def test_wraps_does_not_carry_a_plan_to_another_function() -> None:
    import functools

    @step(timeout=5)
    def inner() -> int:
        return 1

    plan_of(inner)

    @functools.wraps(inner)
    def outer() -> int:
        return inner()

    assert plan_of(outer).target is outer


def test_copies_with_keys_share_what_their_function_returns() -> None:
    """To resolve annotations takes long, and an agent makes a copy for each call."""

    def fn() -> int:
        return 1

    def other() -> str:
        return ""

    first, second = plan_of(step(fn, key="1")), plan_of(step(fn, key="2"))
    assert (first.key, second.key, plan_of(fn).key) == ("1", "2", None)
    assert first.adapter is second.adapter is plan_of(fn).adapter
    assert plan_of(step(fn, key="3", result_type=str)).adapter is plan_of(other).adapter
    other.__dict__.update({name: value for name, value in fn.__dict__.items() if name != "__durable_plan__"})
    assert plan_of(step(other, key="4")).adapter is not first.adapter


def test_what_is_no_step() -> None:
    with pytest.raises(TypeError, match=r"write ctx\.step\(fn, argument\), not ctx\.step\(fn\(argument\)\)"):
        plan_of(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="takes a function, got int"):
        step(3)  # type: ignore[call-overload]


# -- @durable ------------------------------------------------------------------------------------------------------


def test_handlers_that_cannot_be_durable() -> None:
    from durable_fn import AsyncDurableContext, DurableContext

    def generator(event: Any, ctx: Any) -> Any:
        yield 1

    async def wrong(event: Any, ctx: DurableContext) -> None: ...

    def wrong_too(event: Any, ctx: AsyncDurableContext) -> None: ...

    for fn, why in (
        (generator, "is a generator; return the result instead"),
        (wrong, "annotate its context as AsyncDurableContext"),
        (wrong_too, "make it async def"),
        (3, "takes a function, got int"),
        (lambda event: 1, r"two arguments|\(event, context\)"),
    ):
        with pytest.raises(TypeError, match=why):
            durable(fn)  # type: ignore[call-overload]


async def _async_rule(event: Any) -> str:
    return ""


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"name": ""}, "an operation name must be"), ({"retention": -1}, "retention must be 0 or more"),
        ({"retention": "30d"}, "retention must be a timedelta"),
        ({"step_retry": 3}, r"step_retry must be a RetryPolicy or a function \(error, attempt\) -> delay or None, not int"),
        ({"step_retry": RetryPolicy}, "step_retry must be .* not the class RetryPolicy"),
        ({"hooks": [5]}, "hooks must be durable_fn.hooks.Hooks, got int"), ({"hooks": 5}, "must be a list or tuple"),
        ({"execution_id": 5}, "execution_id must be a function of the event, or a JMESPath into it, not int"),
        ({"execution_id": _async_rule}, "into it, not an async function"),
        ({"execution_id": "a..["}, r"execution_id is no JMESPath: 'a\.\.\['"), ({"execution_id": ""}, "is no JMESPath"),
    ],
)  # fmt: skip
def test_durable_options_that_make_no_sense(arguments: dict[str, Any], why: str) -> None:
    with pytest.raises((TypeError, ValueError), match=why):
        durable(**arguments)(lambda event, ctx: 1)


def test_a_handler_is_made_durable_once() -> None:
    with pytest.raises(TypeError, match="was given 'f', which is durable already; apply it once"):
        durable(durable(name="f")(lambda event, ctx: 1))


def test_an_object_with_an_async_call_is_an_async_handler() -> None:
    from durable_fn import AsyncDurableContext, DurableContext
    from durable_fn.testing import LocalRunner

    class Handler:
        async def __call__(self, event: int, ctx: AsyncDurableContext) -> int:
            await ctx.sleep(5)
            return event + 1

    class Wrong:
        async def __call__(self, event: int, ctx: DurableContext) -> None: ...

    assert LocalRunner(durable(name="f")(Handler())).run(1).result == 2
    with pytest.raises(TypeError, match="annotate its context as AsyncDurableContext"):
        durable(name="f")(Wrong())  # type: ignore[type-var]


# -- completions ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        {"min_successful": 0}, {"min_successful": "1"}, {"min_successful": True}, {"max_failures": -1}, {"max_failures": 0.5},
        {"max_failure_ratio": "x"}, {"max_failure_ratio": 1.5}, {"max_failure_ratio": math.nan}, {"max_failure_ratio": True},
    ],
)  # fmt: skip
def test_completions_that_make_no_sense(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(arguments))} must be"):
        Completion(**arguments)


@given(st.integers(1, 500), st.data())
def test_a_ratio_is_exceeded_only_above_it(total: int, data: st.DataObject) -> None:
    """Also where the product of the two is not what it is on paper: 0.29 * 100 is below 29."""
    failures = data.draw(st.integers(0, total))
    fan = Fan([], Completion(max_failure_ratio=failures / total), None)
    fan.failed = failures
    assert not fan._too_many_failures(total)
    fan.failed += 1
    assert fan._too_many_failures(total)
