from __future__ import annotations

import pytest

from tests.triggers.samples import FRONTS, SEEN


@pytest.fixture(params=FRONTS)
def front(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture(autouse=True)
def _fresh() -> None:
    SEEN.clear()
