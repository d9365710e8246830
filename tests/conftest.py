"""Worlds for scenarios, and clean effects."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.effects import EFFECTS
from tests.environments import AwsWorld, SqliteWorld, World


@pytest.fixture(autouse=True)
def _clean_effects() -> None:
    EFFECTS.clear()


@pytest.fixture(autouse=True)
def _within_the_template() -> None:
    """What tests do on a local cloud has to be allowed by template.yaml. Those that need none do not pay for its import."""
    if "durable_fn.testing.cloud" in sys.modules:
        from durable_fn.testing.cloud import LocalCloud
        from tests.template.watch import watch

        watch(LocalCloud)


@pytest.fixture
def sqlite_world() -> Iterator[SqliteWorld]:
    world = SqliteWorld()
    yield world
    world.close()


@pytest.fixture
def aws_world() -> Iterator[AwsWorld]:
    from durable_fn.testing.cloud import LocalCloud
    from tests.template.watch import watch

    watch(LocalCloud)
    with LocalCloud() as cloud:
        yield AwsWorld(cloud)


@pytest.fixture(params=["sqlite", "aws"])
def world(request: pytest.FixtureRequest) -> World:
    found: Any = request.getfixturevalue(f"{request.param}_world")
    return found  # type: ignore[no-any-return]


@pytest.fixture
def servers() -> Iterator[list[Any]]:
    """Of `durable-fn dev` and its like (tests/local/servers.py): whoever starts one puts it here, and it ends with the test."""
    started: list[Any] = []
    yield started
    for server in started:
        if server.process.poll() is None:
            server.kill()
