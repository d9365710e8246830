"""Items that nobody wrote, found by the fuzzer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from durable_fn.backends.aws import transitions
from durable_fn.backends.aws.items import from_header, to_header
from durable_fn.errors import JournalDamaged, SerializationError
from tests.backends.contract import header


@pytest.mark.parametrize("field", ["run", "own", "fn", "status", "parent", "input_hash", "edition"])
def test_a_field_that_nothing_stands_for_is_a_text(field: str) -> None:
    """Bytes there would be read as a text that no condition of the table agrees with."""
    item = {**from_header(header(), 1), field: {"B": b"zc:AAAA"}}
    with pytest.raises(SerializationError, match="damaged"):
        to_header(item)


@pytest.mark.parametrize("field", ["gen", "lease", "n"])
def test_nothing_stands_for_a_number_that_the_table_compares(field: str) -> None:
    """A default would be a number that no condition of the table agrees with."""
    item = from_header(header(), 1)
    del item[field]
    with pytest.raises(SerializationError, match="damaged"):
        to_header(item)


@pytest.mark.parametrize("field", ["started", "due", "updated", "ttl", "turns"])
@pytest.mark.parametrize("number", [-1, 10**30, 253_402_300_800_000])
def test_a_number_that_no_time_or_count_can_be_is_damage(field: str, number: int) -> None:
    item = {**from_header(header(), 1), field: {"N": str(number)}}
    with pytest.raises(SerializationError, match=f"damaged: ValueError: {field} is {number}"):
        to_header(item)


def test_the_last_time_of_all_is_one() -> None:
    assert to_header(from_header(header(due=253_402_300_799_999), 1)).due == 253_402_300_799_999


def test_who_was_asked_to_cancel_is_what_the_table_takes_for_it() -> None:
    assert to_header({**from_header(header(), 1), "cancel": {"NULL": True}}).cancel


def test_what_the_table_compares_otherwise_than_it_is_read_is_damage() -> None:
    """It tells no value: a header has the input of its execution."""
    there = replace(header(), own="w", lease=1, status="RUNNING", input='"a secret"')
    change = transitions.progressed(there, "w")
    with pytest.raises(
        JournalDamaged, match=r"execution 'x' that its header allows: the item .sort key \"H\""
    ) as raised:
        change.refused(from_header(there, 1))
    assert "a secret" not in str(raised.value)


@pytest.mark.parametrize("field", ["secret", "custom"])
def test_a_field_that_a_codec_packs_may_be_bytes(field: str) -> None:
    item = {**from_header(header(), 1), field: {"B": b"c:\0\0"}}
    assert getattr(to_header(item), field) == "\x02c:AAA="
