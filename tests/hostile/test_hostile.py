"""A slice of `make hostile`, and that it sees what it is there for."""

from __future__ import annotations

import base64
from typing import Any
from unittest import mock

import pytest

from durable_fn import callback_api
from durable_fn.client import callbacks
from durable_fn.log import tokens
from tests.hostile.__main__ import blows
from tests.hostile.mutator import Mutator
from tests.hostile.targets import SAMPLES, TARGETS

COUNTS = {"events": 500, "wakes": 400, "tokens": 1500, "ids": 800, "HTTP": 800, "items": 16}


@pytest.mark.parametrize("name", TARGETS)
def test_blows(name: str) -> None:
    wrong = blows(name, 0, COUNTS[name])
    assert not wrong, wrong[0]


def test_a_number_is_the_same_blow_each_time() -> None:
    one, other = (repr([Mutator(7).json(sample) for sample in SAMPLES]) for _ in range(2))
    assert one == other


def test_blows_differ() -> None:
    assert len({repr(Mutator(n).json(SAMPLES[0])) for n in range(300)}) > 250


def test_a_token_that_is_not_proved_would_be_seen() -> None:
    with mock.patch.object(callbacks, "is_genuine", return_value=True):
        assert any("changed" in text for text in blows("tokens", 0, 600))


def test_a_secret_that_is_told_would_be_seen() -> None:
    def told(event: Any, context: Any) -> Any:
        secret = base64.b64encode(b"x").decode()
        return {"statusCode": 404, "body": f"{secret} hunter2-of-the-victim"}

    with mock.patch.object(callback_api, "handler", told):
        assert any("was told" in text for text in blows("HTTP", 0, 3))


def test_an_error_of_another_kind_would_be_seen() -> None:
    with mock.patch.object(callbacks, "parse", side_effect=KeyError("x")):
        assert any("KeyError" in text for text in blows("tokens", 0, 3))
    assert callbacks.parse is tokens.parse
