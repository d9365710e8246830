"""`durable-fn replay`: local code over a downloaded history, under a debugger if asked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .shop import BANK, Shop, order, run

ROOT = Path(__file__).resolve().parents[2]
GOOD, BAD = "tests.cli.shop:order", "tests.cli.shop:order_badly_deployed"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop(tmp_path / "journal.db")
    BANK["up"] = False
    shop.client.start(order, "apple", id="failed")
    shop.work(order, until=2)
    BANK["up"] = True
    shop.client.start(order, "pear", id="done")
    shop.work(order)
    shop.client.start(order, "plum", id="under way")
    shop.work_once(order)
    return shop


@pytest.mark.parametrize(
    ("id", "verdict"),
    [
        ("done", "The code agrees, and came to its result.\npaid pear"),
        ("failed", "The code agrees, and fails as it did: StepError"),
        ("under way", "The code agrees with all that is recorded so far"),
    ],
)
def test_code_that_agrees(shop: Shop, id: str, verdict: str) -> None:
    assert verdict in shop.said("replay", id, "--handler", GOOD)
    assert shop.told("replay", id, "--handler", GOOD)["agrees"] is True


@pytest.mark.parametrize("id", ["done", "failed", "under way"])
def test_code_that_does_not(shop: Shop, id: str, caplog: pytest.LogCaptureFixture) -> None:
    said = shop.said("replay", id, "--handler", BAD, code=1)
    assert "does not agree with what was recorded" in said
    assert "recorded step 'reserve'" in said
    assert shop.told("replay", id, "--handler", BAD, code=1)["agrees"] is False
    assert not caplog.records, "it is said once"


@pytest.mark.parametrize("how", ["--json", "--record"])
def test_a_history_in_a_file(shop: Shop, tmp_path: Path, how: str) -> None:
    file = tmp_path / "history.json"
    file.write_text(shop.said("history", "done", how))
    assert "came to its result" in run("replay", "--from", str(file), "--handler", GOOD).output
    for text in ('{"a": 1}', "no JSON"):
        file.write_text(text)
        assert "is no history" in run("replay", "--from", str(file), "--handler", GOOD, code=1).output
    assert "name an execution, or a file" in shop.said("replay", "--handler", GOOD, code=1)


def test_what_is_no_handler(shop: Shop) -> None:
    assert "not a function decorated with @durable" in shop.said("replay", "done", "-H", "tests.cli.shop:many", code=1)
    assert "cannot be imported" in shop.said("replay", "done", "-H", "no.such:thing", code=1)


@pytest.mark.parametrize(("typed", "said", "code"), [("p event\nc\n", "came to its result", 0), ("q\n", "(Pdb)", 0)])
def test_under_the_debugger(shop: Shop, typed: str, said: str, code: int) -> None:
    command = [sys.executable, "-m", "durable_fn.cli", "replay", "done", "-H", GOOD, "--debug", "--backend", shop.url]
    ran = subprocess.run(
        command, input=typed, capture_output=True, text=True, cwd=ROOT, timeout=60, env={"PYTHONPATH": str(ROOT)}
    )
    assert ran.returncode == code, ran.stderr
    assert "shop.py" in ran.stdout, "it stops in the handler"
    assert "replays.py(" not in ran.stdout, "and nowhere before"
    assert said in ran.stdout
    assert ("'pear'" in ran.stdout) == typed.startswith("p ")
