"""Errors as data."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_fn.errors import SerializationError
from durable_fn.log import failures
from durable_fn.log.failures import Failure
from durable_fn.values.remade import class_name


class Declined(Exception):
    def __init__(self, code: str, *, retry: bool) -> None:
        super().__init__(f"declined: {code}")
        self.code = code
        self.retry = retry


class Expired(Declined):
    pass


class Evil(Exception):
    def __str__(self) -> str:
        raise ValueError("no")

    @property
    def data(self) -> Any:
        raise KeyError("no")


def raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:
        return caught


def through(error: Exception, *classes: type[Exception]) -> Failure:
    return failures.decode(failures.encode(failures.capture(raised(error), classes=classes)))


def back(error: Exception, *classes: type[Exception]) -> Any:
    return failures.rebuild(through(error, *classes), classes)


def test_name_message_and_traceback() -> None:
    failure = through(ZeroDivisionError("by zero"))
    assert (failure.error_type, failure.message) == ("ZeroDivisionError", "by zero")
    assert "raise error" in failure.traceback
    assert "test_failures.py" in failure.traceback
    assert through(Declined("x", retry=True)).error_type == "tests.core.test_failures.Declined"


def test_a_known_class_comes_back_without_its_init() -> None:
    error = back(Declined("late", retry=False), Declined)
    assert type(error) is Declined
    assert (error.code, error.retry, str(error)) == ("late", False, "declined: late")


def test_a_subclass_of_a_known_class_comes_back() -> None:
    assert type(back(Expired("x", retry=True), Declined)) is Expired
    assert back(Declined("x", retry=True), Expired) is None
    assert back(KeyError("k"), LookupError).args == ("k",)


def test_a_class_is_never_imported_by_its_name() -> None:
    assert failures.rebuild(Failure("os.system", "", "", None, None, known=("os.system",)), (Declined,)) is None


@pytest.mark.parametrize(
    "state",
    ["", "{}", "7", "[1]", '{"args":7,"attributes":{}}', '{"args":[],"attributes":[]}', "[[],{}", "null",
     '{"args":[],"attributes":{"code":{"$":"os.system","v":"ls"}}}'],
)  # fmt: skip
def test_hostile_state_gives_no_instance(state: str) -> None:
    name = class_name(Declined)
    assert failures.rebuild(Failure(name, "m", "", None, state, known=(name,)), (Declined,)) is None


def test_an_error_whose_own_methods_fail_is_recorded() -> None:
    failure = through(Evil())
    assert failure.error_type == "tests.core.test_failures.Evil"
    assert "cannot be read" in failure.message


def test_state_that_cannot_be_stored_leaves_the_message() -> None:
    error = ValueError("keeps", object())
    assert through(error, ValueError).data is None
    assert str(back(error, ValueError)) == str(error)


def test_texts_are_bounded() -> None:
    failure = through(ValueError("x" * 100_000))
    assert len(failures.encode(failure)) < 60_000
    assert failure.message.endswith("...")


@given(st.text(), st.text())
def test_any_message_is_valid_unicode(message: str, other: str) -> None:
    failure = through(ValueError(message, other))
    failures.encode(failure).encode()
    assert failures.decode(failures.encode(failure)) == failure


_scalar = st.none() | st.booleans() | st.integers() | st.text()


@given(st.recursive(_scalar, lambda i: st.lists(i) | st.dictionaries(st.text(), i)))
def test_hostile_records_are_refused(value: Any) -> None:
    try:
        failure = failures.decode(json.dumps(value))
    except SerializationError as error:
        assert "a recorded error cannot be read" in str(error)  # noqa: PT017
    else:
        assert isinstance(failure.error_type, str)


@pytest.mark.parametrize(
    "text", ["", "null", "{", "[]", '{"type":1,"message":"x"}', '{"type":"x","message":"m","state":5}']
)
def test_malformed_records_are_refused(text: str) -> None:
    with pytest.raises(SerializationError, match="a recorded error cannot be read"):
        failures.decode(text)
