"""Worlds for scenarios, and clean effects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.effects import EFFECTS
from tests.worlds import AwsWorld, SqliteWorld, World


@pytest.fixture(autouse=True)
def _clean_effects() -> None:
    EFFECTS.clear()


@pytest.fixture
def sqlite_world() -> Iterator[SqliteWorld]:
    world = SqliteWorld()
    yield world
    world.close()


@pytest.fixture
def aws_world() -> Iterator[AwsWorld]:
    from durable_fn.testing.cloud import LocalCloud

    with LocalCloud() as cloud:
        yield AwsWorld(cloud)


@pytest.fixture(params=["sqlite", "aws"])
def world(request: pytest.FixtureRequest) -> World:
    found: Any = request.getfixturevalue(f"{request.param}_world")
    return found  # type: ignore[no-any-return]
