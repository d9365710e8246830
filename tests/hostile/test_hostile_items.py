"""Items that nobody wrote, found by the fuzzer."""

from __future__ import annotations

import pytest

from durable_fn.backends.aws.items import from_header, to_header
from durable_fn.errors import SerializationError
from tests.backends.contract import header


@pytest.mark.parametrize("field", ["run", "own", "fn", "status", "parent", "input_hash", "edition"])
def test_a_field_that_nothing_stands_for_is_a_text(field: str) -> None:
    """Bytes there would be read as a text that no condition of the table agrees with."""
    item = {**from_header(header(), 1), field: {"B": b"zc:AAAA"}}
    with pytest.raises(SerializationError, match="damaged"):
        to_header(item)


@pytest.mark.parametrize("field", ["secret", "custom"])
def test_a_field_that_a_codec_packs_may_be_bytes(field: str) -> None:
    item = {**from_header(header(), 1), field: {"B": b"c:\0\0"}}
    assert getattr(to_header(item), field) == "\x02c:AAA="
