"""A slice of `python -m benchmarks.sigkill`: orders whose workers are killed at random moments."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import sigkill


@pytest.mark.parametrize("number", range(8))
def test_killed_workers(number: int) -> None:
    run = sigkill.one(number, seed=20261123)
    assert run.wrong == []
    assert run.kills >= 1


def test_a_repeated_step_would_be_seen(tmp_path: Path) -> None:
    """The judge itself: a call from a process that did not record the result, and a second effect."""
    import random
    import sqlite3

    scene = sigkill.Scene(tmp_path, random.Random(1), 1)
    assert scene.run().wrong == []
    last = scene.pids[[writer for writer, _ in scene._segments()][-1]]
    with sqlite3.connect(tmp_path / "systems" / "mail.sqlite") as db:
        db.execute("INSERT INTO calls VALUES ('k', 'mail', ?)", (last,))
    assert scene._wrong() == ["send_confirmation was called 2 times by one process"]
    with sqlite3.connect(tmp_path / "systems" / "mail.sqlite") as db:
        db.execute("DELETE FROM calls WHERE key = 'k'")
    with sqlite3.connect(tmp_path / "systems" / "payments.sqlite") as db:
        db.execute("INSERT INTO calls VALUES ('k', 'charge', 1)")
        db.execute("INSERT INTO effects VALUES ('k', 'charge', '', '', 1)")
    assert sorted(scene._wrong()) == [
        "charge happened 2 times",
        "charge_customer was called again after its result was recorded",
    ]
