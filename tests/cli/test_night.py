"""A night with the command alone; `python -m tests.cli.night` plays it among 5,000 executions."""

from __future__ import annotations

from pathlib import Path

from .night import before, night
from .shop import Shop


def test_a_night(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "journal.db")
    before(shop, 200)
    night(shop, 200)
